//! Protobuf and gRPC types of the StoreAPI and of remote write, and the hand-written codecs of the write path.
//!
//! The modules named after packages ([`thanos`], [`hintspb`], [`prometheus_copy`], [`prometheus`], [`write_v2`], [`opentelemetry`]) are
//! generated at build time from the `.proto` files in `proto/` at the root of the repository, by protox, without protoc.
//! They are for the edges of the system only: what lies behind an edge speaks `thanoxide_model`. Label text and chunk
//! data are `Bytes` that share the memory of the message they came in.
//!
//! [`write_request`] is where samples come in, and too hot for generated types: it decodes remote write 1.0 and 2.0 and
//! the StoreAPI's write request straight into a `WriteBatch` whose labels point into the body. [`codec`] lets a gRPC
//! method take and give such bytes as they are. [`wire`] holds the few rules of protobuf that this needs.
//!
//! Invariants:
//! * Arbitrary bytes never panic, and never take memory out of proportion to their length.
//! * Field numbers and types are Prometheus's and Thanos's; names are ours to choose only where JSON does not show them.

pub mod capnproto;
pub mod codec;
pub mod generated;
pub mod wire;
pub mod write_request;

pub use generated::{hintspb, opentelemetry, prometheus, prometheus_copy, thanos, thanoxide, write_v2};
pub use write_request::{
    DecodeError, DecodeLimits, StoreWriteRequest, decode_store_write_request, decode_write_request,
    decode_write_request_v2, encode_series, encode_store_metadata, encode_store_write_request,
    encode_tenant_write_request, encode_write_request, encode_write_tail,
};
