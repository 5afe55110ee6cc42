//! A disk in memory that remembers every change, so that all that a crash could leave behind can be looked at.
//!
//! [`SimDisk`] keeps what programs see. While it records, each change also becomes a [`journal::Step`]. [`crash`] takes
//! the steps apart into what must have survived a crash and what may have, by the contract of [`crate::disk`], and builds
//! the disks that a machine could find after it.
//!
//! Steps are single changes: removing a directory is one step for each name in it.

pub mod crash;
pub mod journal;
mod tree;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};
use journal::{Inode, Journal, Step};
use tree::Tree;

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    journal: Option<Journal>,
    locks: HashSet<PathBuf>,
    /// Syncs and renames so far.
    ordering_calls: u64,
    /// The one of these that is not done though it says so; 0 is none.
    skipped: u64,
    /// What that was, and how many steps were recorded before.
    skipped_call: Option<(String, usize)>,
    /// Syncs of files so far.
    data_syncs: u64,
    /// The one of these that fails and forgets what it should have written; 0 is none.
    failed: u64,
}

impl State {
    fn note(&mut self, step: Step) {
        if let Some(journal) = &mut self.journal {
            journal.push(step);
        }
    }

    fn link(&mut self, dir: Inode, name: OsString, inode: Inode) -> io::Result<()> {
        self.tree.link(dir, &name, inode)?;
        let is_dir = self.tree.is_dir(inode);
        self.note(Step::Link { dir, name, inode, is_dir });
        Ok(())
    }

    fn unlink(&mut self, dir: Inode, name: OsString) -> io::Result<()> {
        self.tree.unlink(dir, &name)?;
        self.note(Step::Unlink { dir, name });
        Ok(())
    }

    fn unlink_all(&mut self, dir: Inode) -> io::Result<()> {
        for name in self.tree.names(dir)? {
            if let Ok(inner) = self.tree.child(dir, &name)
                && self.tree.is_dir(inner)
            {
                self.unlink_all(inner)?;
            }
            self.unlink(dir, name)?;
        }
        Ok(())
    }

    /// Whether this sync or rename is to be done.
    fn is_done(&mut self, call: &str, inode: Inode) -> bool {
        self.ordering_calls += 1;
        if self.ordering_calls == self.skipped {
            let recorded = self.journal.as_ref().map_or(0, |journal| journal.steps().len());
            self.skipped_call = Some((format!("{call} {}", self.tree.path_of(inode).display()), recorded));
            return false;
        }
        true
    }
}

/// A disk in memory.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    fn from_tree(tree: Tree) -> Self {
        SimDisk { state: Arc::new(Mutex::new(State { tree, ..State::default() })) }
    }

    /// Another disk with what programs see on this one, all of it durable.
    pub fn fork(&self) -> Self {
        SimDisk::from_tree(self.state.lock().tree.clone())
    }

    /// Records from now on. What is there already is durable.
    pub fn record(&self) {
        let mut state = self.state.lock();
        state.journal = Some(Journal::new(state.tree.clone()));
    }

    /// Notes a moment among the steps: `phase` is what begins, `acknowledged` how much was acknowledged.
    pub fn mark(&self, phase: &'static str, acknowledged: u64) {
        self.state.lock().note(Step::Mark { phase, acknowledged });
    }

    /// The steps so far; they are not recorded any more.
    pub fn take_journal(&self) -> Journal {
        self.state.lock().journal.take().unwrap_or_default()
    }

    /// The n-th sync or rename, counted from 1, says that it was done, and is not.
    pub fn skip(&self, call: u64) {
        self.state.lock().skipped = call;
    }

    /// The call that [`SimDisk::skip`] left out, once it came.
    pub fn skipped_call(&self) -> Option<String> {
        self.state.lock().skipped_call.as_ref().map(|(call, _)| call.clone())
    }

    /// How many steps were recorded before that call.
    pub fn skipped_at(&self) -> Option<usize> {
        self.state.lock().skipped_call.as_ref().map(|(_, recorded)| *recorded)
    }

    /// How many syncs and renames there were.
    pub fn ordering_calls(&self) -> u64 {
        self.state.lock().ordering_calls
    }

    /// The n-th sync of a file, counted from 1, fails; what it should have written never reaches the disk, whatever later
    /// syncs say, as Linux does it.
    pub fn fail_sync(&self, call: u64) {
        self.state.lock().failed = call;
    }

    /// Whether a sync is to fail.
    pub fn may_fail(&self) -> bool {
        self.state.lock().failed > 0
    }

    /// How many syncs of files there were.
    pub fn data_syncs(&self) -> u64 {
        self.state.lock().data_syncs
    }

    /// Copies a directory of another disk to here.
    pub fn import(&self, from: &dyn Disk, dir: &Path, to: &Path) -> io::Result<()> {
        self.create_dir_all(to)?;
        for path in from.list(dir)? {
            let target = to.join(path.file_name().unwrap_or_default());
            if from.is_dir(&path)? {
                self.import(from, &path, &target)?;
            } else {
                self.create(&target)?.append(&from.read(&path)?)?;
            }
        }
        Ok(())
    }

    /// All files under a directory, sorted.
    pub fn files(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in self.list(dir)? {
            if self.is_dir(&path)? {
                files.extend(self.files(&path)?);
            } else {
                files.push(path);
            }
        }
        Ok(files)
    }

    /// Replaces a file's bytes, as damage does: no step is noted.
    pub fn overwrite(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.tree.resolve(path)?;
        state.tree.set_bytes(inode, bytes)
    }

    fn file(&self, inode: Inode) -> Box<dyn DiskFile> {
        Box::new(SimFile { state: Arc::clone(&self.state), inode })
    }
}

#[derive(Debug)]
struct SimFile {
    state: Arc<Mutex<State>>,
    inode: Inode,
}

impl DiskFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.tree.append(self.inode, bytes)?;
        state.note(Step::Append { inode: self.inode, bytes: bytes.into() });
        Ok(())
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = self.state.lock().tree.bytes(self.inode)?;
        let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let start = usize::try_from(offset).map_err(|_| end())?;
        let range = start..start.checked_add(into.len()).ok_or_else(end)?;
        into.copy_from_slice(bytes.get(range).ok_or_else(end)?);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.data_syncs += 1;
        if state.data_syncs == state.failed {
            state.note(Step::DropPages { inode: self.inode });
            return Err(io::Error::other("input/output error (simulated)"));
        }
        if state.is_done("sync", self.inode) {
            state.note(Step::SyncData { inode: self.inode });
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.tree.truncate(self.inode, len)?;
        state.note(Step::Truncate { inode: self.inode, len });
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().tree.bytes(self.inode)?.len() as u64)
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        let (dir, name) = state.tree.place(path)?;
        let inode = match state.tree.child(dir, &name) {
            Ok(inode) => {
                state.tree.truncate(inode, 0)?;
                state.note(Step::Truncate { inode, len: 0 });
                inode
            }
            Err(_) => {
                let inode = state.tree.new_file();
                state.link(dir, name, inode)?;
                inode
            }
        };
        Ok(self.file(inode))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state.lock();
        let inode = state.tree.resolve(path)?;
        state.tree.bytes(inode)?;
        Ok(self.file(inode))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state.lock();
        Ok(state.tree.bytes(state.tree.resolve(path)?)?.to_vec())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.tree.resolve(from)?;
        if !state.is_done("rename", inode) {
            return Ok(());
        }
        let (from, to) = (state.tree.place(from)?, state.tree.place(to)?);
        let inode = state.tree.rename((from.0, &from.1), (to.0, &to.1))?;
        state.note(Step::Rename { from, to, inode });
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.tree.resolve(from)?;
        let (dir, name) = state.tree.place(to)?;
        if state.tree.child(dir, &name).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.link(dir, name, inode)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let (dir, name) = state.tree.place(path)?;
        let inode = state.tree.child(dir, &name)?;
        state.tree.bytes(inode)?;
        state.unlink(dir, name)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let (parent, name) = state.tree.place(path)?;
        let dir = state.tree.child(parent, &name)?;
        state.unlink_all(dir)?;
        state.unlink(parent, name)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut dir = tree::ROOT;
        for name in tree::names_of(path)? {
            dir = match state.tree.child(dir, &name) {
                Ok(inode) => inode,
                Err(_) => {
                    let inode = state.tree.new_dir();
                    state.link(dir, name, inode)?;
                    inode
                }
            };
        }
        if state.tree.is_dir(dir) { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state.lock();
        let names = state.tree.names(state.tree.resolve(path)?)?;
        Ok(names.into_iter().map(|name| path.join(name)).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state.lock().tree.resolve(path).is_ok())
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        let state = self.state.lock();
        Ok(state.tree.resolve(path).is_ok_and(|inode| state.tree.is_dir(inode)))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let dir = state.tree.resolve(path)?;
        state.tree.names(dir)?;
        if state.is_done("sync of names", dir) {
            state.note(Step::SyncDir { dir });
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Debug + Send + Sync>> {
        if !self.exists(path)? {
            self.create(path)?;
        }
        if !self.state.lock().locks.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Guard { state: Arc::clone(&self.state), path: path.to_path_buf() }))
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(1 << 40)
    }
}

#[derive(Debug)]
struct Guard {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.state.lock().locks.remove(&self.path);
    }
}

#[cfg(test)]
mod tests;
