//! A bucket that fails and dawdles on purpose.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::bucket::{Attributes, Bucket, BucketError, Object, ObjectEntry, RangeCost, UploadSource};

/// Wraps a bucket. Faults come before the operation reaches it: a failed upload wrote nothing.
///
/// Without a setting it changes nothing. The settings may be changed while it is in use.
#[derive(Debug)]
pub struct FaultBucket {
    inner: Arc<dyn Bucket>,
    attempts: Mutex<HashMap<String, u32>>,
    fail_first: AtomicU32,
    calls: AtomicU64,
    fail_at: AtomicU64,
    latency_us: AtomicU64,
}

impl FaultBucket {
    /// A bucket without faults so far.
    pub fn new(inner: Arc<dyn Bucket>) -> Self {
        FaultBucket {
            inner,
            attempts: Mutex::default(),
            fail_first: AtomicU32::new(0),
            calls: AtomicU64::new(0),
            fail_at: AtomicU64::new(0),
            latency_us: AtomicU64::new(0),
        }
    }

    /// Fails the first `attempts` calls of each distinct operation (kind, name and range), counted from now.
    pub fn fail_first(&self, attempts: u32) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.fail_first.store(attempts, Ordering::SeqCst);
    }

    /// Fails the n-th call from the start, counted from 1; 0 is none.
    pub fn fail_at(&self, call: u64) {
        self.fail_at.store(call, Ordering::SeqCst);
    }

    /// Delays every call.
    pub fn set_latency(&self, latency: Duration) {
        self.latency_us.store(latency.as_micros() as u64, Ordering::SeqCst);
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn before(&self, operation: &'static str, name: &str, range: Option<&Range<u64>>) -> Result<(), BucketError> {
        let latency_us = self.latency_us.load(Ordering::SeqCst);
        if latency_us > 0 {
            tokio::time::sleep(Duration::from_micros(latency_us)).await;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if call == self.fail_at.load(Ordering::SeqCst) || self.is_early(operation, name, range) {
            return Err(BucketError::failed(operation, name, "injected failure"));
        }
        Ok(())
    }

    fn is_early(&self, operation: &str, name: &str, range: Option<&Range<u64>>) -> bool {
        let fail_first = self.fail_first.load(Ordering::SeqCst);
        if fail_first == 0 {
            return false;
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = attempts.entry(format!("{operation} {name} {range:?}")).or_insert(0);
        *attempt += 1;
        *attempt <= fail_first
    }
}

#[async_trait]
impl Bucket for FaultBucket {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn get(&self, name: &str) -> Result<Object, BucketError> {
        self.before("get", name, None).await?;
        self.inner.get(name).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.before("get_range", name, Some(&range)).await?;
        self.inner.get_range(name, range).await
    }

    async fn get_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, BucketError> {
        self.before("get_range", name, ranges.first()).await?;
        self.inner.get_ranges(name, ranges).await
    }

    fn range_cost(&self) -> RangeCost {
        self.inner.range_cost()
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.before("exists", name, None).await?;
        self.inner.exists(name).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.before("attributes", name, None).await?;
        self.inner.attributes(name).await
    }

    async fn upload(&self, name: &str, source: UploadSource) -> Result<(), BucketError> {
        self.before("upload", name, None).await?;
        self.inner.upload(name, source).await
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.before("delete", name, None).await?;
        self.inner.delete(name).await
    }

    async fn iter(&self, dir: &str) -> Result<Vec<String>, BucketError> {
        self.before("iter", dir, None).await?;
        self.inner.iter(dir).await
    }

    async fn iter_recursive(&self, dir: &str) -> Result<Vec<ObjectEntry>, BucketError> {
        self.before("iter_recursive", dir, None).await?;
        self.inner.iter_recursive(dir).await
    }
}
