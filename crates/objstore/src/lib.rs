//! Buckets: object storage as Thanos uses it.
//!
//! [`Bucket`] is all that the rest of the system knows of object storage: a flat set of named, immutable byte strings
//! with `/` in their names. Start at [`BucketConfig::parse`], which reads Thanos's `objstore.config` YAML, and
//! [`BucketConfig::open`], which gives the bucket behind it (S3 or a directory).
//!
//! Everything else is decoration, one concern per type: [`PrefixBucket`] (the YAML's `prefix`), [`MetricsBucket`]
//! (Thanos's `thanos_objstore_*`), [`FaultBucket`] (failures and latency on purpose). [`conformance`] is the contract as
//! a test suite that any implementation can be put through.
//!
//! # Invariants
//! - An object is visible whole or not at all, and durable once [`Bucket::upload`] returned.
//! - [`Bucket::iter`] goes dir by dir, as Thanos's `Iter`: names of dirs end with `/`.
//! - A missing object is [`BucketError::NotFound`] from every call that names one, except [`Bucket::exists`].
//!
//! Retries of single requests and their timeouts are the S3 client's (`max_retries`, `http_config`); callers do not
//! repeat calls on top of that.
//!
//! This is the only crate that names `object_store`.

mod bucket;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod fault;
mod metrics;
mod object_bucket;
mod prefix;

pub use bucket::{Attributes, Bucket, BucketError, ByteStream, Object, ObjectEntry, RangeCost, UploadSource, join};
pub use config::{
    BucketConfig, BucketKind, ConfigError, FilesystemConfig, HttpConfig, S3Config, SseConfig, TlsConfig, TraceConfig,
};
pub use fault::FaultBucket;
pub use metrics::{BucketMetrics, MetricsBucket};
pub use object_bucket::ObjectBucket;
pub use prefix::PrefixBucket;
