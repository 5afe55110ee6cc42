//! Which core runs what: servers on the first, the generator on the second.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

/// The cores of a run; `None` leaves the choice to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    /// Of every server.
    pub(crate) server: Option<usize>,
    /// Of the generator.
    pub(crate) generator: Option<usize>,
}

impl Cores {
    /// A core for the servers and one for the generator.
    pub(crate) const PINNED: Cores = Cores { server: Some(0), generator: Some(1) };
    /// Anything anywhere.
    pub(crate) const FREE: Cores = Cores { server: None, generator: None };
}

/// Keeps this thread, and the threads and processes that it starts from now on, on a core.
pub(crate) fn pin(core: Option<usize>) -> Result<()> {
    let Some(core) = core else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}; --unpinned does without"))
}
