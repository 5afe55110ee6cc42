//! A disk that fails on purpose: the n-th call that changes something, every one while it is "full", or whatever looks at a
//! place that it does not give.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{Disk, DiskFile};

#[derive(Debug, Default)]
struct Faults {
    calls: AtomicU64,
    fail_at: AtomicU64,
    fill_at: AtomicU64,
    full: AtomicBool,
    hidden: Mutex<Option<PathBuf>>,
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
            return Err(io::Error::other("input/output error (injected)"));
        }
        Ok(())
    }

    fn look(&self, path: &Path) -> io::Result<()> {
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        match &*hidden {
            Some(place) if path.starts_with(place) => Err(io::Error::other("input/output error (injected)")),
            _ => Ok(()),
        }
    }
}

/// Wraps a disk; writes, syncs, renames and removals fail as told, reads only of what is hidden.
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

    /// From now on nothing at or below a path can be opened, read or listed; `None` gives all back.
    pub fn hide(&self, place: Option<&Path>) {
        *self.faults.hidden.lock().unwrap_or_else(PoisonError::into_inner) = place.map(Path::to_path_buf);
    }

    fn wrap(&self, inner: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FaultFile { inner, faults: Arc::clone(&self.faults) })
    }
}

#[derive(Debug)]
struct FaultFile {
    inner: Box<dyn DiskFile>,
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
        self.inner.len()
    }
}

impl Disk for FaultDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.change()?;
        Ok(self.wrap(self.inner.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.look(path)?;
        Ok(self.wrap(self.inner.open(path)?))
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
        if self.faults.full.load(Ordering::SeqCst) { Ok(0) } else { self.inner.free_bytes(path) }
    }
}
