//! The hints of one node: a directory of segments, `<number>.hints`, written at one end and read at the other.
//!
//! A segment that is read to its end is removed. After a crash the oldest one is read from its beginning: a write that comes twice
//! changes nothing.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thanoxide_env::{Disk, DiskFile};

use super::segment::{record, record_at};

/// A segment is ended once it has so many bytes.
const SEGMENT_BYTES: u64 = 8 << 20;

/// A queue; all its calls may block.
#[derive(Debug)]
pub(super) struct Queue {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    /// Number and length of the segments on disk, oldest first.
    segments: VecDeque<(u64, u64)>,
    open: Option<Open>,
    reading: Option<Reading>,
}

/// The youngest segment.
#[derive(Debug)]
struct Open {
    file: Box<dyn DiskFile>,
    synced: bool,
}

/// The oldest one, in memory.
#[derive(Debug)]
struct Reading {
    content: Vec<u8>,
    position: usize,
}

/// What lies first in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) kept_ms: i64,
    pub(super) hint: Vec<u8>,
    next: usize,
}

impl Queue {
    /// Opens a directory, or makes it.
    pub(super) fn open(dir: PathBuf, disk: Arc<dyn Disk>) -> io::Result<Self> {
        disk.create_dir_all(&dir)?;
        let mut segments = Vec::new();
        for path in disk.list(&dir)? {
            if let Some(number) = number_of(&path) {
                segments.push((number, disk.open(&path)?.len()?));
            }
        }
        segments.sort_unstable();
        Ok(Queue { dir, disk, segments: segments.into(), open: None, reading: None })
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, bytes)| bytes).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Adds a hint. It is durable after the next [`Queue::sync`].
    pub(super) fn push(&mut self, kept_ms: i64, hint: &[u8]) -> io::Result<()> {
        if self.open.is_none() || self.segments.back().is_none_or(|(_, bytes)| *bytes >= SEGMENT_BYTES) {
            self.begin()?;
        }
        let record = record(kept_ms, hint);
        let (Some(open), Some((_, bytes))) = (&mut self.open, self.segments.back_mut()) else { return Ok(()) };
        if let Err(e) = open.file.append(&record) {
            // What it left of the record ends the segment for whoever reads it; the next hint begins another one.
            *bytes = open.file.len().unwrap_or(*bytes);
            self.open = None;
            return Err(e);
        }
        *bytes += record.len() as u64;
        open.synced = false;
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        self.sync()?;
        let number = self.segments.back().map_or(1, |(number, _)| number + 1);
        let file = self.disk.create(&self.path(number))?;
        self.disk.sync_dir(&self.dir)?;
        self.segments.push_back((number, 0));
        self.open = Some(Open { file, synced: true });
        Ok(())
    }

    /// Makes all hints durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(open) = self.open.as_mut().filter(|open| !open.synced) {
            open.file.sync_data()?;
            open.synced = true;
        }
        Ok(())
    }

    /// The oldest hint; it stays until [`Queue::done`].
    pub(super) fn first(&mut self) -> io::Result<Option<Kept>> {
        while let Some((number, _)) = self.segments.front().copied() {
            let position = self.reading.as_ref().map_or(0, |reading| reading.position);
            if let Some(kept) = self.reading.as_ref().and_then(|r| kept_at(&r.content, position)) {
                return Ok(Some(kept));
            }
            // Read to the end of what was in memory: there may be more by now.
            let content = self.disk.read(&self.path(number))?;
            if let Some(kept) = kept_at(&content, position) {
                self.reading = Some(Reading { content, position });
                return Ok(Some(kept));
            }
            if content.len() > position {
                let lost_bytes = content.len() - position;
                tracing::warn!(dir = %self.dir.display(), number, lost_bytes, "a segment of hints ends in a broken one");
            }
            self.remove_first(number)?;
        }
        Ok(None)
    }

    /// The hint that [`Queue::first`] gave is delivered, or given up.
    pub(super) fn done(&mut self, kept: &Kept) {
        if let Some(reading) = &mut self.reading {
            reading.position = kept.next;
        }
    }

    fn remove_first(&mut self, number: u64) -> io::Result<()> {
        if self.segments.len() == 1 {
            self.open = None;
        }
        self.disk.remove_file(&self.path(number))?;
        (self.reading, _) = (None, self.segments.pop_front());
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:012}.hints"))
    }
}

fn kept_at(content: &[u8], position: usize) -> Option<Kept> {
    let record = record_at(content, position)?;
    Some(Kept { kept_ms: record.kept_ms, hint: record.hint.to_vec(), next: record.next })
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".hints")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use thanoxide_env::{FaultDisk, SystemDisk};

    use super::*;

    fn queue(dir: &Path) -> Queue {
        Queue::open(dir.to_path_buf(), Arc::new(SystemDisk)).unwrap()
    }

    fn drain(queue: &mut Queue) -> Vec<Vec<u8>> {
        let mut hints = Vec::new();
        while let Some(kept) = queue.first().unwrap() {
            queue.done(&kept);
            hints.push(kept.hint);
        }
        hints
    }

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("thanoxide-hints-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn hints_come_back_in_order_also_after_a_restart() {
        let dir = dir("order");
        let mut first = queue(&dir);
        let hints: Vec<Vec<u8>> = (0..20_u8).map(|i| vec![i; 1 << 20]).collect();
        hints.iter().for_each(|hint| first.push(7, hint).unwrap());
        first.sync().unwrap();
        assert!(first.bytes() > 20 << 20);
        let kept = first.first().unwrap().unwrap();
        assert_eq!((kept.kept_ms, kept.hint.len()), (7, 1 << 20));
        first.done(&kept);
        drop(first);
        // Nobody wrote down that the first one was done.
        let mut second = queue(&dir);
        assert_eq!(drain(&mut second), hints);
        assert_eq!((second.bytes(), second.is_empty()), (0, true));
        second.push(8, b"more").unwrap();
        assert_eq!(drain(&mut second), [b"more".to_vec()]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_reader_sees_what_is_written_meanwhile() {
        let dir = dir("meanwhile");
        let mut queue = queue(&dir);
        queue.push(1, b"a").unwrap();
        let kept = queue.first().unwrap().unwrap();
        queue.push(1, b"b").unwrap();
        queue.done(&kept);
        assert_eq!(drain(&mut queue), [b"b".to_vec()]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_failed_append_costs_its_own_hint_only() {
        let dir = dir("faults");
        let disk = Arc::new(FaultDisk::new(Arc::new(SystemDisk)));
        let mut queue = Queue::open(dir.clone(), Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
        queue.push(1, b"a").unwrap();
        disk.set_full(true);
        assert!(queue.push(1, b"lost").is_err());
        disk.set_full(false);
        queue.push(1, b"b").unwrap();
        assert_eq!(drain(&mut queue), [b"a".to_vec(), b"b".to_vec()]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
