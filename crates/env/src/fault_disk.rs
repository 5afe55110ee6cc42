//! A disk that fails on purpose: the n-th call that changes something, every one while it is "full", the n-th call that only
//! reads or all from there on, or whatever looks at a place that it does not give.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};

#[derive(Debug, Default)]
struct Faults {
    calls: AtomicU64,
    fail_at: AtomicU64,
    fill_at: AtomicU64,
    full: AtomicBool,
    reads: AtomicU64,
    fail_read_at: AtomicU64,
    fail_reads_from: AtomicU64,
    failed_read: Mutex<Option<PathBuf>>,
    hidden: Mutex<Option<PathBuf>>,
}

fn input_output_error() -> io::Error {
    io::Error::other("input/output error (injected)")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    fn change(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if call == self.fill_at.load(Ordering::SeqCst) {
            self.full.store(true, Ordering::SeqCst);
        }
        if self.full.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device (injected)"));
        }
        if call == self.fail_at.load(Ordering::SeqCst) {
            return Err(input_output_error());
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<()> {
        let call = self.reads.fetch_add(1, Ordering::SeqCst) + 1;
        let from = self.fail_reads_from.load(Ordering::SeqCst);
        if call == self.fail_read_at.load(Ordering::SeqCst) || (from > 0 && call >= from) {
            *locked(&self.failed_read) = Some(path.to_path_buf());
            return Err(input_output_error());
        }
        Ok(())
    }

    fn look(&self, path: &Path) -> io::Result<()> {
        self.read(path)?;
        match &*locked(&self.hidden) {
            Some(place) if path.starts_with(place) => Err(input_output_error()),
            _ => Ok(()),
        }
    }
}

/// Wraps a disk; writes, syncs, renames and removals fail as told, and so does all that opens, reads, lists or asks.
#[derive(Debug, Clone)]
pub struct FaultDisk {
    inner: Arc<dyn Disk>,
    faults: Arc<Faults>,
}

impl FaultDisk {
    /// A disk without faults so far.
    pub fn new(inner: Arc<dyn Disk>) -> Self {
        FaultDisk { inner, faults: Arc::default() }
    }

    /// How many changing calls were made.
    pub fn calls(&self) -> u64 {
        self.faults.calls.load(Ordering::SeqCst)
    }

    /// Fails the n-th changing call from the start, counted from 1; 0 is none.
    pub fn fail_at(&self, call: u64) {
        self.faults.fail_at.store(call, Ordering::SeqCst);
    }

    /// Is full from the n-th changing call on, counted from 1, until [`FaultDisk::set_full`] says otherwise; 0 is never.
    pub fn fill_at(&self, call: u64) {
        self.faults.fill_at.store(call, Ordering::SeqCst);
    }

    /// While full, each changing call fails with [`io::ErrorKind::StorageFull`].
    pub fn set_full(&self, full: bool) {
        self.faults.full.store(full, Ordering::SeqCst);
    }

    /// How many calls were made that only read.
    pub fn reads(&self) -> u64 {
        self.faults.reads.load(Ordering::SeqCst)
    }

    /// Fails the n-th reading call from the start, counted from 1; 0 is none.
    pub fn fail_read_at(&self, call: u64) {
        self.faults.fail_read_at.store(call, Ordering::SeqCst);
    }

    /// Fails each reading call from the n-th on, counted from 1, until told otherwise; 0 is none.
    pub fn fail_reads_from(&self, call: u64) {
        self.faults.fail_reads_from.store(call, Ordering::SeqCst);
    }

    /// What the last reading call was about that failed because of its number.
    pub fn failed_read(&self) -> Option<PathBuf> {
        locked(&self.faults.failed_read).clone()
    }

    /// From now on nothing at or below a path can be opened, read or listed; `None` gives all back.
    pub fn hide(&self, place: Option<&Path>) {
        *locked(&self.faults.hidden) = place.map(Path::to_path_buf);
    }

    fn wrap(&self, inner: Box<dyn DiskFile>, path: &Path) -> Box<dyn DiskFile> {
        Box::new(FaultFile { inner, path: path.to_path_buf(), faults: Arc::clone(&self.faults) })
    }
}

#[derive(Debug)]
struct FaultFile {
    inner: Box<dyn DiskFile>,
    /// What it was opened as.
    path: PathBuf,
    faults: Arc<Faults>,
}

impl DiskFile for FaultFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if let Err(e) = self.faults.change() {
            // A failed write may have written a part: half of it is the nastiest case that is always legal.
            self.inner.append(&bytes[..bytes.len() / 2])?;
            return Err(e);
        }
        self.inner.append(bytes)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.faults.read(&self.path)?;
        self.inner.read_exact_at(into, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.change()?;
        self.inner.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.faults.change()?;
        self.inner.truncate(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.faults.read(&self.path)?;
        self.inner.len()
    }
}

impl Disk for FaultDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.change()?;
        Ok(self.wrap(self.inner.create(path)?, path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.look(path)?;
        Ok(self.wrap(self.inner.open(path)?, path))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.faults.look(path)?;
        self.inner.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.change()?;
        self.inner.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.change()?;
        self.inner.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.faults.change()?;
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.faults.change()?;
        self.inner.remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.faults.change()?;
        self.inner.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.faults.look(path)?;
        self.inner.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.faults.look(path)?;
        self.inner.exists(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.faults.look(path)?;
        self.inner.is_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.change()?;
        self.inner.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Debug + Send + Sync>> {
        self.inner.lock(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.faults.read(path)?;
        if self.faults.full.load(Ordering::SeqCst) { Ok(0) } else { self.inner.free_bytes(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimDisk;

    #[test]
    fn reads_fail_by_their_number() {
        let disk = FaultDisk::new(Arc::new(SimDisk::default()));
        let path = Path::new("/a");
        let file = disk.create(path).unwrap();
        file.append(b"abc").unwrap();
        assert_eq!(disk.reads(), 0, "what changes is counted elsewhere");
        disk.fail_read_at(2);
        assert_eq!(file.len().unwrap(), 3);
        assert!(file.read_exact_at(&mut [0; 3], 0).is_err());
        assert_eq!(disk.failed_read().as_deref(), Some(path));
        assert!(disk.read(path).is_ok(), "once");
        disk.fail_reads_from(disk.reads() + 2);
        assert!(disk.open(path).is_ok() && disk.open(path).is_err() && disk.exists(path).is_err());
        assert!(file.append(b"d").is_ok(), "writes go on");
        disk.fail_reads_from(0);
        assert_eq!(disk.read(path).unwrap(), b"abcd");
    }
}
