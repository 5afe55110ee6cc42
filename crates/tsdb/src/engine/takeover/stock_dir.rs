//! The files of a stock head: log, write-behind log, head chunks, snapshots.

use std::io;
use std::path::{Path, PathBuf};

use thanoxide_env::Disk;

use crate::wal::checkpoint::{checkpoint_path, list_checkpoints};
use crate::wal::chunk_snapshot::list_snapshots;
use crate::wal::head_chunks::HEAD_CHUNKS_DIR;
use crate::wal::segment::{SegmentReader, list_segments, segment_path};

/// The directory of a stock log.
pub(crate) const WAL_DIR: &str = "wal";

/// The directory of samples that came out of order.
pub(crate) const WBL_DIR: &str = "wbl";

/// The directories of a stock head, snapshots apart.
pub(crate) const STOCK_DIRS: [&str; 3] = [WBL_DIR, HEAD_CHUNKS_DIR, WAL_DIR];

/// What the name of a thing ends with that was taken over and is put aside.
const TAKEN_SUFFIX: &str = ".taken-over";

/// A tenant's directory as a stock program leaves it.
#[derive(Debug)]
pub(crate) struct StockDir<'d> {
    pub(crate) disk: &'d dyn Disk,
    dir: &'d Path,
}

impl<'d> StockDir<'d> {
    pub(crate) fn new(disk: &'d dyn Disk, dir: &'d Path) -> Self {
        StockDir { disk, dir }
    }

    pub(crate) fn head_chunks_dir(&self) -> PathBuf {
        self.dir.join(HEAD_CHUNKS_DIR)
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> io::Result<Option<PathBuf>> {
        Ok(list_snapshots(self.disk, self.dir)?.pop())
    }

    /// Shows the records of the checkpoint and of the segments behind it. Says how much could not be read.
    pub(crate) fn read_log(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
        let dir = self.dir.join(WAL_DIR);
        if !self.disk.is_dir(&dir)? {
            return Ok(0);
        }
        let checkpoint = list_checkpoints(self.disk, &dir)?.last().copied();
        let mut damaged = 0;
        if let Some(number) = checkpoint {
            damaged += self.read_segments(&checkpoint_path(&dir, number), None, visit)?;
        }
        Ok(damaged + self.read_segments(&dir, checkpoint, visit)?)
    }

    /// Shows the records of the write-behind log. Says how much could not be read.
    pub(crate) fn read_late_log(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
        let dir = self.dir.join(WBL_DIR);
        if self.disk.is_dir(&dir)? { self.read_segments(&dir, None, visit) } else { Ok(0) }
    }

    fn read_segments(&self, dir: &Path, after: Option<u32>, visit: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
        let mut damaged = 0;
        for number in list_segments(self.disk, dir)?.into_iter().filter(|n| after.is_none_or(|after| *n > after)) {
            let mut reader = SegmentReader::open(self.disk, &segment_path(dir, number))?;
            while let Some(record) = reader.next_record()? {
                visit(record);
            }
            damaged += reader.damage().len() as u64;
        }
        Ok(damaged)
    }

    /// What belongs to the stock head, and is there.
    pub(crate) fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths: Vec<_> = STOCK_DIRS.iter().map(|name| self.dir.join(name)).collect();
        paths.extend(list_snapshots(self.disk, self.dir)?);
        paths.retain(|path| !is_taken(path));
        let mut there = Vec::new();
        for path in paths {
            if self.disk.exists(&path)? {
                there.push(path);
            }
        }
        Ok(there)
    }

    /// Puts things aside, all of which was taken over and is durable elsewhere. Should a crash undo it, it is taken over
    /// once more.
    pub(crate) fn put_aside(&self, paths: &[PathBuf]) -> io::Result<()> {
        for path in paths {
            let mut aside = path.as_os_str().to_owned();
            aside.push(TAKEN_SUFFIX);
            let aside = PathBuf::from(aside);
            if self.disk.exists(&aside)? {
                self.disk.remove_dir_all(&aside)?;
            }
            self.disk.rename(path, &aside)?;
        }
        Ok(())
    }

    /// Removes what was put aside.
    pub(crate) fn remove_taken(&self) -> io::Result<()> {
        for path in self.disk.list(self.dir)?.into_iter().filter(|path| is_taken(path)) {
            self.disk.remove_dir_all(&path)?;
        }
        Ok(())
    }
}

fn is_taken(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(TAKEN_SUFFIX))
}
