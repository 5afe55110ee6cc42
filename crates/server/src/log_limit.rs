//! A brake on log lines that requests can cause: one per interval, with the number of those left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thanoxide_env::Clock;

/// Lets one line through per interval.
#[derive(Debug)]
pub struct LogLimit {
    clock: Arc<dyn Clock>,
    interval_ms: u64,
    /// When the next line may be written, on the monotonic clock.
    next_ms: AtomicU64,
    left_out: AtomicU64,
}

impl LogLimit {
    /// One line per `interval`.
    pub fn new(interval: Duration, clock: Arc<dyn Clock>) -> Self {
        let interval_ms = interval.as_millis() as u64;
        LogLimit { clock, interval_ms, next_ms: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// Whether a line may be written now; if so, how many were left out since the last one.
    pub fn admit(&self) -> Option<u64> {
        let now_ms = self.clock.monotonic().as_millis() as u64;
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let due = now_ms >= next_ms;
        let swap = |to| self.next_ms.compare_exchange(next_ms, to, Ordering::Relaxed, Ordering::Relaxed);
        if due && swap(now_ms + self.interval_ms).is_ok() {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use thanoxide_env::ManualClock;

    use super::*;

    #[test]
    fn one_line_per_interval() {
        let clock = Arc::new(ManualClock::at(0));
        let limit = LogLimit::new(Duration::from_secs(1), Arc::clone(&clock) as Arc<dyn Clock>);
        assert_eq!([limit.admit(), limit.admit(), limit.admit()], [Some(0), None, None]);
        clock.set(1_000);
        assert_eq!([limit.admit(), limit.admit()], [Some(2), None]);
    }
}
