//! The StoreAPI: how components read each other, in one process or over gRPC.
//!
//! [`store::Store`] is Thanos's `Store` service as a Rust trait over our own types; [`write::WriteStore`] is its
//! `WriteableStore`. Whoever serves data implements the trait once; who asks cannot tell whether the answer comes from
//! the same process or over the network.

pub mod store;
pub mod write;

pub use store::{
    AggrChunk, Aggregate, LabelNamesRequest, LabelValuesRequest, LabelsAnswer, PartialResponse, SeriesFrame,
    SeriesRequest, SeriesStream, ShardInfo, Store, StoreError, StoreInfo, StoreSeries, TsdbInfo,
};
pub use write::{Rejected, WriteError, WriteOutcome, WriteStore};
