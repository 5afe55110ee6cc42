//! Thanos's `thanos_objstore_*` metrics around a bucket.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use thanoxide_env::Clock;

use crate::bucket::{Attributes, Bucket, BucketError, ByteStream, Object, ObjectEntry, RangeCost, UploadSource};

const OPERATIONS: [&str; 7] = ["iter", "get", "get_range", "exists", "upload", "delete", "attributes"];
const TRANSFERS: [&str; 3] = ["get", "get_range", "upload"];
const DURATION_BUCKETS: [f64; 13] = [0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0];

type OperationLabels = [(&'static str, String); 2];
type BucketLabels = [(&'static str, String); 1];

/// The counters of one bucket; all children exist from the start, at 0.
#[derive(Clone, Debug)]
pub struct BucketMetrics {
    bucket: String,
    operations: Family<OperationLabels, Counter>,
    failures: Family<OperationLabels, Counter>,
    durations: Family<OperationLabels, Histogram>,
    fetched_bytes: Family<OperationLabels, Counter>,
    transferred_bytes: Family<OperationLabels, Histogram>,
    last_upload: Gauge<f64, AtomicU64>,
}

impl BucketMetrics {
    /// Registers the metrics of a bucket of this name.
    pub fn register(bucket: &str, registry: &mut Registry) -> Self {
        let last_upload: Family<BucketLabels, Gauge<f64, AtomicU64>> = Family::default();
        let metrics = BucketMetrics {
            bucket: bucket.to_string(),
            operations: Family::default(),
            failures: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS.into_iter().chain([120.0]))),
            fetched_bytes: Family::default(),
            transferred_bytes: Family::new_with_constructor(|| Histogram::new(exponential_buckets(32_768.0, 2.0, 16))),
            last_upload: last_upload.get_or_create(&[("bucket", bucket.to_string())]).clone(),
        };
        for operation in OPERATIONS {
            let _ = metrics.operations.get_or_create(&metrics.labels(operation));
            let _ = metrics.failures.get_or_create(&metrics.labels(operation));
            let _ = metrics.durations.get_or_create(&metrics.labels(operation));
        }
        for operation in TRANSFERS {
            let _ = metrics.fetched_bytes.get_or_create(&metrics.labels(operation));
            let _ = metrics.transferred_bytes.get_or_create(&metrics.labels(operation));
        }
        metrics.expose(last_upload, registry);
        metrics
    }

    fn expose(&self, last_upload: Family<BucketLabels, Gauge<f64, AtomicU64>>, registry: &mut Registry) {
        registry.register(
            "thanos_objstore_bucket_operations",
            "Total number of all attempted operations against a bucket",
            self.operations.clone(),
        );
        registry.register(
            "thanos_objstore_bucket_operation_failures",
            "Total number of operations against a bucket that failed, a missing object apart",
            self.failures.clone(),
        );
        registry.register(
            "thanos_objstore_bucket_operation_duration_seconds",
            "Duration of successful operations against the bucket per operation",
            self.durations.clone(),
        );
        registry.register(
            "thanos_objstore_bucket_operation_fetched_bytes",
            "Total number of bytes fetched from bucket, per operation",
            self.fetched_bytes.clone(),
        );
        registry.register(
            "thanos_objstore_bucket_operation_transferred_bytes",
            "Number of bytes transferred from/to bucket per operation",
            self.transferred_bytes.clone(),
        );
        registry.register(
            "thanos_objstore_bucket_last_successful_upload_time",
            "Second timestamp of the last successful upload to the bucket",
            last_upload,
        );
    }

    fn labels(&self, operation: &str) -> OperationLabels {
        [("bucket", self.bucket.clone()), ("operation", operation.to_string())]
    }

    fn started(&self, operation: &str) {
        self.operations.get_or_create(&self.labels(operation)).inc();
    }

    fn failed(&self, operation: &str, error: &BucketError) {
        if !error.is_not_found() {
            self.failures.get_or_create(&self.labels(operation)).inc();
        }
    }

    fn succeeded(&self, operation: &str, took: Duration) {
        self.durations.get_or_create(&self.labels(operation)).observe(took.as_secs_f64());
    }

    fn fetched(&self, operation: &str, bytes: u64) {
        self.fetched_bytes.get_or_create(&self.labels(operation)).inc_by(bytes);
        self.transferred_bytes.get_or_create(&self.labels(operation)).observe(bytes as f64);
    }
}

/// Counts and times what is done with a bucket.
#[derive(Debug)]
pub struct MetricsBucket {
    inner: Arc<dyn Bucket>,
    clock: Arc<dyn Clock>,
    metrics: BucketMetrics,
}

impl MetricsBucket {
    /// Wraps a bucket and registers its metrics.
    pub fn new(inner: Arc<dyn Bucket>, clock: Arc<dyn Clock>, registry: &mut Registry) -> Self {
        let metrics = BucketMetrics::register(inner.name(), registry);
        MetricsBucket { inner, clock, metrics }
    }

    async fn observe<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        self.metrics.started(operation);
        let start = self.clock.monotonic();
        let result = call.await;
        match &result {
            Ok(_) => self.metrics.succeeded(operation, self.clock.monotonic().saturating_sub(start)),
            Err(e) => self.metrics.failed(operation, e),
        }
        result
    }
}

/// A body on its way, and what is to be told at its end.
struct ObservedBody {
    body: ByteStream,
    metrics: BucketMetrics,
    clock: Arc<dyn Clock>,
    start: Duration,
    received_bytes: u64,
    broken: bool,
}

impl ObservedBody {
    async fn next(mut self) -> Option<(Result<Bytes, BucketError>, Self)> {
        let piece = self.body.next().await;
        match &piece {
            Some(Ok(bytes)) => self.received_bytes += bytes.len() as u64,
            Some(Err(e)) => {
                self.broken = true;
                self.metrics.failed("get", e);
            }
            None if !self.broken => {
                self.metrics.fetched("get", self.received_bytes);
                self.metrics.succeeded("get", self.clock.monotonic().saturating_sub(self.start));
            }
            None => {}
        }
        piece.map(|piece| (piece, self))
    }
}

#[async_trait]
impl Bucket for MetricsBucket {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn get(&self, name: &str) -> Result<Object, BucketError> {
        self.metrics.started("get");
        let start = self.clock.monotonic();
        match self.inner.get(name).await {
            Ok(object) => {
                let observed = ObservedBody {
                    body: object.body,
                    metrics: self.metrics.clone(),
                    clock: Arc::clone(&self.clock),
                    start,
                    received_bytes: 0,
                    broken: false,
                };
                Ok(Object { body: futures::stream::unfold(observed, ObservedBody::next).boxed(), ..object })
            }
            Err(e) => {
                self.metrics.failed("get", &e);
                Err(e)
            }
        }
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        let bytes = self.observe("get_range", self.inner.get_range(name, range)).await?;
        self.metrics.fetched("get_range", bytes.len() as u64);
        Ok(bytes)
    }

    async fn get_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, BucketError> {
        let all = self.observe("get_range", self.inner.get_ranges(name, ranges)).await?;
        self.metrics.fetched("get_range", all.iter().map(|bytes| bytes.len() as u64).sum());
        Ok(all)
    }

    fn range_cost(&self) -> RangeCost {
        self.inner.range_cost()
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.observe("exists", self.inner.exists(name)).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.observe("attributes", self.inner.attributes(name)).await
    }

    async fn upload(&self, name: &str, source: UploadSource) -> Result<(), BucketError> {
        let size_bytes = source.size_bytes();
        self.observe("upload", self.inner.upload(name, source)).await?;
        if let Some(size_bytes) = size_bytes {
            self.metrics.transferred_bytes.get_or_create(&self.metrics.labels("upload")).observe(size_bytes as f64);
        }
        self.metrics.last_upload.set(self.clock.now_ms() as f64 / 1000.0);
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.observe("delete", self.inner.delete(name)).await
    }

    async fn iter(&self, dir: &str) -> Result<Vec<String>, BucketError> {
        self.observe("iter", self.inner.iter(dir)).await
    }

    async fn iter_recursive(&self, dir: &str) -> Result<Vec<ObjectEntry>, BucketError> {
        self.observe("iter", self.inner.iter_recursive(dir)).await
    }
}

impl UploadSource {
    /// How many bytes there are, where that is known without reading.
    fn size_bytes(&self) -> Option<u64> {
        match self {
            UploadSource::Bytes(bytes) => Some(bytes.len() as u64),
            UploadSource::File { disk, path } => disk.open(path).and_then(|file| file.len()).ok(),
        }
    }
}
