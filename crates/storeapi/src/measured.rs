//! A store whose answers are measured: Thanos's `thanos_store_server_…`.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::{
    EndpointStatus, ExemplarsAnswer, ExemplarsRequest, LabelNamesRequest, LabelValuesRequest, LabelsAnswer,
    MetadataAnswer, MetadataRequest, SeriesFrame, SeriesRequest, SeriesStream, Store, StoreError, StoreInfo,
};

/// Thanos's buckets.
const SERIES_BUCKETS: [f64; 7] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];
const CHUNKS_BUCKETS: [f64; 8] = [1.0, 100.0, 1e3, 1e4, 1e5, 1e7, 1e8, 1e9];

/// What Series calls give, and how many are under way.
#[derive(Clone, Debug)]
pub struct StoreServerMetrics {
    series: Histogram,
    chunks: Histogram,
    pending: Gauge,
}

impl StoreServerMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = StoreServerMetrics {
            series: Histogram::new(SERIES_BUCKETS),
            chunks: Histogram::new(CHUNKS_BUCKETS),
            pending: Gauge::default(),
        };
        let name = |part: &str| format!("thanos_store_server_{part}");
        registry.register(
            name("series_requested"),
            "Number of requested series for Series calls",
            metrics.series.clone(),
        );
        registry.register(
            name("chunks_requested"),
            "Number of requested chunks for Series calls",
            metrics.chunks.clone(),
        );
        registry.register(
            name("pending_series_requests"),
            "Number of pending series requests",
            metrics.pending.clone(),
        );
        metrics
    }
}

/// One Series call.
#[derive(Debug)]
struct Call {
    metrics: StoreServerMetrics,
    series: u64,
    chunks: u64,
    failed: bool,
}

impl Call {
    fn begin(metrics: &StoreServerMetrics) -> Self {
        metrics.pending.inc();
        Call { metrics: metrics.clone(), series: 0, chunks: 0, failed: false }
    }

    fn count(&mut self, frame: &Result<SeriesFrame, StoreError>) {
        match frame {
            Ok(SeriesFrame::Series(series)) => {
                self.series += series.len() as u64;
                self.chunks += series.iter().map(|series| series.chunks.len() as u64).sum::<u64>();
            }
            Ok(_) => {}
            Err(_) => self.failed = true,
        }
    }

    /// As in Thanos, only answers that came to their end are observed.
    fn end(&self) {
        if !self.failed {
            self.metrics.series.observe(self.series as f64);
            self.metrics.chunks.observe(self.chunks as f64);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.metrics.pending.dec();
    }
}

/// A store in front of another, which measures its answers.
#[derive(Debug)]
pub struct MeasuredStore {
    inner: Arc<dyn Store>,
    metrics: StoreServerMetrics,
}

impl MeasuredStore {
    /// Measures what `inner` gives.
    pub fn new(inner: Arc<dyn Store>, metrics: StoreServerMetrics) -> Self {
        MeasuredStore { inner, metrics }
    }
}

#[async_trait]
impl Store for MeasuredStore {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        self.inner.info().await
    }

    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        let call = Call::begin(&self.metrics);
        let frames = self.inner.series(request).await?;
        let frames = frames.map(Some).chain(futures::stream::once(async { None }));
        let measured = frames.scan(call, |call, frame| {
            match &frame {
                Some(frame) => call.count(frame),
                None => call.end(),
            }
            futures::future::ready(frame)
        });
        Ok(measured.boxed())
    }

    async fn label_names(&self, request: LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
        self.inner.label_names(request).await
    }

    async fn label_values(&self, request: LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
        self.inner.label_values(request).await
    }

    async fn exemplars(&self, request: ExemplarsRequest) -> Result<ExemplarsAnswer, StoreError> {
        self.inner.exemplars(request).await
    }

    async fn metric_metadata(&self, request: MetadataRequest) -> Result<MetadataAnswer, StoreError> {
        self.inner.metric_metadata(request).await
    }

    async fn endpoint_statuses(&self) -> Vec<EndpointStatus> {
        self.inner.endpoint_statuses().await
    }
}
