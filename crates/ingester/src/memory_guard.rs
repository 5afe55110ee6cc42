//! Near the end of memory no new series are taken, so that those that are there go on.

use std::sync::atomic::{AtomicBool, Ordering};

/// Of the memory that there may be, so much in percent is near the end.
const NEAR_PERCENT: u64 = 90;

/// Compares the memory of the process with its limit, now and then.
#[derive(Debug, Default)]
pub struct MemoryGuard {
    limit_bytes: Option<u64>,
    is_near: AtomicBool,
}

impl MemoryGuard {
    /// A guard of `limit_bytes`; none guards nothing.
    pub fn new(limit_bytes: Option<u64>) -> Self {
        MemoryGuard { limit_bytes, is_near: AtomicBool::new(false) }
    }

    /// Whether the last look saw the end near.
    pub fn is_near(&self) -> bool {
        self.is_near.load(Ordering::Relaxed)
    }

    /// Looks at the memory of the process.
    pub(crate) fn look(&self) {
        self.note(self.limit_bytes.and_then(|_| resident_bytes()));
    }

    fn note(&self, used_bytes: Option<u64>) {
        let (Some(limit), Some(used)) = (self.limit_bytes, used_bytes) else { return };
        let is_near = used > limit / 100 * NEAR_PERCENT;
        if self.is_near.swap(is_near, Ordering::Relaxed) != is_near {
            match is_near {
                true => tracing::warn!(used, limit, "memory is nearly used up, new series are refused"),
                false => tracing::info!(used, limit, "there is memory again, new series are taken"),
            }
        }
    }
}

/// Anonymous memory of this process: what the kernel cannot take back.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What the process may take: the limit of its control group, or else the memory of the machine.
pub fn memory_bytes() -> Option<u64> {
    let of_group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    let of_machine = || {
        let info = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    of_group.or_else(of_machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_near_at_nine_tenths() {
        let guard = MemoryGuard::new(Some(1000));
        let near = |used| {
            guard.note(Some(used));
            guard.is_near()
        };
        assert_eq!([near(900), near(901), near(899)], [false, true, false]);
        let none = MemoryGuard::new(None);
        none.look();
        assert!(!none.is_near());
        let real = MemoryGuard::new(Some(1));
        real.look();
        assert!(real.is_near() && memory_bytes().is_some());
    }
}
