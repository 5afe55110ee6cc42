//! The log of an engine, and how commits are grouped.
//!
//! Frames wait in a queue. Of those who wait for a commit, the first becomes the leader: it takes the whole queue, writes
//! and syncs it, and wakes all whom that covers. Whoever comes meanwhile is covered by the next leader. There is no timer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};
use thanoxide_env::Disk;

use super::reader::{DurableEnd, LogReadError, LogReader};
use super::segment::{BLOCK_BYTES, SegmentReader, list_segments, segment_path};
use super::writer::SegmentWriter;
use super::{Frame, FrameKind, Position};
use crate::wal::LogError;

/// A buffer larger than this is not kept once it is written.
const KEEP_BYTES: usize = 1 << 20;

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<u8>,
    appended: Position,
    durable: Position,
    /// Whether someone writes now.
    led: bool,
    /// The last failed write: how far it wanted to come, and why it did not.
    failure: Option<(Position, LogError)>,
    /// Bytes that a failed write left in memory, or that are being written.
    unsynced_bytes: usize,
    /// All bytes written so far, as they lie on disk.
    written_bytes: u64,
    /// Where what is durable ends.
    end: DurableEnd,
}

/// A log of all tenants under one directory.
#[derive(Debug)]
pub struct SharedLog {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    queue: Mutex<Queue>,
    woken: Condvar,
    writer: Mutex<SegmentWriter>,
    new_names: Arc<AtomicBool>,
}

impl SharedLog {
    /// Goes on with a log behind `last`, the greatest position in use, in a new segment of this number. Without `sync`
    /// a commit only writes.
    pub fn new(disk: Arc<dyn Disk>, root: &Path, segment_bytes: u64, sync: bool, number: u64, last: Position) -> Self {
        let new_names = Arc::new(AtomicBool::new(false));
        let names = Arc::clone(&new_names);
        let writer = SegmentWriter::new(Arc::clone(&disk), root.to_path_buf(), segment_bytes, sync, number, names);
        let end = (number.saturating_sub(1), u64::MAX);
        let queue = Queue { appended: last, durable: last, end, ..Queue::default() };
        SharedLog {
            disk,
            root: root.to_path_buf(),
            queue: Mutex::new(queue),
            woken: Condvar::new(),
            writer: Mutex::new(writer),
            new_names,
        }
    }

    /// Hands over payloads of a tenant, in order, and gives the position of the last. They are durable once a
    /// [`SharedLog::commit`] of that position succeeded.
    pub fn append<'a>(
        &self,
        tenant: &str,
        generation: u64,
        payloads: impl Iterator<Item = (FrameKind, &'a [u8])>,
    ) -> Position {
        let mut queue = self.queue.lock();
        for (kind, payload) in payloads {
            queue.appended += 1;
            let position = queue.appended;
            let frame = Frame { position, tenant: tenant.as_bytes(), generation, kind: Some(kind), payload };
            frame.push(&mut queue.waiting);
        }
        queue.appended
    }

    /// A reader from a position on, which need not be there yet.
    pub fn reader(&self, from: Position) -> LogReader {
        LogReader::new(Arc::clone(&self.disk), self.root.clone(), from)
    }

    /// Shows a reader's next frames, as far as they are durable now, and says how many. `visit` may end it by saying no; the
    /// frame that it saw counts as read.
    pub fn read(&self, reader: &mut LogReader, visit: &mut dyn FnMut(&Frame<'_>) -> bool) -> Result<u64, LogReadError> {
        let end = self.queue.lock().end;
        reader.read(end, visit)
    }

    /// The position of the oldest frame that is still there; what is before it only a snapshot has.
    pub fn watermark(&self) -> io::Result<Position> {
        for number in list_segments(&*self.disk, &self.root)? {
            let mut segment = SegmentReader::open(&*self.disk, &segment_path(&self.root, number))?;
            if let Some((_, frame)) = segment.next_frame()? {
                return Ok(frame.position);
            }
        }
        Ok(self.queue.lock().durable + 1)
    }

    /// Bytes written since the log was opened, as they lie on disk.
    pub fn written_bytes(&self) -> u64 {
        self.queue.lock().written_bytes
    }

    /// There is a new name in the directory that later frames rely on: the next commit makes it durable, too.
    pub fn note_new_name(&self) {
        self.new_names.store(true, Ordering::SeqCst);
    }

    /// The position of the last frame that was handed over.
    pub fn position(&self) -> Position {
        self.queue.lock().appended
    }

    /// Waits until all up to a position is durable. An error acknowledges nothing, yet keeps the frames for the next try.
    pub fn commit(&self, up_to: Position) -> Result<(), LogError> {
        let mut queue = self.queue.lock();
        let mut tried = false;
        loop {
            if queue.durable >= up_to {
                return Ok(());
            }
            match &queue.failure {
                // Someone tried to write these very frames while we waited, and could not.
                Some((wanted, error)) if tried && *wanted >= up_to => return Err(error.clone()),
                _ => {}
            }
            tried = true;
            if queue.led {
                self.woken.wait(&mut queue);
                continue;
            }
            queue.led = true;
            let frames = std::mem::take(&mut queue.waiting);
            queue.unsynced_bytes += frames.len();
            let bytes = (frames.len() as u64).next_multiple_of(BLOCK_BYTES);
            let wanted = queue.appended;
            drop(queue);
            let mut writer = self.writer.lock();
            let written = writer.write(frames);
            let (unsynced_bytes, end) = (writer.unsynced_bytes(), writer.end());
            drop(writer);
            queue = self.queue.lock();
            queue.led = false;
            queue.unsynced_bytes = unsynced_bytes;
            match written {
                Ok(buffer) => {
                    queue.durable = wanted;
                    queue.end = end;
                    queue.written_bytes += bytes;
                    queue.failure = None;
                    if queue.waiting.capacity() == 0 && buffer.capacity() <= KEEP_BYTES {
                        queue.waiting = buffer;
                    }
                }
                Err(error) => queue.failure = Some((wanted, error)),
            }
            self.woken.notify_all();
        }
    }

    /// After a failure: tries to write what is not durable yet. Does nothing otherwise.
    pub fn recover(&self) -> Result<(), LogError> {
        let queue = self.queue.lock();
        if queue.failure.is_none() {
            return Ok(());
        }
        let up_to = queue.appended;
        drop(queue);
        self.commit(up_to)
    }

    /// Bytes handed over and not durable yet.
    pub fn backlog_bytes(&self) -> usize {
        let queue = self.queue.lock();
        queue.waiting.len() + queue.unsynced_bytes
    }

    /// Begins a new segment and gives its number: all that was handed over before this call is durable in earlier ones.
    pub fn rotate(&self) -> Result<u64, LogError> {
        self.commit(self.position())?;
        Ok(self.writer.lock().close_segment())
    }

    /// Removes the segments before a number. What cannot be removed now is removed with the next call.
    pub fn remove_before(&self, number: u64) -> io::Result<()> {
        for segment in list_segments(&*self.disk, &self.root)?.into_iter().filter(|n| *n < number) {
            self.disk.remove_file(&segment_path(&self.root, segment))?;
        }
        Ok(())
    }

    /// Bytes on disk.
    pub fn size_bytes(&self) -> Result<u64, LogError> {
        let io = |e| LogError::new(&self.root, &e);
        let mut bytes = 0;
        for number in list_segments(&*self.disk, &self.root).map_err(io)? {
            let path = segment_path(&self.root, number);
            bytes += self.disk.open(&path).and_then(|file| file.len()).map_err(|e| LogError::new(path, &e))?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
