//! What was done to a disk, step by step.

use std::ffi::OsString;
use std::sync::Arc;

use super::tree::Tree;

/// Names a file or directory for ever, whatever it is called.
pub type Inode = u64;

/// A name in a directory.
pub type Place = (Inode, OsString);

/// One change of a disk, or something that orders changes.
#[derive(Debug, Clone)]
pub enum Step {
    /// Bytes at the end of a file.
    Append {
        /// The file.
        inode: Inode,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
    /// A file is cut.
    Truncate {
        /// The file.
        inode: Inode,
        /// Its length now.
        len: u64,
    },
    /// A name is given.
    Link {
        /// The directory.
        dir: Inode,
        /// The name.
        name: OsString,
        /// What it names.
        inode: Inode,
        /// Whether that is a directory.
        is_dir: bool,
    },
    /// A name is taken away.
    Unlink {
        /// The directory.
        dir: Inode,
        /// The name.
        name: OsString,
    },
    /// A name is taken away and another is given, at once.
    Rename {
        /// The old name.
        from: Place,
        /// The new one.
        to: Place,
        /// What they name.
        inode: Inode,
    },
    /// All bytes of a file are durable now.
    SyncData {
        /// The file.
        inode: Inode,
    },
    /// All names in a directory are durable now.
    SyncDir {
        /// The directory.
        dir: Inode,
    },
    /// What was to be synced of a file will never be written.
    DropPages {
        /// The file.
        inode: Inode,
    },
    /// A moment.
    Mark {
        /// What begins here.
        phase: &'static str,
        /// How much was acknowledged.
        acknowledged: u64,
    },
}

/// Steps, and what was there before.
#[derive(Debug, Default)]
pub struct Journal {
    pub(super) base: Tree,
    pub(super) steps: Vec<Step>,
}

impl Journal {
    pub(super) fn new(base: Tree) -> Self {
        Journal { base, steps: Vec::new() }
    }

    pub(super) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// The steps in their order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}
