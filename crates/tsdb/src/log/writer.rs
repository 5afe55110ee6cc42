//! Writes commits to segments, and writes them again elsewhere after a failure.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thanoxide_env::{Disk, DiskFile};

use super::segment::{BLOCK_BYTES, SEGMENT_MAGIC, segment_path};
use crate::encoding::Put;
use crate::wal::LogError;

#[derive(Debug)]
struct Segment {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// Bytes known to be durable; there are no others while nobody writes.
    synced: u64,
}

/// The writing end of a log: one thread at a time.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    segment_bytes: u64,
    sync: bool,
    /// Whether the directory has names that are not durable yet.
    new_names: Arc<AtomicBool>,
    /// The number of the segment being written, or of the one to begin next.
    number: u64,
    segment: Option<Segment>,
    /// A segment to be cut back to what is durable before anything else is written.
    to_seal: Option<Segment>,
    /// Frames that a failure left behind.
    unsynced: Vec<Vec<u8>>,
}

impl SegmentWriter {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        root: PathBuf,
        segment_bytes: u64,
        sync: bool,
        number: u64,
        new_names: Arc<AtomicBool>,
    ) -> Self {
        SegmentWriter {
            disk,
            root,
            segment_bytes,
            sync,
            number,
            new_names,
            segment: None,
            to_seal: None,
            unsynced: Vec::new(),
        }
    }

    pub(super) fn unsynced_bytes(&self) -> usize {
        self.unsynced.iter().map(Vec::len).sum()
    }

    /// Makes frames durable, and all that an earlier failure left behind. Gives the buffer back, empty.
    pub(super) fn write(&mut self, frames: Vec<u8>) -> Result<Vec<u8>, LogError> {
        self.unsynced.push(frames);
        self.seal()?;
        let mut batches = std::mem::take(&mut self.unsynced);
        let written = batches.iter_mut().try_for_each(|frames| self.write_frames(frames)).and_then(|()| self.sync());
        if let Err((path, e)) = written {
            self.unsynced = batches;
            // What the failed call left in the page cache is unknown: go on in a new file, from what is surely durable.
            self.to_seal = self.segment.take();
            return Err(LogError::new(path, &e));
        }
        let mut buffer = batches.pop().unwrap_or_default();
        buffer.clear();
        Ok(buffer)
    }

    /// The last segment with something durable, and how many bytes of it are.
    pub(super) fn end(&self) -> (u64, u64) {
        match &self.segment {
            Some(segment) => (self.number, segment.synced),
            None => (self.number.saturating_sub(1), u64::MAX),
        }
    }

    /// Ends the segment and gives the number of the one to come.
    pub(super) fn close_segment(&mut self) -> u64 {
        if self.segment.take().is_some() {
            self.number += 1;
        }
        self.number
    }

    fn seal(&mut self) -> Result<(), LogError> {
        let Some(segment) = &self.to_seal else { return Ok(()) };
        let sealed = segment.file.truncate(segment.synced).and_then(|()| segment.file.sync_data());
        sealed.map_err(|e| LogError::new(&segment.path, &e))?;
        self.to_seal = None;
        self.number += 1;
        Ok(())
    }

    /// Writes a commit. Its padding stays at the end of `frames` only for as long.
    fn write_frames(&mut self, frames: &mut Vec<u8>) -> Result<(), (PathBuf, io::Error)> {
        if frames.is_empty() {
            return Ok(());
        }
        let segment = self.open_segment()?;
        let len = frames.len();
        let used = segment.file.len().map_err(|e| (segment.path.clone(), e))? + len as u64;
        frames.resize(len + (used.next_multiple_of(BLOCK_BYTES) - used) as usize, 0);
        let written = segment.file.append(frames).map_err(|e| (segment.path.clone(), e));
        frames.truncate(len);
        written
    }

    fn open_segment(&mut self) -> Result<&mut Segment, (PathBuf, io::Error)> {
        if self.segment.as_ref().is_some_and(|segment| segment.synced >= self.segment_bytes) {
            self.close_segment();
        }
        if self.segment.is_none() {
            let path = segment_path(&self.root, self.number);
            let file = self.create(&path).map_err(|e| (path.clone(), e))?;
            self.segment = Some(Segment { file, path, synced: 0 });
        }
        Ok(self.segment.as_mut().expect("it was just opened"))
    }

    fn create(&self, path: &std::path::Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.create(path)?;
        let mut header = SEGMENT_MAGIC.to_vec();
        header.put_u64(self.number);
        file.append(&header)?;
        self.new_names.store(true, Ordering::SeqCst);
        Ok(file)
    }

    fn sync(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let synced = if self.sync { segment.file.sync_data() } else { Ok(()) };
        let len = synced.and_then(|()| segment.file.len());
        let len = len.map_err(|e| (segment.path.clone(), e))?;
        if self.new_names.swap(false, Ordering::SeqCst) {
            self.disk.sync_dir(&self.root).map_err(|e| {
                self.new_names.store(true, Ordering::SeqCst);
                (self.root.clone(), e)
            })?;
        }
        segment.synced = len;
        Ok(())
    }
}
