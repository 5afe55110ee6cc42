//! The log on disk, and how commits are grouped.
//!
//! Records wait in a queue. Of those who wait for a commit, the first becomes the leader: it takes the whole queue, writes
//! and syncs it, and wakes all whom that covers. Whoever comes meanwhile is covered by the next leader.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use thanoxide_env::Disk;

use super::checkpoint::{checkpoint_path, list_checkpoints, remove_leftovers, write_checkpoint};
use super::repair::{repair_segment, sync_repairs};
use super::segment::{SegmentReader, list_segments, segment_path};
use super::segment_writer::{Batch, SegmentWriter};
use super::{Log, LogError, Position, ReplayReport, Truncation};

#[derive(Debug, Default)]
struct Queue {
    waiting: Batch,
    appended: Position,
    durable: Position,
    /// Whether someone writes now.
    led: bool,
    /// The last failed write: how far it wanted to come, and why it did not.
    failure: Option<(Position, LogError)>,
    /// Bytes that a failed write left in memory.
    unsynced_bytes: usize,
}

/// A log in a directory of segments.
#[derive(Debug)]
pub struct SegmentLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    queue: Mutex<Queue>,
    woken: Condvar,
    writer: Mutex<SegmentWriter>,
}

impl SegmentLog {
    /// Opens the log in a directory, which is made where it is missing. Writing begins with a new segment.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, segment_bytes: u64) -> Result<Self, LogError> {
        let io = |e: std::io::Error| LogError::new(&dir, &e);
        disk.create_dir_all(&dir).map_err(io)?;
        remove_leftovers(&*disk, &dir).map_err(io)?;
        let newest = list_segments(&*disk, &dir).map_err(io)?.last().copied();
        let checkpoint = list_checkpoints(&*disk, &dir).map_err(io)?.last().copied();
        let number = newest.max(checkpoint).map_or(0, |n| n + 1);
        let writer = Mutex::new(SegmentWriter::new(Arc::clone(&disk), dir.clone(), segment_bytes, number));
        Ok(SegmentLog { disk, dir, queue: Mutex::default(), woken: Condvar::new(), writer })
    }

    fn error(&self, error: std::io::Error) -> LogError {
        LogError::new(&self.dir, &error)
    }

    fn replay_dir(
        &self,
        dir: &Path,
        numbers: &[u32],
        visit: &mut dyn FnMut(&[u8]),
        report: &mut ReplayReport,
    ) -> Result<(), LogError> {
        let mut repaired = false;
        for number in numbers {
            let path = segment_path(dir, *number);
            let io = |e| LogError::new(&path, &e);
            let mut reader = SegmentReader::open(&*self.disk, &path).map_err(io)?;
            while let Some(record) = reader.next_record().map_err(io)? {
                visit(record);
                report.records += 1;
            }
            report.segments += 1;
            repaired |= repair_segment(&*self.disk, &self.dir, &path, &reader, report).map_err(io)?;
        }
        if repaired { sync_repairs(&*self.disk, &self.dir, dir).map_err(|e| self.error(e)) } else { Ok(()) }
    }
}

impl Log for SegmentLog {
    fn append(&self, records: &[&[u8]]) -> Position {
        let mut queue = self.queue.lock();
        for record in records {
            queue.waiting.push(record);
        }
        queue.appended += 1;
        queue.appended
    }

    fn position(&self) -> Position {
        self.queue.lock().appended
    }

    fn commit(&self, up_to: Position) -> Result<(), LogError> {
        let mut queue = self.queue.lock();
        let mut tried = false;
        loop {
            if queue.durable >= up_to {
                return Ok(());
            }
            match &queue.failure {
                // Someone tried to write these very records while we waited, and could not.
                Some((wanted, error)) if tried && *wanted >= up_to => return Err(error.clone()),
                _ => {}
            }
            tried = true;
            if queue.led {
                self.woken.wait(&mut queue);
                continue;
            }
            queue.led = true;
            let batch = std::mem::take(&mut queue.waiting);
            let wanted = queue.appended;
            drop(queue);
            let mut writer = self.writer.lock();
            let written = writer.write(batch);
            let unsynced_bytes = writer.unsynced_bytes();
            drop(writer);
            queue = self.queue.lock();
            queue.led = false;
            queue.unsynced_bytes = unsynced_bytes;
            match written {
                Ok(()) => {
                    queue.durable = wanted;
                    queue.failure = None;
                }
                Err(error) => queue.failure = Some((wanted, error)),
            }
            self.woken.notify_all();
        }
    }

    fn recover(&self) -> Result<(), LogError> {
        let queue = self.queue.lock();
        if queue.failure.is_none() {
            return Ok(());
        }
        let up_to = queue.appended;
        drop(queue);
        self.commit(up_to)
    }

    fn backlog_bytes(&self) -> usize {
        let queue = self.queue.lock();
        queue.waiting.len_bytes() + queue.unsynced_bytes
    }

    fn current_segment(&self) -> u32 {
        self.writer.lock().number()
    }

    fn size_bytes(&self) -> Result<u64, LogError> {
        let mut bytes = 0;
        let mut dirs = vec![self.dir.clone()];
        for number in list_checkpoints(&*self.disk, &self.dir).map_err(|e| self.error(e))? {
            dirs.push(checkpoint_path(&self.dir, number));
        }
        for dir in dirs {
            for number in list_segments(&*self.disk, &dir).map_err(|e| self.error(e))? {
                let path = segment_path(&dir, number);
                let len = self.disk.open(&path).and_then(|file| file.len());
                bytes += len.map_err(|e| LogError::new(path, &e))?;
            }
        }
        Ok(bytes)
    }

    fn truncate(&self, truncation: &Truncation<'_>) -> Result<Option<u32>, LogError> {
        // Nothing may be left unwritten in a segment that is given up.
        self.commit(self.position())?;
        let segments = list_segments(&*self.disk, &self.dir).map_err(|e| self.error(e))?;
        self.writer.lock().close_segment();
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return Ok(None) };
        // The upper third is young: most of it would only be copied.
        let last = first + (last.saturating_sub(1).saturating_sub(*first)) * 2 / 3;
        if last <= *first {
            return Ok(None);
        }
        write_checkpoint(&*self.disk, &self.dir, last, truncation)?;
        Ok(Some(last))
    }

    fn replay(&self, visit: &mut dyn FnMut(&[u8])) -> Result<ReplayReport, LogError> {
        let mut report = ReplayReport::default();
        let checkpoint = list_checkpoints(&*self.disk, &self.dir).map_err(|e| self.error(e))?.last().copied();
        if let Some(number) = checkpoint {
            let dir = checkpoint_path(&self.dir, number);
            let numbers = list_segments(&*self.disk, &dir).map_err(|e| self.error(e))?;
            self.replay_dir(&dir, &numbers, visit, &mut report)?;
        }
        let mut numbers = list_segments(&*self.disk, &self.dir).map_err(|e| self.error(e))?;
        numbers.retain(|n| checkpoint.is_none_or(|c| *n > c));
        self.replay_dir(&self.dir, &numbers, visit, &mut report)?;
        Ok(report)
    }
}
