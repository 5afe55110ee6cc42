//! The store gateway itself: what it holds, and the StoreAPI in front of it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures::{StreamExt, stream};
use prometheus_client::registry::Registry;
use thanoxide_block::meta::Meta;
use thanoxide_block::{Fetcher, FetcherMetrics};
use thanoxide_env::Env;
use thanoxide_objstore::Bucket;
use thanoxide_spans::Span;
use thanoxide_storeapi::{
    LabelNamesRequest, LabelValuesRequest, LabelsAnswer, PartialResponse, SeriesRequest, SeriesStream, Store,
    StoreError, StoreInfo,
};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};

use crate::config::StoreConfig;
use crate::index_file::blocking;
use crate::merge::Merge;
use crate::metrics::{GateMetrics, StoreMetrics};
use crate::snapshot::{Chosen, Snapshot, Wanted};
use crate::source::SourceContext;

/// Blocks of one labels call that are read at the same time.
const LABELS_CONCURRENCY: usize = 8;

/// A store gateway.
#[derive(Debug)]
pub struct BucketStore {
    pub(crate) config: StoreConfig,
    pub(crate) env: Env,
    pub(crate) bucket: Arc<dyn Bucket>,
    pub(crate) fetcher: Fetcher,
    pub(crate) metrics: StoreMetrics,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) sync_lock: Mutex<()>,
    pub(crate) ready: watch::Sender<bool>,
    gate: Arc<Semaphore>,
}

/// A place at the gate of `Series` calls; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    metrics: GateMetrics,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}

impl BucketStore {
    /// A store gateway that serves nothing yet: [`BucketStore::run`] or [`BucketStore::sync_now`] fill it.
    pub fn new(config: StoreConfig, env: Env, bucket: Arc<dyn Bucket>, registry: &mut Registry) -> Self {
        let metrics = StoreMetrics::new(registry);
        metrics.gate.max.set(config.series_concurrency as i64);
        let fetcher_metrics = FetcherMetrics::new(registry);
        let fetcher =
            Fetcher::new(config.fetcher.clone(), Arc::clone(&bucket), Arc::clone(&env.clock), Some(fetcher_metrics));
        BucketStore {
            gate: Arc::new(Semaphore::new(config.series_concurrency.max(1))),
            config,
            env,
            bucket,
            fetcher,
            metrics,
            snapshot: ArcSwap::default(),
            sync_lock: Mutex::default(),
            ready: watch::Sender::new(false),
        }
    }

    /// What is served now, by block name.
    pub fn blocks(&self) -> Vec<Arc<Meta>> {
        self.snapshot.load().blocks().values().map(|block| Arc::clone(&block.meta)).collect()
    }

    async fn admit(&self) -> Result<Admission, StoreError> {
        let metrics = self.metrics.gate.clone();
        metrics.total.inc();
        let start = self.env.clock.monotonic();
        let turn = Arc::clone(&self.gate).acquire_owned();
        let permit = Span::child("store_query_gate_ismyturn").around(turn).await;
        metrics.wait.observe(self.env.clock.monotonic().saturating_sub(start).as_secs_f64());
        let permit = permit.map_err(|_| StoreError::Unavailable("the store is stopping".into()))?;
        metrics.in_flight.inc();
        Ok(Admission { metrics, _permit: permit })
    }

    /// Asks each block for labels and puts the answers together.
    async fn labels(
        &self,
        wanted: Wanted<'_>,
        partial_response: PartialResponse,
        ask: impl Fn(&Chosen) -> Result<Vec<Vec<u8>>, String> + Clone + Send + 'static,
    ) -> Result<(Vec<Vec<u8>>, Vec<String>), StoreError> {
        let (chosen, mut warnings) = self.snapshot.load().choose(wanted);
        let asks = stream::iter(chosen).map(|chosen| {
            let ask = ask.clone();
            async move {
                let id = chosen.block.id();
                blocking(move || ask(&chosen)).await.map_err(|e| format!("block {id}: {e}"))
            }
        });
        let mut asks = asks.buffer_unordered(LABELS_CONCURRENCY);
        let mut all = Vec::new();
        while let Some(answer) = asks.next().await {
            match answer {
                Ok(values) => all.extend(values),
                Err(e) => warnings.push(e),
            }
        }
        match warnings.first() {
            Some(e) if partial_response == PartialResponse::Abort => Err(StoreError::Aborted(e.clone())),
            _ => Ok((all, warnings)),
        }
    }
}

#[async_trait]
impl Store for BucketStore {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let tsdb_infos = self.snapshot.load().infos();
        Ok(StoreInfo {
            component: "store".into(),
            label_sets: tsdb_infos.iter().map(|info| info.labels.clone()).collect(),
            min_time_ms: tsdb_infos.iter().map(|info| info.min_time_ms).min().unwrap_or(i64::MAX),
            max_time_ms: tsdb_infos.iter().map(|info| info.max_time_ms).max().unwrap_or(i64::MIN),
            tsdb_infos,
            supports_sharding: true,
            supports_without_replica_labels: true,
            exemplars: None,
            metric_metadata: false,
        })
    }

    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        let admission = self.admit().await?;
        let request = Arc::new(request);
        let mut merge = self.open_series(&request, true).await?;
        if merge.lost_a_block() {
            // A compactor replaced blocks since the last sync: look once, and ask those that are there now.
            if let Err(e) = self.sync_now().await {
                tracing::warn!(error = %e, "synchronizing blocks after one vanished failed");
            }
            merge = self.open_series(&request, false).await?;
        }
        Ok(merge.into_stream(admission))
    }

    async fn label_names(&self, request: LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
        let wanted = Wanted {
            start_ms: request.start_ms,
            end_ms: request.end_ms,
            max_resolution_ms: i64::MAX,
            matchers: &request.matchers,
            block_matchers: &request.block_matchers,
        };
        let ask = |chosen: &Chosen| {
            let mut names = chosen.block.index.label_names(&chosen.matchers)?;
            if !names.is_empty() {
                names.extend(chosen.block.labels.iter().map(|(name, _)| name.to_vec()));
            }
            Ok(names)
        };
        let (mut names, warnings) = self.labels(wanted, request.partial_response, ask).await?;
        names
            .retain(|name| !request.without_replica_labels.iter().any(|replica| replica.as_bytes() == name.as_slice()));
        Ok(LabelsAnswer::of(names, request.limit, warnings))
    }

    async fn label_values(&self, request: LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
        // No series has a label without a name.
        if request.label.is_empty() || request.without_replica_labels.contains(&request.label) {
            return Ok(LabelsAnswer::default());
        }
        let wanted = Wanted {
            start_ms: request.start_ms,
            end_ms: request.end_ms,
            max_resolution_ms: i64::MAX,
            matchers: &request.matchers,
            block_matchers: &request.block_matchers,
        };
        let label = request.label.clone().into_bytes();
        let ask = move |chosen: &Chosen| match chosen.block.labels.get(&label) {
            // External labels win over those of the series.
            Some(value) => {
                let is_empty = chosen.block.index.label_names(&chosen.matchers)?.is_empty();
                Ok(if is_empty { Vec::new() } else { vec![value.to_vec()] })
            }
            None => chosen.block.index.label_values(&label, &chosen.matchers),
        };
        let (values, warnings) = self.labels(wanted, request.partial_response, ask).await?;
        Ok(LabelsAnswer::of(values, request.limit, warnings))
    }
}

impl BucketStore {
    async fn open_series(&self, request: &Arc<SeriesRequest>, may_look_again: bool) -> Result<Merge, StoreError> {
        let wanted = Wanted {
            start_ms: request.min_time_ms,
            end_ms: request.max_time_ms,
            max_resolution_ms: request.max_resolution_ms,
            matchers: &request.matchers,
            block_matchers: &request.block_matchers,
        };
        let (chosen, warnings) = self.snapshot.load().choose(wanted);
        self.metrics.blocks_queried.observe(chosen.len() as f64);
        let context = SourceContext::new(self, Arc::clone(request), chosen.len());
        Merge::open(context, chosen, warnings, may_look_again).await
    }
}
