//! Where a new block goes: a directory, a bucket, or memory.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use thanoxide_env::{Disk, DiskFile};

use crate::block::{CHUNKS_DIR, CREATION_SUFFIX};
use crate::meta::BlockId;

/// Takes the files of one block. Chunk files come one after the other, the index beside them, and `meta.json` last.
pub trait BlockSink: Debug {
    /// Begins a file, such as `chunks/000001`.
    fn create(&mut self, name: &str) -> io::Result<Box<dyn FileSink>>;
    /// All files are finished: the block becomes visible, for good.
    fn publish(&mut self) -> io::Result<()>;
    /// There will be no block: whatever was written goes away.
    fn discard(&mut self) -> io::Result<()>;
}

/// Takes one file, front to back.
pub trait FileSink: Debug {
    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes the file durable.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Writes a block into `<id>.tmp-for-creation` and renames that at the end.
#[derive(Debug)]
pub struct DirSink<'d> {
    disk: &'d dyn Disk,
    parent: PathBuf,
    id: BlockId,
    dir: PathBuf,
}

impl<'d> DirSink<'d> {
    /// The block `id` in `parent`.
    pub fn create(disk: &'d dyn Disk, parent: &Path, id: BlockId) -> io::Result<Self> {
        let dir = parent.join(format!("{id}{CREATION_SUFFIX}"));
        if disk.exists(&dir)? {
            disk.remove_dir_all(&dir)?;
        }
        disk.create_dir_all(&dir.join(CHUNKS_DIR))?;
        Ok(DirSink { disk, parent: parent.to_path_buf(), id, dir })
    }
}

impl BlockSink for DirSink<'_> {
    fn create(&mut self, name: &str) -> io::Result<Box<dyn FileSink>> {
        Ok(Box::new(DiskFileSink(self.disk.create(&self.dir.join(name))?)))
    }

    fn publish(&mut self) -> io::Result<()> {
        self.disk.sync_dir(&self.dir.join(CHUNKS_DIR))?;
        self.disk.sync_dir(&self.dir)?;
        self.disk.rename(&self.dir, &self.parent.join(self.id.to_string()))?;
        self.disk.sync_dir(&self.parent)
    }

    fn discard(&mut self) -> io::Result<()> {
        self.disk.remove_dir_all(&self.dir)
    }
}

#[derive(Debug)]
struct DiskFileSink(Box<dyn DiskFile>);

impl FileSink for DiskFileSink {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.sync_data()
    }
}
