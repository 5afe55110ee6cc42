//! The Prometheus TSDB: its formats to the bit, and the storage engine on top of them. Synchronous throughout.

pub mod block;
pub mod chunk;
pub mod encoding;
pub mod engine;
pub mod head;
pub mod index;
pub mod meta;
pub mod postings;
pub mod segment;
pub mod tombstones;
pub mod wal;
