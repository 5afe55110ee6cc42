//! Stock's write-ahead log: what a stock head holds and no block does yet. It is read when a directory is taken over, and
//! written when one is handed back; our own log is [`crate::log`].
//!
//! A log is a directory of segments `NNNNNNNN`, and of at most one checkpoint `checkpoint.NNNNNNNN/` that stands for all
//! segments up to its number. Segments are pages of 32 KiB ([`page`]), pages hold fragments of records, and records
//! ([`record`]) hold series, samples and histograms.

pub mod checkpoint;
pub mod chunk_snapshot;
pub mod head_chunks;
pub mod histogram_record;
pub mod page;
pub mod record;
pub mod segment;
mod writer;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use writer::LogWriter;

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

#[cfg(test)]
mod tests;
