//! Why the engine could not do as told.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::blocks::is_damage;
use crate::block::BlockError;
use crate::wal::LogError;

/// Why the engine could not do as told.
#[derive(Debug, Error, Clone)]
pub enum EngineError {
    /// Another process is at work in the directory.
    #[error("{} is in use by another process", dir.display())]
    AlreadyLocked {
        /// The directory.
        dir: PathBuf,
    },
    /// There is no room. Reads go on; writes go on by themselves once there is room.
    #[error("no space left for {}", path.display())]
    DiskFull {
        /// What was to be written.
        path: PathBuf,
    },
    /// Any other failure of the disk. What was asked may be tried again.
    #[error("{}: {message}", path.display())]
    Io {
        /// What was to be read or written.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// A block that could be opened cannot be read.
    #[error("{}: {message}", path.display())]
    Block {
        /// The block.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// An option that makes no sense, or that this version does not have.
    #[error("{0}")]
    InvalidOption(String),
    /// Nobody waits for the answer any more.
    #[error("the request was cancelled")]
    Cancelled,
    /// The chunks of an answer are more than was allowed.
    #[error("the answer has more than {max_bytes} bytes of chunks")]
    TooManyBytes {
        /// Allowed.
        max_bytes: u64,
    },
    /// The tenant was removed at this moment. The next try makes it anew.
    #[error("tenant is being removed")]
    Removed,
    /// The engine was closed.
    #[error("storage is closed")]
    Closed,
}

impl EngineError {
    pub(crate) fn io(path: impl AsRef<Path>, error: &io::Error) -> Self {
        LogError::new(path.as_ref(), error).into()
    }

    pub(crate) fn block(path: impl AsRef<Path>, error: impl ToString) -> Self {
        EngineError::Block { path: path.as_ref().to_path_buf(), message: error.to_string() }
    }

    pub(crate) fn compaction(path: impl AsRef<Path>, error: crate::compact::CompactError) -> Self {
        use crate::compact::CompactError::{Block, Index, Io, Segment};
        use crate::{index::IndexError, segment::SegmentError};
        match error {
            Io(error) | Index(IndexError::Io(error)) | Segment(SegmentError::Io(error)) if !is_damage(&error) => {
                EngineError::io(path, &error)
            }
            Block(error) => EngineError::of_block(path, error),
            other => EngineError::block(path, other),
        }
    }

    /// A block that cannot be written or read: the disk's fault, which may pass, or the block's.
    pub(crate) fn of_block(path: impl AsRef<Path>, error: BlockError) -> Self {
        match error.io().filter(|io| !is_damage(io)) {
            Some(io) => EngineError::io(path, io),
            None => EngineError::block(path, error),
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, EngineError::DiskFull { .. } | EngineError::Io { .. } | EngineError::Removed)
    }
}

impl From<LogError> for EngineError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::DiskFull { path } => EngineError::DiskFull { path },
            LogError::Io { path, message } => EngineError::Io { path, message },
        }
    }
}
