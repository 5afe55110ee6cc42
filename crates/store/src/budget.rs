//! What one request may take: series, chunks, bytes.

use std::sync::atomic::{AtomicU64, Ordering};

use thanoxide_storeapi::StoreError;

use crate::config::StoreConfig;

/// Samples that a chunk counts for.
const SAMPLES_PER_CHUNK: u64 = 120;

/// What is left for one request. Shared by the blocks that answer it.
#[derive(Debug)]
pub(crate) struct Budget {
    series: Allowance,
    chunks: Allowance,
    bytes: Allowance,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// As in the label `reason` of Thanos's metrics.
    pub(crate) reason: &'static str,
    limit: u64,
}

#[derive(Debug)]
struct Allowance {
    reason: &'static str,
    /// 0 is any number.
    limit: u64,
    used: AtomicU64,
}

impl Allowance {
    fn new(reason: &'static str, limit: u64) -> Self {
        Allowance { reason, limit, used: AtomicU64::new(0) }
    }

    fn take(&self, count: u64) -> Result<(), Exceeded> {
        let used = self.used.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        if self.limit > 0 && used > self.limit {
            return Err(Exceeded { reason: self.reason, limit: self.limit });
        }
        Ok(())
    }
}

impl Budget {
    pub(crate) fn new(config: &StoreConfig) -> Self {
        Budget {
            series: Allowance::new("series", config.series_limit),
            chunks: Allowance::new("chunks", config.samples_limit.div_ceil(SAMPLES_PER_CHUNK)),
            bytes: Allowance::new("bytes", config.request_bytes_limit),
        }
    }

    /// What was taken will be taken once more.
    pub(crate) fn give_back(&self, series: usize, chunks: usize, bytes: u64) {
        self.series.used.fetch_sub(series as u64, Ordering::Relaxed);
        self.chunks.used.fetch_sub(chunks as u64, Ordering::Relaxed);
        self.bytes.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn take_series(&self, count: usize) -> Result<(), Exceeded> {
        self.series.take(count as u64)
    }

    pub(crate) fn take_chunks(&self, count: usize) -> Result<(), Exceeded> {
        self.chunks.take(count as u64)
    }

    pub(crate) fn take_bytes(&self, count: u64) -> Result<(), Exceeded> {
        self.bytes.take(count)
    }
}

impl From<Exceeded> for StoreError {
    fn from(exceeded: Exceeded) -> Self {
        StoreError::Limit(format!("exceeded {} limit: limit {} violated", exceeded.reason, exceeded.limit))
    }
}
