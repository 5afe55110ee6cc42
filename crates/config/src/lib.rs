//! Configuration files that several roles share, read as stock reads them: the same keys, defaults and error texts.
//!
//! [`yaml`] reads YAML into a tree with line numbers and complains in the words of Go's YAML library, because operators
//! search for those words. [`relabel`] is Prometheus's relabelling: its rules, their checks, and what they do to labels. [`limits`] is
//! Thanos's limits file of writing, with a few keys more.
//!
//! Nothing here touches files, the network or the environment: contents come in as text.

pub mod limits;
pub mod relabel;
pub mod tenant_labels;
pub mod tracing;
pub mod web;
pub mod yaml;

pub use limits::{Limits, LimitsError, TenantLimits};
pub use relabel::{Relabel, RelabelError};
pub use tenant_labels::{TenantLabels, TenantLabelsError};
pub use tracing::{Tracing, TracingError};
pub use web::{Web, WebError, WebTls};
pub use yaml::YamlError;
