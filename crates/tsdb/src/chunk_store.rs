//! Closed chunks of all heads, on disk: `chunks-<number>.tchk`.
//!
//! ```text
//! file  := "TchkFil\x01" | chunk*
//! chunk := u32 checksum of series reference, encoding and data | data
//! ```
//! Length and encoding are with whoever refers to the chunk: the series in memory, and the snapshot.
//!
//! A chunk goes into a buffer at once, which is written later by [`ChunkStore::flush`], outside of all locks of a head. Until
//! then it is read from the buffer. [`ChunkStore::sync`] makes all chunks durable, and later ones go to another file: no
//! disk block is written twice.

mod adoption;
mod file;
mod load;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use thanoxide_env::Disk;

use crate::chunk::{Chunk, Encoding};
use crate::log::segment::{list_numbered, numbered_path};
pub(crate) use adoption::Adoption;
use file::ChunkFile;
pub(crate) use load::{HeadChunk, HeadSeries, load, load_while, read_closed};

/// A file does not grow beyond this.
const MAX_FILE_BYTES: u64 = 128 << 20;
/// More than this waiting is written.
const FLUSH_BYTES: usize = 256 << 10;
/// With more than this waiting, nothing is appended: the disk does not follow, or fails.
const MOST_WAITING_BYTES: usize = 64 << 20;

/// Where a closed chunk lies, or a piece of a chunk: those before the last one, which has the first two bytes of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClosedChunk {
    pub(crate) min_time_ms: i64,
    /// The last time is so much later.
    pub(crate) span_ms: u32,
    pub(crate) file: u32,
    pub(crate) offset: u32,
    pub(crate) len: u16,
    pub(crate) encoding: Encoding,
    /// Whether this is a piece that another one follows. It has no times of its own.
    pub(crate) continues: bool,
}

impl ClosedChunk {
    pub(crate) fn max_time_ms(&self) -> i64 {
        self.min_time_ms.saturating_add(i64::from(self.span_ms))
    }
}

/// Files by number.
pub(crate) type Files = HashMap<u32, Arc<ChunkFile>, FixedState>;

#[derive(Debug)]
struct Current {
    /// The file that takes chunks; made with the first one.
    file: Option<Arc<ChunkFile>>,
    next_number: u32,
    /// Files that are not written or not synced to their end, oldest first.
    unfinished: Vec<Arc<ChunkFile>>,
}

/// The closed chunks of an engine.
#[derive(Debug)]
pub struct ChunkStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    files: RwLock<Arc<Files>>,
    current: Mutex<Current>,
    /// Held while files are written.
    writing: Mutex<()>,
}

impl ChunkStore {
    /// Opens all files in a directory.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        let mut files = Files::default();
        let numbers = list_numbered(&*disk, root, "chunks", "tchk")?;
        for number in numbers.iter().filter_map(|n| u32::try_from(*n).ok()) {
            files.insert(number, Arc::new(ChunkFile::open(&*disk, &file_path(root, number), number)?));
        }
        let next_number = files.keys().max().map_or(1, |number| number + 1);
        Ok(ChunkStore {
            disk,
            root: root.to_path_buf(),
            files: RwLock::new(Arc::new(files)),
            current: Mutex::new(Current { file: None, next_number, unfinished: Vec::new() }),
            writing: Mutex::new(()),
        })
    }

    /// Takes a chunk that fits; `None` where it is too large or too long to be referred to.
    pub(crate) fn push(&self, series: u64, chunk: &Chunk) -> Option<ClosedChunk> {
        let len = u16::try_from(chunk.data.len()).ok()?;
        let span_ms = u32::try_from(chunk.max_time_ms.checked_sub(chunk.min_time_ms)?).ok()?;
        let (encoding, min_time_ms) = (chunk.encoding, chunk.min_time_ms);
        let to = ClosedChunk { min_time_ms, span_ms, file: 0, offset: 0, len, encoding, continues: false };
        Some(self.put(series, to, &chunk.data))
    }

    /// Takes bytes of a chunk that grows, which come before those of the next call; `None` where they are too many.
    pub(crate) fn push_piece(&self, series: u64, encoding: Encoding, data: &[u8]) -> Option<ClosedChunk> {
        let len = u16::try_from(data.len()).ok()?;
        let to = ClosedChunk { min_time_ms: 0, span_ms: 0, file: 0, offset: 0, len, encoding, continues: true };
        Some(self.put(series, to, data))
    }

    /// Takes what lies elsewhere once more, and says where it lies now.
    pub(crate) fn put(&self, series: u64, chunk: ClosedChunk, data: &[u8]) -> ClosedChunk {
        let mut current = self.current.lock();
        if current.file.as_ref().is_some_and(|file| file.end() >= MAX_FILE_BYTES) {
            current.file = None;
        }
        let file = match &current.file {
            Some(file) => Arc::clone(file),
            None => self.begin(&mut current),
        };
        ClosedChunk { file: file.number(), offset: file.push(series, chunk.encoding, data), ..chunk }
    }

    fn begin(&self, current: &mut Current) -> Arc<ChunkFile> {
        let number = current.next_number;
        current.next_number += 1;
        let file = Arc::new(ChunkFile::new(file_path(&self.root, number), number));
        current.unfinished.push(Arc::clone(&file));
        current.file = Some(Arc::clone(&file));
        let mut files = self.files.write();
        Arc::make_mut(&mut files).insert(number, Arc::clone(&file));
        file
    }

    /// The files of this moment. Taken under a head's lock, it has all that the head refers to.
    pub(crate) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files.read())
    }

    /// No file has this number or a greater one yet.
    pub(crate) fn next_number(&self) -> u32 {
        self.current.lock().next_number
    }

    /// Whether a chunk that a snapshot refers to can be there.
    pub(crate) fn holds(&self, chunk: &ClosedChunk) -> bool {
        let files = self.files.read();
        let file = files.get(&chunk.file);
        file.is_some_and(|file| file.holds(u64::from(chunk.offset), u64::from(chunk.len)))
    }

    /// A chunk is not referred to any more.
    pub(crate) fn release(&self, chunk: &ClosedChunk) {
        if let Some(file) = self.files.read().get(&chunk.file) {
            file.release(u64::from(chunk.len));
        }
    }

    /// Writes what waits, if it is much, unless someone does so already.
    pub(crate) fn flush(&self) -> io::Result<()> {
        if self.waiting_bytes() < FLUSH_BYTES {
            return Ok(());
        }
        match self.writing.try_lock() {
            Some(_writing) => self.write_all(),
            None => Ok(()),
        }
    }

    /// Writes what waits where that is too much; an error where it cannot be written.
    pub(crate) fn check_backlog(&self) -> io::Result<()> {
        if self.waiting_bytes() < MOST_WAITING_BYTES {
            return Ok(());
        }
        let _writing = self.writing.lock();
        self.write_all()
    }

    fn waiting_bytes(&self) -> usize {
        self.current.lock().unfinished.iter().map(|file| file.waiting_bytes()).sum()
    }

    fn write_all(&self) -> io::Result<()> {
        let unfinished: Vec<_> = self.current.lock().unfinished.iter().map(Arc::clone).collect();
        unfinished.iter().try_for_each(|file| file.write(&*self.disk))
    }

    /// Makes all chunks durable that were taken before the call.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let _writing = self.writing.lock();
        let unfinished: Vec<_> = {
            let mut current = self.current.lock();
            current.file = None;
            current.unfinished.iter().map(Arc::clone).collect()
        };
        if unfinished.is_empty() {
            return Ok(());
        }
        for file in &unfinished {
            file.write(&*self.disk)?;
            file.sync(&*self.disk)?;
        }
        self.disk.sync_dir(&self.root)?;
        self.current.lock().unfinished.retain(|file| !unfinished.iter().any(|done| Arc::ptr_eq(file, done)));
        Ok(())
    }

    /// The files that nobody refers to now.
    pub(crate) fn unused(&self) -> Vec<u32> {
        let current = self.current.lock();
        let files = self.files.read();
        let busy = |number: u32| current.unfinished.iter().any(|file| file.number() == number);
        files.values().filter(|file| file.live() == 0 && !busy(file.number())).map(|file| file.number()).collect()
    }

    /// Files that a few chunks keep from being removed.
    pub(crate) fn sparse(&self) -> Vec<u32> {
        let current = self.current.lock();
        let files = self.files.read();
        let busy = |number: u32| current.unfinished.iter().any(|file| file.number() == number);
        files.values().filter(|file| file.is_sparse() && !busy(file.number())).map(|file| file.number()).collect()
    }

    /// Removes files. Who reads them now may go on.
    pub(crate) fn remove(&self, numbers: &[u32]) -> io::Result<()> {
        for number in numbers {
            Arc::make_mut(&mut self.files.write()).remove(number);
            self.disk.remove_file(&file_path(&self.root, *number))?;
        }
        Ok(())
    }

    /// How many chunks were found damaged since the start.
    pub fn damaged(&self) -> usize {
        self.files.read().values().map(|file| file.damaged()).sum()
    }

    /// Bytes in all files.
    pub fn size_bytes(&self) -> u64 {
        self.files.read().values().map(|file| file.end()).sum()
    }
}

fn file_path(root: &Path, number: u32) -> PathBuf {
    numbered_path(root, "chunks", u64::from(number), "tchk")
}
