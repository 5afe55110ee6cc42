//! The store gateway: the StoreAPI over the blocks of a bucket.
//!
//! [`BucketStore`] is all of it. [`BucketStore::run`] keeps its blocks in line with the bucket (`sync`); each block's index
//! lies whole in the data directory (`index_file`), its chunks stay in the bucket and come by range requests when they
//! are asked for (`chunk_fetch`). It serves no network itself: whoever builds it puts the [`Store`] trait behind gRPC or
//! asks it in process.
//!
//! A `Series` call goes: a place at the gate; the blocks that answer (`snapshot`, `resolution`); per block one task
//! (`source`) that reads the index (`selection`) and then chunks batch by batch; a merge by labels (`merge`).
//!
//! # Invariants
//! - A request sees the blocks of one moment. A sync never changes what a request under way reads.
//! - A block answers whole, or the answer says that it does not (a warning, or an error under `Abort`).
//! - Memory of a request: index entries of its series (bounded by `request_bytes_limit`), and per block two batches of
//!   chunks.
//!
//! [`Store`]: thanoxide_storeapi::Store

mod block;
mod bucket_store;
mod budget;
mod chunk_fetch;
mod chunk_frame;
mod config;
mod index;
mod index_file;
mod merge;
mod metrics;
mod resolution;
mod selection;
mod snapshot;
mod source;
mod sync;

pub use bucket_store::BucketStore;
pub use config::StoreConfig;
pub use sync::{SyncError, SyncReport};
