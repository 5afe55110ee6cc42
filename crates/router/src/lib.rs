//! Router: the door for samples. It takes remote write requests (1.0 and 2.0) and OTLP metrics, finds out whose they are, refuses what is
//! malformed or too large before it costs memory, and hands decoded batches to a `WriteStore`.
//!
//! It stores nothing and knows no storage: who takes the samples comes in as a trait object. [`replication`] is one: it
//! places series on [hashrings](hashring) and forwards them to the nodes that own them.
//!
//! Start at [`Router`]; a request goes through [`body`] (bounded reading), [`snappy`] (bounded decompression),
//! [`protocol`] (which message it is), the decoders of `thanoxide_proto` and [`label_check`], and what the storage says becomes an answer
//! in [`answer`]. [`budget`] bounds the memory of all requests together, [`limiter`] what each tenant may, [`rewrite`] relabels
//! series and gives them to the tenants that they name. [`otlp`] makes series of OpenTelemetry's metrics.
//!
//! Invariants:
//! * Sizes are checked before memory is taken: the declared body length, the bytes that really come, the declared
//!   decompressed length, the number of series.
//! * 2xx means that every sample of the request is durable. Of a request that is refused in part, the rest is.
//! * What can succeed later is 503 or 500, what never can is 4xx: senders drop those.

pub mod answer;
pub mod body;
pub mod budget;
pub mod config;
pub mod hashring;
pub mod hashring_file;
pub mod head_series;
pub mod hints;
pub mod label_check;
pub mod limiter;
pub mod metrics;
pub mod otlp;
mod otlp_endpoint;
pub mod peer;
pub mod piece;
pub mod placement;
pub mod protocol;
pub mod quorum;
pub mod refusal;
pub mod replication;
pub mod replication_metrics;
pub mod rewrite;
pub mod router;
mod said;
pub mod snappy;

pub use config::RouterConfig;
pub use hashring_file::{HashringFile, HashringFileMetrics};
pub use hints::{HintConfig, HintMetrics, Hints};
pub use limiter::Limiter;
pub use metrics::RouterMetrics;
pub use otlp::{OtlpSettings, Promotion, TranslationStrategy};
pub use refusal::Refusal;
pub use replication::{LabelsChanged, ReplicationConfig, ReplicationDeps, Replicator};
pub use replication_metrics::ReplicationMetrics;
pub use router::{Router, RouterDeps};
