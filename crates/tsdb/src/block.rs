//! A block: a directory of immutable series over some time.
//!
//! ```text
//! <ULID>/meta.json       what it is                 (meta.rs)
//! <ULID>/index           series and their labels    (index.rs)
//! <ULID>/chunks/000001…  samples                    (segment.rs)
//! <ULID>/tombstones      what of it is deleted; may be missing  (tombstones.rs)
//! ```
//! [`BlockWriter`] writes all of it into `<ULID>.tmp-for-creation` and renames that at the end, so that a directory named
//! by a ULID is always whole. [`Block`] reads. Times of a block are half-open, those of its chunks closed.

mod reader;
mod recode;
mod redact;
mod writer;

pub use reader::{Block, BlockSeries};
pub use redact::redact;
pub use writer::BlockWriter;

use std::io;
use std::path::Path;

use thanoxide_env::Disk;
use thiserror::Error;

use crate::chunk::ChunkError;
use crate::index::IndexError;
use crate::meta::{BlockId, MetaError};
use crate::segment::SegmentError;
use crate::tombstones::TombstonesError;

/// The index file's name.
pub const INDEX_FILE: &str = "index";
/// The name of the directory of chunks.
pub const CHUNKS_DIR: &str = "chunks";
/// The tombstones file's name.
pub const TOMBSTONES_FILE: &str = "tombstones";
/// What a block's directory is called while it is written.
pub const CREATION_SUFFIX: &str = ".tmp-for-creation";
/// What a block's directory is called while it is deleted.
pub const DELETION_SUFFIX: &str = ".tmp-for-deletion";

/// Why a block could not be read or written.
#[derive(Debug, Error)]
pub enum BlockError {
    /// The disk failed.
    #[error("block: {0}")]
    Io(#[from] io::Error),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The chunk files.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// A chunk.
    #[error("block: chunk: {0}")]
    Chunk(#[from] ChunkError),
    /// The tombstones.
    #[error(transparent)]
    Tombstones(#[from] TombstonesError),
    /// The meta file.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl BlockError {
    /// The disk's error behind it, if there is one.
    pub fn io(&self) -> Option<&io::Error> {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(cause) = source {
            if let Some(io) = cause.downcast_ref::<io::Error>() {
                return Some(io);
            }
            source = cause.source();
        }
        None
    }
}

/// The name of a block's directory; `None` for any other path.
pub fn block_id(dir: &Path) -> Option<BlockId> {
    dir.file_name()?.to_str().filter(|name| name.len() == 26)?.parse().ok()
}

/// The blocks in a directory, sorted by name.
pub fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<BlockId>> {
    Ok(disk.list(dir)?.iter().filter_map(|path| block_id(path)).collect())
}

/// Removes what writers and deleters that were cut off have left.
pub fn remove_leftovers(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for path in disk.list(dir)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = [CREATION_SUFFIX, DELETION_SUFFIX, ".tmp"].iter().find_map(|suffix| name.strip_suffix(suffix));
        if stem.is_some_and(|stem| stem.parse::<BlockId>().is_ok()) {
            disk.remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// Deletes a block so that a crash in between leaves no half of it behind as a block.
pub fn delete(disk: &dyn Disk, dir: &Path, id: BlockId) -> io::Result<()> {
    let doomed = dir.join(format!("{id}{DELETION_SUFFIX}"));
    disk.rename(&dir.join(id.to_string()), &doomed)?;
    disk.sync_dir(dir)?;
    disk.remove_dir_all(&doomed)
}
