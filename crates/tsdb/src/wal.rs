//! The write-ahead log: what the head holds and no block does yet, in Prometheus's format.
//!
//! A log is a directory of segments `NNNNNNNN`, and of at most one checkpoint `checkpoint.NNNNNNNN/` that stands for all
//! segments up to its number. Segments are pages of 32 KiB ([`page`]), pages hold fragments of records, and records
//! ([`record`]) hold series, samples and histograms.
//!
//! [`Log`] is what the engine knows of all this; [`SegmentLog`] is the log on disk.

pub mod checkpoint;
pub mod chunk_snapshot;
pub mod head_chunks;
pub mod histogram_record;
pub mod page;
pub mod record;
mod repair;
pub mod segment;
pub mod segment_log;
mod segment_writer;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use segment_log::SegmentLog;

/// How much has been handed to a log, counted in calls of [`Log::append`] since it was opened.
pub type Position = u64;

/// Why a log could not do as told.
#[derive(Debug, Error, Clone)]
pub enum LogError {
    /// There is no room; works again by itself once there is.
    #[error("no space left for {}", path.display())]
    DiskFull {
        /// What was to be written.
        path: PathBuf,
    },
    /// Any other failure of the disk; tried again with each call.
    #[error("{}: {message}", path.display())]
    Io {
        /// What was to be read or written.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
}

impl LogError {
    pub(crate) fn new(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        let path = path.into();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::DiskFull { path },
            _ => LogError::Io { path, message: error.to_string() },
        }
    }
}

/// What [`Log::replay`] met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Records read.
    pub records: u64,
    /// Segments read, those of the checkpoint included.
    pub segments: u64,
    /// Damaged stretches in the middle of a segment; what they held is lost.
    pub damaged: u64,
    /// Bytes in these.
    pub damaged_bytes: u64,
    /// Segments that ended in a torn record, now cut off.
    pub torn: u64,
}

/// What [`Log::truncate`] keeps of the segments that it gives up.
pub struct Truncation<'a> {
    /// Samples before this time are dropped.
    pub min_time_ms: i64,
    /// Whether the record of a series is still needed, given its reference and the newest segment that is given up.
    pub keep_series: &'a dyn Fn(u64, u32) -> bool,
}

impl Debug for Truncation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Truncation").field("min_time_ms", &self.min_time_ms).finish_non_exhaustive()
    }
}

/// A durable sequence of records.
pub trait Log: Send + Sync + Debug {
    /// Hands over records, in order. They are durable once a [`Log::commit`] of the returned position succeeded.
    fn append(&self, records: &[&[u8]]) -> Position;

    /// The position after all that was handed over.
    fn position(&self) -> Position;

    /// Waits until all up to a position is durable. An error acknowledges nothing, yet keeps the records for the next try.
    fn commit(&self, up_to: Position) -> Result<(), LogError>;

    /// After a failure: tries to write what is not durable yet. Does nothing otherwise.
    fn recover(&self) -> Result<(), LogError>;

    /// Bytes handed over and not durable yet.
    fn backlog_bytes(&self) -> usize;

    /// The segment that records go to now.
    fn current_segment(&self) -> u32;

    /// Bytes on disk, checkpoint included.
    fn size_bytes(&self) -> Result<u64, LogError>;

    /// Replaces the older segments by a checkpoint, where there are enough of them, and gives its number.
    fn truncate(&self, truncation: &Truncation<'_>) -> Result<Option<u32>, LogError>;

    /// Shows each record in order, from the checkpoint on. Only before the first append.
    fn replay(&self, visit: &mut dyn FnMut(&[u8])) -> Result<ReplayReport, LogError>;
}

#[cfg(test)]
mod tests;
