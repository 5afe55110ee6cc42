//! The StoreAPI: how components read and write each other, in one process or over gRPC.
//!
//! [`store::Store`] is Thanos's `Store` service as a Rust trait over our own types; [`write::WriteStore`] is its
//! `WriteableStore`. Whoever serves data implements the trait once; who asks cannot tell whether the answer comes from
//! the same process or over the network.
//!
//! * [`grpc`]: servers in front of what implements the traits; [`RemoteStore`] and [`RemoteWriter`], clients that
//!   implement them; the content encoding `snappy` on both sides.
//! * [`proxy`]: many stores as one. [`endpoints`]: remote ones kept known.
//! * [`hop_secret`]: what nodes show each other to be believed.
//! * [`measured`], [`client_metrics`], [`pending`]: Thanos's metrics of answers, calls and writes, as wrappers.
//! * [`limited`]: a store whose answers have a limit. [`memory`]: a store in memory. [`resort`]: removal of replica labels for stores that cannot do it.
//! * `conformance` (a feature of that name): what every store has to hold to, as a function.
//!
//! Invariants:
//! * Protobuf types stay inside this crate.
//! * Series are sorted by their final labels everywhere; a peer that breaks this gets a wrong merge, not a panic.
//! * Only chunk encodings that stock Thanos knows leave the process.

pub mod capnproto;
pub mod client_metrics;
mod convert;

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod endpoints;
pub mod exemplars;
pub mod grpc;
pub mod hop_secret;
pub mod limited;
pub mod measured;
pub mod memory;
pub mod metadata;
pub mod pending;
pub mod proxy;
pub mod resort;
pub mod store;
pub mod write;

pub use client_metrics::{ClientMetrics, CountedStore};
pub use convert::series::{frame_from_message, frame_to_messages};
pub use convert::verdicts::refusal_rpc_text;
pub use endpoints::{EndpointWatch, WatchConfig, WatchedEndpoint};
pub use exemplars::{ExemplarsAnswer, ExemplarsRequest};
pub use grpc::{
    ClientConfig, RemoteStore, RemoteWriter, SharedSeries, WriteMessage, add_store, add_write_store, grpc_server,
};
pub use hop_secret::HopSecret;
pub use limited::{LimitedMetrics, LimitedStore, SeriesLimits};
pub use measured::{MeasuredStore, StoreServerMetrics};
pub use memory::MemoryStore;
pub use metadata::{MetadataAnswer, MetadataRequest};
pub use pending::PendingWrites;
pub use proxy::{ProxyConfig, ProxyEndpoint, ProxyStore};
pub use store::{
    AggrChunk, Aggregate, AggregateChunks, EVER_MS, EndpointStatus, LabelNamesRequest, LabelValuesRequest,
    LabelsAnswer, PartialResponse, SeriesFrame, SeriesRequest, SeriesStream, ShardInfo, Store, StoreError, StoreInfo,
    StoreSeries, TsdbInfo,
};
pub use write::{
    PeerError, PeerErrorKind, Rejected, WriteError, WriteOrigin, WriteOutcome, WriteStore, errors_text, rejected_text,
};
