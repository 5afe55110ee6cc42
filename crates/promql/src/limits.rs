//! What bounds a query: memory, samples, time, and the user who goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use thanoxide_env::clock::Clock;

use crate::engine::QueryError;

/// Bytes that Prometheus's count of samples stands for: a float and its time.
const SAMPLE_BYTES: usize = 16;

const RUNNING: u8 = 0;
const CANCELED: u8 = 1;
const TIMED_OUT: u8 = 2;

/// A switch, shared with whoever may want a query to end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    state: Arc<AtomicU8>,
}

impl Interrupt {
    /// Ends the query with `query was canceled`.
    pub fn cancel(&self) {
        self.end(CANCELED);
    }

    /// Ends the query with `query timed out`.
    pub fn time_out(&self) {
        self.end(TIMED_OUT);
    }

    /// Whether the query is to end, for whatever reason.
    pub fn is_ended(&self) -> bool {
        self.state() != RUNNING
    }

    fn end(&self, state: u8) {
        // The first reason stands.
        let _ = self.state.compare_exchange(RUNNING, state, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::Relaxed)
    }
}

/// An [`Interrupt`] and a clock to pull it by.
#[derive(Debug)]
pub(crate) struct Deadline {
    interrupt: Interrupt,
    clock: Arc<dyn Clock>,
    end: Option<Duration>,
}

impl Deadline {
    pub(crate) fn new(interrupt: Interrupt, clock: Arc<dyn Clock>, timeout: Option<Duration>) -> Self {
        let end = timeout.map(|t| clock.monotonic().saturating_add(t));
        Deadline { interrupt, clock, end }
    }

    /// Fails when the query should end. Looks at the clock: for once a series, not once a sample.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.end.is_some_and(|end| self.clock.monotonic() >= end) {
            self.interrupt.time_out();
        }
        match self.interrupt.state() {
            RUNNING => Ok(()),
            CANCELED => Err(QueryError::Canceled("expression evaluation".into())),
            _ => Err(QueryError::Timeout("expression evaluation".into())),
        }
    }
}

/// The memory that the samples of one query take.
#[derive(Debug)]
pub(crate) struct Budget {
    used_bytes: AtomicUsize,
    /// Samples not yet decoded: they count as memory, not as samples.
    encoded_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
    max_bytes: usize,
    max_samples: usize,
}

impl Budget {
    /// 0 is no limit.
    pub(crate) fn new(max_bytes: usize, max_samples: usize) -> Arc<Self> {
        Arc::new(Budget {
            used_bytes: AtomicUsize::new(0),
            encoded_bytes: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
            max_bytes: if max_bytes == 0 { usize::MAX } else { max_bytes },
            max_samples: if max_samples == 0 { usize::MAX } else { max_samples },
        })
    }

    /// Takes memory, until the charge is dropped.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Result<Charge, QueryError> {
        let mut charge = Charge { budget: Arc::clone(self), bytes: 0, encoded_bytes: 0 };
        charge.add(bytes)?;
        Ok(charge)
    }

    /// The most samples that there were at a time.
    pub(crate) fn peak_samples(&self) -> usize {
        self.peak_bytes.load(Ordering::Relaxed) / SAMPLE_BYTES
    }

    fn check(&self, used_bytes: usize, encoded_bytes: usize) -> Result<(), QueryError> {
        if used_bytes / SAMPLE_BYTES > self.max_samples {
            return Err(QueryError::TooManySamples);
        }
        if used_bytes.saturating_add(encoded_bytes) > self.max_bytes {
            return Err(QueryError::TooMuchMemory { max_bytes: self.max_bytes });
        }
        Ok(())
    }
}

/// Memory taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
    encoded_bytes: usize,
}

impl Charge {
    /// Takes more.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), QueryError> {
        let used = self.budget.used_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bytes += bytes;
        self.budget.peak_bytes.fetch_max(used, Ordering::Relaxed);
        self.budget.check(used, self.budget.encoded_bytes.load(Ordering::Relaxed))
    }

    /// Takes memory for samples that stay encoded.
    pub(crate) fn add_encoded(&mut self, bytes: usize) -> Result<(), QueryError> {
        let encoded = self.budget.encoded_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.encoded_bytes += bytes;
        self.budget.check(self.budget.used_bytes.load(Ordering::Relaxed), encoded)
    }

    /// Takes over what another charge holds.
    pub(crate) fn absorb(&mut self, mut other: Charge) {
        self.bytes += std::mem::take(&mut other.bytes);
        self.encoded_bytes += std::mem::take(&mut other.encoded_bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.encoded_bytes.fetch_sub(self.encoded_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_counts_and_gives_back() {
        let budget = Budget::new(0, 10);
        let mut first = budget.charge(100).expect("below the limit");
        let second = budget.charge(60).expect("below the limit");
        first.absorb(second);
        assert!(matches!(budget.charge(16), Err(QueryError::TooManySamples)));
        drop(first);
        assert!(budget.charge(160).is_ok());
        assert_eq!(budget.peak_samples(), 11);
    }
}
