//! The Prometheus TSDB: its formats to the bit, and the storage engine on top of them. Synchronous throughout.
//!
//! The formats come first and know nothing of the engine. [`encoding`] takes bytes and bits apart; [`chunk`] holds samples,
//! [`segment`] files of chunks, [`index`] series and labels, [`tombstones`] what is deleted, [`meta`] what a block is;
//! [`block`] puts these together into a directory that is read and written whole. [`postings`] answers matchers for
//! whatever lists series by label. `docs/format/` has a page for each kind of file.
//!
//! [`compact`] makes one block of several, for whoever has blocks, local or in a bucket.
//!
//! On top of them, [`log`] makes appends durable, [`head`] holds the newest samples in memory, [`exemplars`] what points elsewhere, [`metadata`] what metrics are, and [`engine`] puts the two
//! and the blocks of all tenants behind one door. Start there, or at [`block`] to read what is at rest. [`wal`] is the log of
//! stock programs.
//!
//! Not here: what Thanos adds to a block and where blocks go (crate `block`), merging and deduplication of series (`series`),
//! and queries (`promql`).
//!
//! Invariants:
//! * What stock wrote is read to the last bit, NaN payloads included; what we write, stock reads, and where the input is the
//!   same the bytes are too.
//! * Bytes are hostile: no input panics, and no length in a file is believed before memory is taken for it.
//! * A directory named by a ULID is a whole block.

pub mod block;
pub mod chunk;
pub mod chunk_store;
pub mod compact;
pub mod encoding;
pub mod engine;
pub mod exemplars;
pub mod head;
pub mod index;
pub mod log;
pub mod meta;
pub mod metadata;
pub mod postings;
pub mod segment;
mod snapshot;
pub mod tombstones;
pub mod wal;
