//! A store in memory: the reference that others are compared with, and a stand-in for them in tests.

use async_trait::async_trait;
use futures::{StreamExt, stream};
use thanoxide_model::{Labels, Matcher};

use crate::resort::batches;
use crate::{
    AggrChunk, LabelNamesRequest, LabelValuesRequest, LabelsAnswer, SeriesRequest, SeriesStream, Store, StoreError,
    StoreInfo, StoreSeries, TsdbInfo,
};

/// Series with their chunks under one external label set. It answers in the plainest way that the contract allows.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    component: String,
    external: Labels,
    series: Vec<StoreSeries>,
}

impl MemoryStore {
    /// A store of some series (their labels without the external ones).
    pub fn new(component: &str, external: Labels, series: Vec<StoreSeries>) -> Self {
        MemoryStore { component: component.to_string(), external, series }
    }

    /// All series that satisfy a request, final labels in place, sorted.
    fn select(&self, start_ms: i64, end_ms: i64, matchers: &[Matcher], without: &[String]) -> Vec<StoreSeries> {
        let mut selected = Vec::new();
        for series in &self.series {
            let labels = series.labels.overlay(&self.external);
            let overlaps = |c: &&AggrChunk| c.min_time_ms <= end_ms && c.max_time_ms >= start_ms;
            let chunks: Vec<_> = series.chunks.iter().filter(overlaps).cloned().collect();
            if !chunks.is_empty() && matchers.iter().all(|m| m.matches_labels(&labels)) {
                selected.push(StoreSeries { labels: labels.without(without), chunks });
            }
        }
        selected.sort_by(|a, b| a.labels.cmp(&b.labels));
        selected
    }

    fn times(&self) -> (i64, i64) {
        let chunks = || self.series.iter().flat_map(|s| &s.chunks);
        let min = chunks().map(|c| c.min_time_ms).min().unwrap_or(i64::MAX);
        (min, chunks().map(|c| c.max_time_ms).max().unwrap_or(i64::MIN))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let (min_time_ms, max_time_ms) = self.times();
        Ok(StoreInfo {
            component: self.component.clone(),
            label_sets: vec![self.external.clone()],
            min_time_ms,
            max_time_ms,
            tsdb_infos: vec![TsdbInfo { labels: self.external.clone(), min_time_ms, max_time_ms }],
            supports_sharding: true,
            supports_without_replica_labels: true,
            exemplars: None,
            metric_metadata: false,
        })
    }

    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        let (start_ms, end_ms) = (request.min_time_ms, request.max_time_ms);
        let mut series = self.select(start_ms, end_ms, &request.matchers, &request.without_replica_labels);
        if let Some(shard) = &request.shard {
            series.retain(|s| shard.contains(&s.labels));
        }
        if request.skip_chunks {
            series.iter_mut().for_each(|s| s.chunks.clear());
            series.dedup();
        }
        if request.limit > 0 {
            series.truncate(request.limit);
        }
        Ok(stream::iter(batches(series)).boxed())
    }

    async fn label_names(&self, request: LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
        let without = &request.without_replica_labels;
        let series = self.select(request.start_ms, request.end_ms, &request.matchers, without);
        let names = series.iter().flat_map(|s| s.labels.iter().map(|(name, _)| name.to_vec()));
        Ok(LabelsAnswer::of(names.collect(), request.limit, Vec::new()))
    }

    async fn label_values(&self, request: LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
        if request.label.is_empty() {
            return Err(StoreError::InvalidArgument("label name parameter cannot be empty".into()));
        }
        let without = &request.without_replica_labels;
        let series = self.select(request.start_ms, request.end_ms, &request.matchers, without);
        let values = series.iter().filter_map(|s| s.labels.get(&request.label).map(<[u8]>::to_vec));
        Ok(LabelsAnswer::of(values.collect(), request.limit, Vec::new()))
    }
}
