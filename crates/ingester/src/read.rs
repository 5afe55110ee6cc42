//! The ingester as a `Store`: heads and local blocks of all tenants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use thanoxide_model::{Labels, Matcher, TenantId};
use thanoxide_storeapi::{
    EVER_MS, ExemplarsAnswer, ExemplarsRequest, LabelNamesRequest, LabelValuesRequest, LabelsAnswer, MetadataAnswer,
    MetadataRequest, SeriesFrame, SeriesRequest, SeriesStream, Store, StoreError, StoreInfo, StoreSeries, TsdbInfo,
};
use thanoxide_tsdb::engine::{Engine, EngineError, Selection, TenantReader};

use crate::ingester::{Ingester, blocking};
use crate::read_exemplars::exemplars;

/// Series in one frame of an answer.
const FRAME_SERIES: usize = 256;

/// A tenant that a request is about: its reader, its external labels, the matchers that they leave.
struct Addressed {
    reader: TenantReader,
    labels: Labels,
    matchers: Vec<Matcher>,
}

/// Keeps the matchers that external labels do not answer; `None` where one of them says no.
pub(crate) fn remaining_matchers(matchers: &[Matcher], external: &Labels) -> Option<Vec<Matcher>> {
    let about_external = |m: &&Matcher| external.get(m.name()).is_some();
    if matchers.iter().filter(about_external).any(|m| !m.matches_labels(external)) {
        return None;
    }
    Some(matchers.iter().filter(|m| !about_external(m)).cloned().collect())
}

/// Tenants with their external labels.
pub(crate) type Tenants = Vec<(TenantId, Labels)>;

fn addressed(engine: &Engine, tenants: &Tenants, matchers: &[Matcher]) -> Vec<Addressed> {
    let address = |(tenant, labels): &(TenantId, Labels)| {
        let matchers = remaining_matchers(matchers, labels)?;
        Some(Addressed { reader: engine.reader(tenant)?, labels: labels.clone(), matchers })
    };
    tenants.iter().filter_map(address).collect()
}

impl Ingester {
    fn labelled_tenants(&self) -> Tenants {
        let label = |tenant: TenantId| (tenant.clone(), self.config.labels_of(&tenant));
        self.engine.tenants().into_iter().map(label).collect()
    }
}

fn store_error(error: EngineError) -> StoreError {
    StoreError::Aborted(error.to_string())
}

/// Set once its owner is dropped: nobody waits for an answer any more.
#[derive(Default)]
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn select(
    engine: &Engine,
    tenants: &Tenants,
    request: &SeriesRequest,
    cancelled: &AtomicBool,
) -> Result<Vec<StoreSeries>, StoreError> {
    let mut all = Vec::new();
    for Addressed { reader, labels: external, matchers } in addressed(engine, tenants, &request.matchers) {
        let shown = |labels: &Labels| labels.overlay(&external).without(&request.without_replica_labels);
        let in_shard = |labels: &Labels| request.shard.as_ref().is_none_or(|shard| shard.contains(&shown(labels)));
        let selection = Selection {
            keep: request.shard.is_some().then_some(&in_shard),
            labels_only: request.skip_chunks,
            // Series may become one without these labels.
            limit: if request.without_replica_labels.is_empty() { request.limit } else { 0 },
            cancelled: Some(cancelled),
            ..Selection::new(&matchers, request.min_time_ms, request.max_time_ms)
        };
        let selected = reader.select_some(&selection).map_err(store_error)?;
        all.extend(selected.into_iter().map(|series| StoreSeries {
            labels: shown(&series.labels),
            chunks: series.chunks.into_iter().map(Into::into).collect(),
        }));
    }
    // Runs are sorted unless labels were added or removed; the sort is quick where they are. Pieces of one series keep
    // their order.
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    if request.limit > 0 {
        cut_to_limit(&mut all, request.limit);
    }
    Ok(all)
}

/// Keeps the first `limit` label sets, with all their pieces.
fn cut_to_limit(series: &mut Vec<StoreSeries>, limit: usize) {
    let mut seen = 0;
    let end = (0..series.len()).find(|i| {
        seen += usize::from(*i == 0 || series[*i].labels != series[*i - 1].labels);
        seen > limit
    });
    series.truncate(end.unwrap_or(series.len()));
}

fn frames(series: Vec<StoreSeries>) -> SeriesStream {
    let mut rest = series.into_iter();
    let batches = std::iter::from_fn(move || {
        let batch: Vec<_> = rest.by_ref().take(FRAME_SERIES).collect();
        (!batch.is_empty()).then_some(Ok(SeriesFrame::Series(batch)))
    });
    futures::stream::iter(batches).boxed()
}

fn label_names(engine: &Engine, tenants: &Tenants, request: &LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
    let mut names = Vec::new();
    for Addressed { reader, labels, matchers } in addressed(engine, tenants, &request.matchers) {
        let own = reader.label_names(&matchers, request.start_ms, request.end_ms).map_err(store_error)?;
        if own.is_empty() {
            continue;
        }
        names.extend(own);
        names.extend(labels.iter().map(|(name, _)| name.to_vec()));
    }
    names.retain(|name| !request.without_replica_labels.iter().any(|l| l.as_bytes() == name.as_slice()));
    Ok(LabelsAnswer::of(names, request.limit, Vec::new()))
}

fn label_values(engine: &Engine, tenants: &Tenants, request: &LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
    let mut values = Vec::new();
    if request.without_replica_labels.contains(&request.label) {
        return Ok(LabelsAnswer::default());
    }
    for Addressed { reader, labels, matchers } in addressed(engine, tenants, &request.matchers) {
        let (start_ms, end_ms) = (request.start_ms, request.end_ms);
        match labels.get(&request.label) {
            Some(value) => {
                let any = reader.label_names(&matchers, start_ms, end_ms).map_err(store_error)?;
                values.extend((!any.is_empty()).then(|| value.to_vec()));
            }
            None => {
                let own =
                    reader.label_values(request.label.as_bytes(), &matchers, start_ms, end_ms).map_err(store_error)?;
                values.extend(own);
            }
        }
    }
    Ok(LabelsAnswer::of(values, request.limit, Vec::new()))
}

#[async_trait]
impl Store for Ingester {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let info = |summary: crate::TenantSummary| TsdbInfo {
            labels: summary.labels,
            min_time_ms: summary.stats.times_ms.map_or(i64::MAX, |(min, _)| min),
            // New samples may come at any time.
            max_time_ms: i64::MAX,
        };
        let tsdb_infos: Vec<TsdbInfo> = self.tenants().into_iter().map(info).collect();
        Ok(StoreInfo {
            component: "receive".to_string(),
            label_sets: tsdb_infos.iter().map(|info| info.labels.clone()).collect(),
            min_time_ms: tsdb_infos.iter().map(|info| info.min_time_ms).min().unwrap_or(i64::MAX),
            max_time_ms: i64::MAX,
            tsdb_infos,
            supports_sharding: true,
            supports_without_replica_labels: true,
            exemplars: Some(EVER_MS),
            metric_metadata: true,
        })
    }

    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        let (engine, tenants) = (Arc::clone(&self.engine), self.labelled_tenants());
        let waiting = Waiting::default();
        let cancelled = Arc::clone(&waiting.0);
        let selected = blocking(move || select(&engine, &tenants, &request, &cancelled)).await;
        drop(waiting);
        selected.map(frames)
    }

    async fn label_names(&self, request: LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
        let (engine, tenants) = (Arc::clone(&self.engine), self.labelled_tenants());
        blocking(move || label_names(&engine, &tenants, &request)).await
    }

    async fn label_values(&self, request: LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
        if request.label.is_empty() {
            return Err(StoreError::InvalidArgument("label name parameter cannot be empty".to_string()));
        }
        let (engine, tenants) = (Arc::clone(&self.engine), self.labelled_tenants());
        blocking(move || label_values(&engine, &tenants, &request)).await
    }

    async fn exemplars(&self, request: ExemplarsRequest) -> Result<ExemplarsAnswer, StoreError> {
        let (engine, tenants) = (Arc::clone(&self.engine), self.labelled_tenants());
        let series = blocking(move || exemplars(&engine, &tenants, &request)).await;
        Ok(ExemplarsAnswer { series, warnings: Vec::new() })
    }

    async fn metric_metadata(&self, request: MetadataRequest) -> Result<MetadataAnswer, StoreError> {
        let mut answer = MetadataAnswer::default();
        for reader in self.engine.tenants().iter().filter_map(|tenant| self.engine.reader(tenant)) {
            for (family, known) in reader.metadata(request.metric.as_deref()) {
                answer.add(family, known, request.limit);
            }
        }
        Ok(answer)
    }
}
