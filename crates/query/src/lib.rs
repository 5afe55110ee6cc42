//! Query: Prometheus's HTTP API over anything that speaks the StoreAPI.
//!
//! Start at [`service`]: it owns the engine, the store that is asked (usually a fan-out proxy) and the HTTP routes.
//! [`source`] is how PromQL reads the StoreAPI: it waits on streams from a thread that may wait, joins the pieces of a
//! series and deduplicates replicas. [`api`] is one file per family of endpoints; [`render`] writes results
//! piece by piece, [`json`] everything else.
//!
//! Invariants:
//! * A query is evaluated to its end, limits and duplicate checks included, before the first byte of its answer leaves.
//! * A query runs on a thread of its own, never on one that serves connections; a client that goes away stops it.
//! * Shapes are those of Thanos's querier: infos are among the warnings, `analysis` is always there.

pub mod api;
pub mod config;
pub mod features;
pub mod gate;
pub mod json;
pub mod metrics;
pub mod render;
pub mod service;
pub mod source;

pub use config::QueryConfig;
pub use features::Features;
pub use metrics::QueryMetrics;
pub use service::QueryService;
