//! A disk whose syncs of files are counted, and one of which can be made to wait.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use thanoxide_env::{Disk, DiskFile};

#[derive(Debug, Default)]
struct State {
    syncs: usize,
    shut: bool,
    /// Whether a sync stands before the gate.
    waits: bool,
}

/// Where syncs go through.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

impl Gate {
    /// Syncs of files so far, one that waits included.
    pub(crate) fn syncs(&self) -> usize {
        self.state.lock().unwrap().syncs
    }

    /// From now on syncs wait.
    pub(crate) fn shut(&self) {
        self.state.lock().unwrap().shut = true;
    }

    /// Returns once a sync waits.
    pub(crate) fn await_sync(&self) {
        drop(self.changed.wait_while(self.state.lock().unwrap(), |state| !state.waits).unwrap());
    }

    /// Lets all go on.
    pub(crate) fn open(&self) {
        self.state.lock().unwrap().shut = false;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.syncs += 1;
        state.waits |= state.shut;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.shut).unwrap());
    }
}

/// The disk behind a gate.
#[derive(Clone, Debug)]
pub(crate) struct GateDisk {
    pub(crate) inner: Arc<dyn Disk>,
    pub(crate) gate: Arc<Gate>,
}

#[derive(Debug)]
struct GateFile {
    inner: Box<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl GateDisk {
    fn wrap(&self, inner: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(GateFile { inner, gate: Arc::clone(&self.gate) })
    }
}

impl DiskFile for GateFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.inner.append(bytes)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(into, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.inner.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}

impl Disk for GateDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(self.inner.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(self.inner.open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.inner.is_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Debug + Send + Sync>> {
        self.inner.lock(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.inner.free_bytes(path)
    }
}
