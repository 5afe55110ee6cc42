//! A store whose answers have a limit: stock's `--store.limits.request-*`.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::{
    EndpointStatus, ExemplarsAnswer, ExemplarsRequest, LabelNamesRequest, LabelValuesRequest, LabelsAnswer,
    MetadataAnswer, MetadataRequest, SeriesFrame, SeriesRequest, SeriesStream, Store, StoreError, StoreInfo,
    StoreSeries,
};

/// The most samples of a chunk; so many are counted for each, as in Thanos.
const SAMPLES_PER_CHUNK: u64 = 120;

/// What one Series request may give; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesLimits {
    /// Series.
    pub series: u64,
    /// Samples, counted as 120 a chunk.
    pub samples: u64,
}

/// Requests that a limit ended, by reason (`series`, `chunks`).
#[derive(Clone, Debug, Default)]
pub struct LimitedMetrics(Family<[(&'static str, &'static str); 1], Counter>);

impl LimitedMetrics {
    /// Registers `thanos_store_selects_dropped_total`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = LimitedMetrics::default();
        for reason in ["series", "chunks"] {
            drop(metrics.0.get_or_create(&[("reason", reason)]));
        }
        let help = "Number of select queries that were dropped due to configured limits";
        registry.register("thanos_store_selects_dropped", help, metrics.0.clone());
        metrics
    }
}

/// A store in front of another, which ends answers that become too long.
#[derive(Debug)]
pub struct LimitedStore {
    inner: Arc<dyn Store>,
    limits: SeriesLimits,
    metrics: LimitedMetrics,
}

impl LimitedStore {
    /// Limits what `inner` gives for one request.
    pub fn new(inner: Arc<dyn Store>, limits: SeriesLimits, metrics: LimitedMetrics) -> Self {
        LimitedStore { inner, limits, metrics }
    }
}

/// What one answer has given so far.
#[derive(Debug, Default)]
struct Given {
    series: u64,
    samples: u64,
}

impl Given {
    /// Counts more; over a limit, says which and how far.
    fn add(&mut self, series: &[StoreSeries], limits: &SeriesLimits) -> Result<(), (&'static str, StoreError)> {
        for series in series {
            self.series += 1;
            self.samples += series.chunks.len() as u64 * SAMPLES_PER_CHUNK;
            let counts =
                [("series", "series", self.series, limits.series), ("chunks", "samples", self.samples, limits.samples)];
            for (reason, what, given, limit) in counts {
                if limit > 0 && given > limit {
                    let text = format!("failed to send {what}: limit {limit} violated (got {given})");
                    return Err((reason, StoreError::Limit(text)));
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Store for LimitedStore {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        self.inner.info().await
    }

    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        let frames = self.inner.series(request).await?;
        let (limits, dropped) = (self.limits, self.metrics.0.clone());
        let limited = frames.scan(Some(Given::default()), move |state, frame| {
            // An answer ends with the first error.
            let Some(given) = state else { return futures::future::ready(None) };
            let counted = match &frame {
                Ok(SeriesFrame::Series(series)) => given.add(series, &limits),
                _ => Ok(()),
            };
            futures::future::ready(Some(match counted {
                Ok(()) => frame,
                Err((reason, error)) => {
                    *state = None;
                    dropped.get_or_create(&[("reason", reason)]).inc();
                    Err(error)
                }
            }))
        });
        Ok(limited.boxed())
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

#[cfg(test)]
mod tests {
    use thanoxide_model::Labels;

    use super::*;

    #[test]
    fn what_is_over_a_limit_has_stocks_words() {
        let series = |chunks| StoreSeries { labels: Labels::default(), chunks: vec![Default::default(); chunks] };
        let add = |series: &[StoreSeries], limits| {
            Given::default().add(series, &limits).map_err(|(reason, error)| (reason, error.to_string()))
        };
        let all = [series(1), series(2)];
        assert_eq!(add(&all, SeriesLimits { series: 2, samples: 360 }), Ok(()));
        let over = add(&all, SeriesLimits { series: 1, samples: 0 });
        assert_eq!(over, Err(("series", "failed to send series: limit 1 violated (got 2)".to_string())));
        let over = add(&all, SeriesLimits { series: 0, samples: 300 });
        assert_eq!(over, Err(("chunks", "failed to send samples: limit 300 violated (got 360)".to_string())));
    }
}
