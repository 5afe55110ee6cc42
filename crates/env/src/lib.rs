//! The world as parameters: clock, disk and randomness.
//!
//! Layer 0, beside `model`. Code that takes these instead of `std::time`, `std::fs` and a global generator runs unchanged
//! in production, under injected faults and in a deterministic simulation. [`Env`] bundles the three for those who need
//! them all.

pub mod clock;
pub mod disk;
pub mod fault_disk;
pub mod memory;
pub mod random;
pub mod sim_disk;

use std::sync::Arc;

pub use clock::{Clock, ManualClock, SystemClock};
pub use disk::{Disk, DiskFile, SystemDisk};
pub use fault_disk::FaultDisk;
pub use memory::{ManualMemory, Memory, ResidentMemory};
pub use random::{Random, SeededRandom, SystemRandom};
pub use sim_disk::SimDisk;

/// The three together, cheap to clone.
#[derive(Clone, Debug)]
pub struct Env {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// Where randomness comes from.
    pub random: Arc<dyn Random>,
}

impl Env {
    /// The real clock, disk and randomness.
    pub fn system() -> Self {
        Env { clock: Arc::new(SystemClock::default()), disk: Arc::new(SystemDisk), random: Arc::new(SystemRandom) }
    }
}
