//! Blocks in a bucket, with Thanos's meaning.
//!
//! A block is a dir named by its ULID: `chunks/NNNNNN`, `index`, and [`Meta`] (`meta.json`), which is written last and so
//! makes the block exist. A dir without it is *partial* and nobody's block. Marks ([`DeletionMark`]) are further objects
//! in the dir.
//!
//! - [`upload_block`] brings a block from a disk into a bucket; [`Shipper`] does so for all blocks of a TSDB directory.
//! - [`Fetcher`] finds the blocks of a bucket and leaves out what a reader must not see: by time, age, label, deletion
//!   mark, and blocks whose data others hold already.
//!
//! What lies inside `index` and `chunks` is the `tsdb` crate's matter.

pub mod fetcher;
pub mod filter;
pub mod mark;
pub mod meta;
pub mod metrics;
pub mod shipper;
pub mod upload;

pub use fetcher::{Discovery, FetchError, Fetched, Fetcher, FetcherConfig, MetaSelector, TimeBound};
pub use filter::deduplicate;
pub use mark::{DELETION_MARK_NAME, DeletionMark, NO_COMPACT_MARK_NAME, NO_DOWNSAMPLE_MARK_NAME};
pub use meta::{
    BlockFile, Downsample, FileHash, INDEX_NAME, IndexStats, META_NAME, Meta, MetaError, Source, ThanosMeta,
};
pub use metrics::{FetcherMetrics, ShipperCounters, ShipperMetrics};
pub use shipper::{BlockHash, SHIPPER_STATE_NAME, ShipError, ShipReport, Shipper, ShipperConfig, UploadOptions};
pub use ulid::Ulid;
pub use upload::{UploadError, upload_block};
