//! Values that every layer shares: no I/O, no async, no wire formats.
//!
//! Start at [`labels`] (what names a series), then [`sample`] and [`histogram`] (what a series holds), then
//! [`series`], the columnar trait through which PromQL reads storage, and [`write_batch`], what a writer hands to the
//! storage engine. [`matcher`] and [`regexp`] select series; [`tenant`], [`duration`] and [`float`] are the small
//! grammars that Prometheus and Go fix for us.
//!
//! Invariants:
//! * Label names and values are bytes. Prometheus does not enforce UTF-8 everywhere, so neither do we; text is made
//!   (lossily) only at the edges.
//! * A [`labels::Labels`] is sorted by name, has no empty value and no name twice.
//! * NaN payloads are data: the stale marker is one bit pattern, compared by bits, never by `==`.

pub mod duration;
pub mod exemplar;
pub mod float;
pub mod go_duration;
pub mod go_math;
pub mod histogram;
pub mod kahan;
pub mod labels;
pub mod matcher;
pub mod metadata;
pub mod regexp;
pub mod sample;
pub mod series;
pub mod start_times;
pub mod tenant;
pub mod verdict;
pub mod write_batch;

pub use duration::{DurationError, format_duration_ms, parse_duration_ms};
pub use exemplar::{Exemplar, SeriesExemplars};
pub use histogram::{FloatHistogram, Histogram, HistogramError};
pub use labels::{Labels, LabelsBuilder};
pub use matcher::{MatchKind, Matcher};
pub use metadata::{MetricMetadata, MetricType};
pub use regexp::Regexp;
pub use sample::{STALE_NAN_BITS, Sample, is_stale_nan};
pub use start_times::StartTimes;
pub use tenant::TenantId;
pub use verdict::Verdict;
pub use write_batch::WriteBatch;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";
