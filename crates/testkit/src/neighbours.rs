//! Tenants that keep to their limits, and how long their requests take while somebody else does not.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, METRIC_NAME, Sample, WriteBatch};

use crate::sender::Sender;

/// Between two requests of one tenant.
const PACE: Duration = Duration::from_millis(100);

/// Some series of a tenant with a sample each.
pub fn series(from: usize, count: usize, timestamp_ms: i64) -> WriteBatch {
    let mut builder = WriteBatchBuilder::default();
    for i in from..from + count {
        let labels = Labels::from_pairs([(METRIC_NAME, "noise"), ("i", i.to_string().as_str()), ("job", "tenants")]);
        builder.push(&labels, &[Sample { timestamp_ms, value: i as f64 }]);
    }
    builder.build()
}

/// Tenants that send all their series ten times a second.
#[derive(Debug)]
pub struct Neighbours {
    senders: Vec<Sender>,
    series: usize,
    clock_ms: AtomicI64,
}

impl Neighbours {
    /// So many tenants with so many series each, that send to a URL samples from a time on.
    pub fn new(url: &str, tenants: usize, series: usize, start_ms: i64) -> Self {
        let senders = (0..tenants).map(|i| Sender::new(url).for_tenant(&format!("tenant-{i}"))).collect();
        Neighbours { senders, series, clock_ms: AtomicI64::new(start_ms) }
    }

    /// Sends for a time; gives how long each request took. Fails unless all is taken.
    pub async fn send_for(&self, time: Duration) -> Result<Vec<Duration>> {
        let all = futures::future::try_join_all(self.senders.iter().map(|sender| self.keep_sending(sender, time)));
        Ok(all.await?.into_iter().flatten().collect())
    }

    async fn keep_sending(&self, sender: &Sender, time: Duration) -> Result<Vec<Duration>> {
        let (end, mut took) = (Instant::now() + time, Vec::new());
        let mut pace = tokio::time::interval(PACE);
        while Instant::now() < end {
            pace.tick().await;
            let batch = series(0, self.series, self.clock_ms.fetch_add(1, Ordering::Relaxed));
            let begin = Instant::now();
            let answer = sender.send(&batch).await?;
            took.push(begin.elapsed());
            ensure!(answer.status == 200, "a tenant within its limits got {answer:?}");
        }
        Ok(took)
    }

    /// Quiet slices and slices beside noise in turn, so that what changes with time changes both. The noise ends once its flag is set.
    pub async fn beside<F>(&self, noise: impl Fn(Arc<AtomicBool>) -> F, slices: u32, slice: Duration) -> Result<Beside>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        // The first requests make series.
        self.send_for(Duration::from_secs(1)).await?;
        let mut beside = Beside::default();
        for _ in 0..slices {
            beside.quiet.extend(self.send_for(slice).await?);
            let stop = Arc::new(AtomicBool::new(false));
            let making = tokio::spawn(noise(Arc::clone(&stop)));
            let took = self.send_for(slice).await;
            stop.store(true, Ordering::Relaxed);
            making.await??;
            beside.noisy.extend(took?);
        }
        Ok(beside)
    }
}

/// How long requests took in quiet and beside noise.
#[derive(Debug, Default)]
pub struct Beside {
    quiet: Vec<Duration>,
    noisy: Vec<Duration>,
}

impl Beside {
    /// The 99th percentile in quiet and beside noise.
    pub fn p99(&self) -> (Duration, Duration) {
        (quantile(&self.quiet, 99), quantile(&self.noisy, 99))
    }
}

fn quantile(took: &[Duration], percent: usize) -> Duration {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for percent in [50, 99] {
            let (quiet, noisy) = (quantile(&self.quiet, percent), quantile(&self.noisy, percent));
            let ratio = noisy.as_secs_f64() / quiet.as_secs_f64().max(1e-9);
            write!(f, "p{percent} of others: {quiet:.2?} in quiet, {noisy:.2?} beside noise, ratio {ratio:.2}; ")?;
        }
        write!(f, "{} and {} requests, all taken", self.quiet.len(), self.noisy.len())
    }
}
