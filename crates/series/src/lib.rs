//! Series-set algebra: what happens between the stores that answer and the engine that computes.
//!
//! A store answers with [`ChunkSeries`], sorted by labels. [`Merge`] makes one such stream of many, joining equal label
//! sets and dropping chunks that came twice. [`DedupSeriesData`] is one series for the engine: chunks that overlap in time
//! are those of several replicas, which [`split_overlaps`] tells apart and [`deduplicate`] folds into one row of samples,
//! by the algorithms of Thanos.
//!
//! [`DownsampledSeriesData`] is the same for series that have aggregates of windows among their chunks.
//!
//! [`OfflinePenalty`] is the same algorithm for compaction.
//!
//! This crate does no I/O and knows no wire format; chunks are decoded by `thanoxide-tsdb`, and only when asked for.
//!
//! Invariants:
//! * Samples stay in time order, floats and histograms together: no time is given twice.
//! * Raw counters are never rewritten, but for a step that only the change from one replica to another has made (see
//!   [`Deduplication::PenaltyCounter`]).
//! * Stale markers keep their bits.
//!
//! Start at [`merge`], then [`dedup`].

pub mod chain;
mod cursor;
pub mod data;
pub mod dedup;
pub mod downsampled;
pub mod merge;
pub mod offline;
pub mod overlap;
pub mod penalty;

pub use data::DedupSeriesData;
pub use dedup::{Deduplication, deduplicate};
pub use downsampled::{DownsampledSeriesData, Piece};
pub use merge::{ChunkSeries, Merge, join_chunks};
pub use offline::OfflinePenalty;
pub use overlap::split_overlaps;
