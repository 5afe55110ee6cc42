//! Writes records to segments, and writes them again elsewhere after a failure.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thanoxide_env::{Disk, DiskFile};

use super::LogError;
use super::page::{Compressor, pad_page, push_record, room_in_segment};
use super::segment::segment_path;

/// Records back to back, each behind its length.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    pub(crate) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(&(record.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(record);
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<8>()?;
            let (record, after) = after.split_at(u64::from_le_bytes(*len) as usize);
            rest = after;
            Some(record)
        })
    }
}

#[derive(Debug)]
struct Segment {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// Bytes written.
    len: u64,
    /// Bytes known to be durable.
    synced: u64,
}

/// The writing end of a log: one thread at a time.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    /// The number of the segment being written, or of the one to begin with the next record.
    number: u32,
    segment: Option<Segment>,
    /// A segment to be cut back to what is durable before anything else is written.
    to_seal: Option<Segment>,
    unsynced: Vec<Batch>,
    compressor: Compressor,
    buffer: Vec<u8>,
}

impl SegmentWriter {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, segment_bytes: u64, number: u32) -> Self {
        SegmentWriter {
            disk,
            dir,
            segment_bytes,
            number,
            segment: None,
            to_seal: None,
            unsynced: Vec::new(),
            compressor: Compressor::default(),
            buffer: Vec::new(),
        }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn unsynced_bytes(&self) -> usize {
        self.unsynced.iter().map(Batch::len_bytes).sum()
    }

    /// Makes a batch durable, and all that an earlier failure left behind it.
    pub(crate) fn write(&mut self, batch: Batch) -> Result<(), LogError> {
        if batch.len_bytes() > 0 {
            self.unsynced.push(batch);
        }
        self.seal()?;
        let batches = std::mem::take(&mut self.unsynced);
        let written = self.write_batches(&batches).and_then(|()| self.sync());
        if let Err((path, e)) = written {
            self.unsynced = batches;
            self.buffer.clear();
            // What the failed call left in the page cache is unknown: go on in a new file, from what is surely durable.
            self.to_seal = self.segment.take();
            return Err(LogError::new(path, &e));
        }
        self.release_memory();
        Ok(())
    }

    /// Ends the segment; the next record begins a new one.
    pub(crate) fn close_segment(&mut self) {
        // All that was written is synced here: `write` leaves a segment open only then.
        if self.segment.take().is_some() {
            self.number += 1;
        }
    }

    fn seal(&mut self) -> Result<(), LogError> {
        let Some(segment) = &self.to_seal else { return Ok(()) };
        let sealed = segment.file.truncate(segment.synced).and_then(|()| segment.file.sync_data());
        sealed.map_err(|e| LogError::new(&segment.path, &e))?;
        self.to_seal = None;
        self.number += 1;
        Ok(())
    }

    fn write_batches(&mut self, batches: &[Batch]) -> Result<(), (PathBuf, io::Error)> {
        let mut compressor = std::mem::take(&mut self.compressor);
        let written = batches.iter().flat_map(Batch::iter).try_for_each(|record| {
            let (stored, flag) = compressor.compress(record);
            self.write_record(stored, flag)
        });
        self.compressor = compressor;
        written
    }

    fn write_record(&mut self, stored: &[u8], flag: u8) -> Result<(), (PathBuf, io::Error)> {
        const FLUSH_BYTES: usize = 1024 * 1024;
        let used = self.open_segment()?.len + self.buffer.len() as u64;
        if used > 0 && stored.len() as u64 > room_in_segment(used, self.segment_bytes) {
            self.cut_segment()?;
        }
        let start = self.open_segment()?.len;
        push_record(&mut self.buffer, start, stored, flag);
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn open_segment(&mut self) -> Result<&mut Segment, (PathBuf, io::Error)> {
        if self.segment.is_none() {
            let path = segment_path(&self.dir, self.number);
            let created = self.disk.create(&path).and_then(|file| self.disk.sync_dir(&self.dir).map(|()| file));
            let file = created.map_err(|e| (path.clone(), e))?;
            self.segment = Some(Segment { file, path, len: 0, synced: 0 });
        }
        Ok(self.segment.as_mut().expect("it was just opened"))
    }

    fn cut_segment(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let start = self.open_segment()?.len;
        pad_page(&mut self.buffer, start);
        self.sync()?;
        self.close_segment();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let appended = segment.file.append(&self.buffer);
        let len = self.buffer.len() as u64;
        self.buffer.clear();
        appended.map_err(|e| (segment.path.clone(), e))?;
        segment.len += len;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), (PathBuf, io::Error)> {
        self.flush()?;
        let Some(segment) = &mut self.segment else { return Ok(()) };
        segment.file.sync_data().map_err(|e| (segment.path.clone(), e))?;
        segment.synced = segment.len;
        Ok(())
    }

    /// An idle tenant keeps no buffers.
    fn release_memory(&mut self) {
        const KEEP_BYTES: usize = 64 * 1024;
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer = Vec::new();
        }
    }
}
