//! Ingester: tenants in the storage engine, their blocks in the bucket, the StoreAPI over both head and local blocks.
//!
//! Start at [`ingester`]: [`Ingester::open`] opens the engine, [`Ingester::run`] is the maintenance loop that cuts blocks,
//! ships them and removes what retention allows. [`departure`] is how tenants go, [`status_api`] tells what they hold. [`write`] and [`read`] are its two faces: `WriteStore` and `Store`.
//!
//! Invariants:
//! * A write is answered only once its samples are durable in the log.
//! * Nothing of the engine runs on a thread that serves connections: appends, commits and reads go to blocking threads.
//! * A local block is removed only when it is in the bucket, or when there is no bucket.

pub mod cardinality;
pub mod config;
pub mod damage_metrics;
pub mod departure;
pub mod exemplar_metrics;
pub mod ingester;
pub mod memory_guard;
pub mod metrics;
pub mod read;
mod read_exemplars;
mod series_limits;
pub mod shipping;
pub mod status_api;
pub mod tenant_metrics;
pub mod write;

pub use config::{IngesterConfig, TenantLabels};
pub use departure::DepartureError;
pub use ingester::{Ingester, IngesterDeps, TenantSummary};
pub use metrics::IngesterMetrics;
pub use status_api::StatusApi;
pub use thanoxide_block::BlockHash;
