//! Writes records to the segments of a log that nobody reads meanwhile, and makes them durable at the end.

use std::io;
use std::path::{Path, PathBuf};

use thanoxide_env::{Disk, DiskFile};

use super::page::{Compressor, pad_page, push_record, room_in_segment};
use super::segment::{list_segments, segment_path};

const FLUSH_BYTES: usize = 1 << 20;

/// A segment that is being written.
#[derive(Debug)]
struct Segment {
    file: Box<dyn DiskFile>,
    /// Bytes handed to the file.
    written: u64,
}

/// Writes a log.
#[derive(Debug)]
pub struct LogWriter<'d> {
    disk: &'d dyn Disk,
    dir: PathBuf,
    segment_bytes: u64,
    next_number: u32,
    segment: Option<Segment>,
    compressor: Compressor,
    buffer: Vec<u8>,
}

impl<'d> LogWriter<'d> {
    /// Begins in a directory, which is made where it is missing, behind the segments that are there.
    pub fn create(disk: &'d dyn Disk, dir: &Path, segment_bytes: u64) -> io::Result<Self> {
        disk.create_dir_all(dir)?;
        let next_number = list_segments(disk, dir)?.last().map_or(0, |newest| newest + 1);
        let (compressor, buffer) = (Compressor::default(), Vec::new());
        Ok(LogWriter { disk, dir: dir.to_path_buf(), segment_bytes, next_number, segment: None, compressor, buffer })
    }

    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) -> io::Result<()> {
        let mut compressor = std::mem::take(&mut self.compressor);
        let (stored, flag) = compressor.compress(record);
        let pushed = self.push_stored(stored, flag);
        self.compressor = compressor;
        pushed
    }

    fn push_stored(&mut self, stored: &[u8], flag: u8) -> io::Result<()> {
        let used = self.used();
        if used > 0 && stored.len() as u64 > room_in_segment(used, self.segment_bytes) {
            self.end_segment()?;
        }
        let start = match &self.segment {
            Some(segment) => segment.written,
            None => self.begin_segment()?,
        };
        push_record(&mut self.buffer, start, stored, flag);
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Makes all durable, the names of the segments included. There is one even where there was no record.
    pub fn finish(mut self) -> io::Result<()> {
        if self.next_number == 0 {
            self.begin_segment()?;
        }
        self.sync()?;
        self.disk.sync_dir(&self.dir)
    }

    fn used(&self) -> u64 {
        self.segment.as_ref().map_or(0, |segment| segment.written) + self.buffer.len() as u64
    }

    fn begin_segment(&mut self) -> io::Result<u64> {
        let file = self.disk.create(&segment_path(&self.dir, self.next_number))?;
        self.next_number += 1;
        self.segment = Some(Segment { file, written: 0 });
        Ok(0)
    }

    fn end_segment(&mut self) -> io::Result<()> {
        let start = self.segment.as_ref().map_or(0, |segment| segment.written);
        pad_page(&mut self.buffer, start);
        self.sync()?;
        self.segment = None;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(segment) = &mut self.segment {
            segment.file.append(&self.buffer)?;
            segment.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.segment.as_ref().map_or(Ok(()), |segment| segment.file.sync_data())
    }
}
