//! How much memory the process has.

use std::fmt::Debug;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells how much memory is in use.
pub trait Memory: Send + Sync + Debug {
    /// Bytes in use.
    fn used_bytes(&self) -> u64;
}

/// The resident set of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResidentMemory;

const PAGE_BYTES: u64 = 4096;

impl Memory for ResidentMemory {
    /// 0 where the system does not say.
    fn used_bytes(&self) -> u64 {
        let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        pages.unwrap_or_default() * PAGE_BYTES
    }
}

/// Whatever a test says.
#[derive(Debug, Default)]
pub struct ManualMemory(AtomicU64);

impl ManualMemory {
    /// From now on so many bytes are in use.
    pub fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::SeqCst);
    }
}

impl Memory for ManualMemory {
    fn used_bytes(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_some_memory() {
        assert!(ResidentMemory.used_bytes() > 100_000);
    }
}
