//! The Prometheus TSDB: its formats to the bit, and the storage engine on top of them. Synchronous throughout.

pub mod chunk;
pub mod encoding;
pub mod engine;
pub mod head;
pub mod wal;
