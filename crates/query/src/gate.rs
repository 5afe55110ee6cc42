//! The gate in front of the engine: so many queries at a time, the rest wait.

use std::sync::Arc;

use thanoxide_env::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::QueryMetrics;

/// Lets a bounded number of queries through.
#[derive(Clone, Debug)]
pub struct Gate {
    permits: Arc<Semaphore>,
    metrics: QueryMetrics,
    clock: Arc<dyn Clock>,
}

/// The right to run; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    _permit: OwnedSemaphorePermit,
    metrics: QueryMetrics,
}

impl Gate {
    /// A gate for `max_concurrent` queries.
    pub fn new(max_concurrent: usize, metrics: QueryMetrics, clock: Arc<dyn Clock>) -> Self {
        metrics.max.set(max_concurrent as i64);
        Gate { permits: Arc::new(Semaphore::new(max_concurrent.max(1))), metrics, clock }
    }

    /// Waits for a turn.
    pub async fn enter(&self) -> Pass {
        self.metrics.total.inc();
        let came = self.clock.monotonic();
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        self.metrics.wait_seconds.observe((self.clock.monotonic() - came).as_secs_f64());
        self.metrics.in_flight.inc();
        Pass { _permit: permit, metrics: self.metrics.clone() }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}
