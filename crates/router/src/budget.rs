//! The memory of all requests under way, counted in bytes of their bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::gauge::Gauge;

use crate::refusal::Refusal;

/// So many bytes, shared by all requests.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Counter>);

#[derive(Debug)]
struct Counter {
    max_bytes: u64,
    used_bytes: Gauge<u64, AtomicU64>,
}

impl Budget {
    /// A budget of `max_bytes`; what is used is counted in `used_bytes`.
    pub fn new(max_bytes: u64, used_bytes: Gauge<u64, AtomicU64>) -> Self {
        Budget(Arc::new(Counter { max_bytes, used_bytes }))
    }

    /// A share that has nothing yet.
    pub fn lease(&self) -> Lease {
        Lease { counter: Arc::clone(&self.0), bytes: 0 }
    }

    /// What all shares hold.
    pub fn used_bytes(&self) -> u64 {
        self.0.used_bytes.get()
    }
}

/// One request's share; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    counter: Arc<Counter>,
    bytes: u64,
}

impl Lease {
    /// Takes more, or nothing.
    pub fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        let max_bytes = self.counter.max_bytes;
        let grown = |used: u64| used.checked_add(bytes).filter(|used| *used <= max_bytes);
        let taken = self.counter.used_bytes.inner().fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        taken.map_err(|_| Refusal::Busy)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.counter.used_bytes.dec_by(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_back_and_never_exceed_the_whole() {
        let budget = Budget::new(10, Gauge::default());
        let (mut a, mut b) = (budget.lease(), budget.lease());
        a.grow(6).unwrap();
        assert!(b.grow(5).is_err() && b.grow(u64::MAX).is_err());
        b.grow(4).unwrap();
        drop(a);
        assert_eq!(budget.used_bytes(), 4);
        b.grow(6).unwrap();
        drop(b);
        assert_eq!(budget.used_bytes(), 0);
    }
}
