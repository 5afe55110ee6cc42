//! One file of closed chunks.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use thanoxide_env::{Disk, DiskFile};

use super::ClosedChunk;
use crate::chunk::Encoding;

const MAGIC: [u8; 8] = *b"TchkFil\x01";
/// A file of which less than one part in so many is live has its chunks put elsewhere.
const SPARSE: u64 = 4;
/// Bytes of a chunk's checksum.
pub(super) const CHECKSUM_BYTES: u64 = 4;

#[derive(Debug, Default)]
struct Tail {
    file: Option<Arc<dyn DiskFile>>,
    /// Bytes on disk.
    written: u64,
    /// What is being written, or could not be.
    writing: Arc<Vec<u8>>,
    /// What comes behind that.
    waiting: Vec<u8>,
}

/// A file of closed chunks, some of which may still be in memory.
#[derive(Debug)]
pub(crate) struct ChunkFile {
    number: u32,
    path: PathBuf,
    live: AtomicU64,
    /// Bytes of the live chunks.
    live_bytes: AtomicU64,
    sync_failed: AtomicBool,
    /// Where chunks begin that were found damaged.
    damaged: Mutex<BTreeSet<u32>>,
    tail: Mutex<Tail>,
}

impl ChunkFile {
    pub(super) fn new(path: PathBuf, number: u32) -> Self {
        let tail = Mutex::new(Tail { waiting: MAGIC.to_vec(), ..Tail::default() });
        ChunkFile {
            number,
            path,
            live: AtomicU64::new(0),
            live_bytes: AtomicU64::new(0),
            sync_failed: AtomicBool::new(false),
            damaged: Mutex::default(),
            tail,
        }
    }

    /// Opens a file of an earlier run, which takes no more chunks.
    pub(super) fn open(disk: &dyn Disk, path: &Path, number: u32) -> io::Result<Self> {
        let file: Arc<dyn DiskFile> = Arc::from(disk.open(path)?);
        let written = file.len()?;
        let tail = Mutex::new(Tail { file: Some(file), written, ..Tail::default() });
        Ok(ChunkFile {
            number,
            path: path.to_path_buf(),
            live: AtomicU64::new(0),
            live_bytes: AtomicU64::new(0),
            sync_failed: AtomicBool::new(false),
            damaged: Mutex::default(),
            tail,
        })
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn live(&self) -> u64 {
        self.live.load(Ordering::SeqCst)
    }

    /// A chunk is not what was written.
    pub(super) fn note_damaged(&self, offset: u32) {
        self.damaged.lock().insert(offset);
    }

    /// How many chunks were found damaged so far.
    pub(super) fn damaged(&self) -> usize {
        self.damaged.lock().len()
    }

    pub(super) fn end(&self) -> u64 {
        let tail = self.tail.lock();
        tail.written + (tail.writing.len() + tail.waiting.len()) as u64
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        let tail = self.tail.lock();
        tail.writing.len() + tail.waiting.len()
    }

    /// Takes a chunk and says where it begins.
    pub(super) fn push(&self, series: u64, encoding: Encoding, data: &[u8]) -> u32 {
        let mut tail = self.tail.lock();
        let offset = tail.written + (tail.writing.len() + tail.waiting.len()) as u64;
        let sum = checksum(series, encoding as u8, data);
        tail.waiting.extend_from_slice(&sum.to_be_bytes());
        tail.waiting.extend_from_slice(data);
        self.note_live(1, Self::bytes_of(data.len() as u64));
        // Files end long before 4 GiB.
        offset as u32
    }

    pub(super) fn holds(&self, offset: u64, len: u64) -> bool {
        Self::would_hold(offset, len, self.end())
    }

    /// Whether a file that ends there can have a chunk.
    pub(super) fn would_hold(offset: u64, len: u64, end: u64) -> bool {
        offset >= MAGIC.len() as u64 && offset + Self::bytes_of(len) <= end
    }

    /// What a chunk takes.
    pub(super) fn bytes_of(len: u64) -> u64 {
        CHECKSUM_BYTES + len
    }

    /// There are so many chunks more, of so many bytes together, that somebody refers to.
    pub(super) fn note_live(&self, chunks: u64, bytes: u64) {
        self.live.fetch_add(chunks, Ordering::SeqCst);
        self.live_bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(super) fn release(&self, len: u64) {
        self.live.fetch_sub(1, Ordering::SeqCst);
        self.live_bytes.fetch_sub(Self::bytes_of(len), Ordering::SeqCst);
    }

    /// Whether most of it is not referred to any more.
    pub(super) fn is_sparse(&self) -> bool {
        self.live() > 0 && self.live_bytes.load(Ordering::SeqCst).saturating_mul(SPARSE) < self.end()
    }

    /// Writes what waits. One thread at a time.
    pub(super) fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        loop {
            let (file, bytes, written) = {
                let mut tail = self.tail.lock();
                let failed_before = !tail.writing.is_empty();
                if !failed_before {
                    tail.writing = Arc::new(std::mem::take(&mut tail.waiting));
                }
                if tail.writing.is_empty() {
                    return Ok(());
                }
                let file = match &tail.file {
                    Some(file) => Arc::clone(file),
                    None => {
                        let file: Arc<dyn DiskFile> = Arc::from(disk.create(&self.path)?);
                        tail.file = Some(Arc::clone(&file));
                        file
                    }
                };
                if failed_before {
                    // A part of it may have been written.
                    file.truncate(tail.written)?;
                }
                (file, Arc::clone(&tail.writing), tail.written)
            };
            file.append(&bytes)?;
            let mut tail = self.tail.lock();
            tail.written = written + bytes.len() as u64;
            tail.writing = Arc::default();
        }
    }

    /// Makes what is written durable. One thread at a time.
    pub(super) fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        let (file, written) = {
            let tail = self.tail.lock();
            (tail.file.as_ref().map(Arc::clone), tail.written)
        };
        let Some(file) = file else { return Ok(()) };
        if self.sync_failed.load(Ordering::SeqCst) {
            return self.rewrite(disk, &*file, written);
        }
        let synced = file.sync_data();
        self.sync_failed.store(synced.is_err(), Ordering::SeqCst);
        synced
    }

    /// After a failed sync nobody knows what the disk has, and another sync would not tell: all goes to a new file.
    fn rewrite(&self, disk: &dyn Disk, old: &dyn DiskFile, written: u64) -> io::Result<()> {
        let temporary = self.path.with_extension("tchk.tmp");
        let file: Arc<dyn DiskFile> = Arc::from(disk.create(&temporary)?);
        let mut piece = vec![0; 1 << 20];
        for start in (0..written).step_by(piece.len()) {
            let len = (written - start).min(piece.len() as u64) as usize;
            old.read_exact_at(&mut piece[..len], start)?;
            file.append(&piece[..len])?;
        }
        file.sync_data()?;
        disk.rename(&temporary, &self.path)?;
        self.tail.lock().file = Some(file);
        self.sync_failed.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Puts bytes from an offset on in the place of those in `into`: what is on disk, or what is in memory.
    pub(super) fn read(&self, offset: u64, len: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let (file, memory_from, writing, waiting) = {
            let tail = self.tail.lock();
            let waiting_from = tail.written + tail.writing.len() as u64;
            // Only what the range needs is copied under the lock.
            let skip = offset.saturating_sub(waiting_from).min(tail.waiting.len() as u64) as usize;
            let take = (offset + len).saturating_sub(waiting_from).min(tail.waiting.len() as u64) as usize;
            let waiting = tail.waiting.get(skip..take).unwrap_or_default().to_vec();
            (tail.file.as_ref().map(Arc::clone), tail.written, Arc::clone(&tail.writing), waiting)
        };
        let file = file.filter(|_| offset < memory_from);
        // What was there before is written over.
        into.resize(if file.is_some() { len.min(memory_from - offset) as usize } else { 0 }, 0);
        if let Some(file) = file {
            file.read_exact_at(into, offset)?;
        }
        let from = (offset + into.len() as u64).saturating_sub(memory_from).min(writing.len() as u64) as usize;
        let want = len as usize - into.len();
        into.extend_from_slice(&writing[from..writing.len().min(from + want)]);
        into.extend_from_slice(&waiting);
        if into.len() as u64 == len {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{}: {len} bytes at {offset}", self.path.display())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The bytes of a chunk out of those of its file, if they are what was written.
pub(super) fn check(series: u64, chunk: &ClosedChunk, bytes: &[u8]) -> io::Result<Bytes> {
    if let Some((stored, data)) = bytes.split_first_chunk::<4>()
        && checksum(series, chunk.encoding as u8, data) == u32::from_be_bytes(*stored)
    {
        // A copy, so that what lies beside it need not stay in memory.
        return Ok(Bytes::copy_from_slice(data));
    }
    let place = format!("head chunk {} in file {}: checksum mismatch", chunk.offset, chunk.file);
    Err(io::Error::new(io::ErrorKind::InvalidData, place))
}

fn checksum(series: u64, encoding: u8, data: &[u8]) -> u32 {
    let mut head = [encoding; 9];
    head[..8].copy_from_slice(&series.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), data)
}
