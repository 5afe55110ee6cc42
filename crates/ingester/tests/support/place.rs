//! What the ingester's tests share: a directory, a bucket, a clock and a disk that outlive an ingester.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use thanoxide_env::{Env, FaultDisk, ManualClock, SeededRandom, SystemDisk};
use thanoxide_ingester::{Ingester, IngesterConfig, IngesterDeps, IngesterMetrics};
use thanoxide_model::series::Columns;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Matcher, Sample, TenantId, WriteBatch};
use thanoxide_objstore::{Bucket, FaultBucket, ObjectBucket};
use thanoxide_storeapi::{SeriesFrame, SeriesRequest, Store, WriteError, WriteOutcome, WriteStore};
use thanoxide_tsdb::chunk;
use thanoxide_tsdb::engine::EngineError;

/// When tests begin: the start of a block.
pub(crate) const START_MS: i64 = 1_767_225_600_000;
/// An hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// Samples by series, as bits by time.
pub(crate) type Samples = BTreeMap<Labels, BTreeMap<i64, u64>>;

/// Where an ingester lives.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) disk: FaultDisk,
    pub(crate) bucket: Arc<FaultBucket>,
    pub(crate) config: IngesterConfig,
    random: Arc<SeededRandom>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let external = Labels::from_pairs([("region", "eu"), ("cluster", "c1")]);
        let config = IngesterConfig::new(dir.path().to_path_buf(), external, tenant("default"));
        Place {
            dir,
            clock: Arc::new(ManualClock::at(START_MS)),
            disk: FaultDisk::new(Arc::new(SystemDisk)),
            bucket: Arc::new(FaultBucket::new(Arc::new(ObjectBucket::in_memory()))),
            config,
            random: Arc::new(SeededRandom::new(7)),
        }
    }

    /// An ingester, and the registry of its metrics.
    pub(crate) fn try_open(&self) -> Result<(Arc<Ingester>, Registry), EngineError> {
        let mut registry = Registry::default();
        let env = Env {
            clock: Arc::clone(&self.clock) as _,
            disk: Arc::new(self.disk.clone()),
            random: Arc::clone(&self.random) as _,
        };
        let bucket = Some(Arc::clone(&self.bucket) as _);
        let deps = IngesterDeps { env, bucket, metrics: IngesterMetrics::new(&mut registry) };
        Ok((Ingester::open(self.config.clone(), deps)?, registry))
    }

    pub(crate) fn open(&self) -> Arc<Ingester> {
        self.try_open().unwrap().0
    }

    /// The ids of the blocks in the bucket that have a meta.
    pub(crate) async fn uploaded(&self) -> Vec<String> {
        let names = self.bucket.iter_recursive("").await.unwrap();
        names.iter().filter_map(|entry| entry.name.strip_suffix("/meta.json")).map(str::to_string).collect()
    }

    /// The ids of the blocks in a tenant's directory.
    pub(crate) fn local_blocks(&self, tenant: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path().join(tenant)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut blocks: Vec<_> = names.filter(|name| name.len() == 26).collect();
        blocks.sort();
        blocks
    }
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Series `0..count` with a sample each.
pub(crate) fn step(count: usize, timestamp_ms: i64) -> Vec<(Labels, Vec<Sample>)> {
    let series = |i: usize| {
        let labels = Labels::from_pairs([("__name__", "metric".to_string()), ("i", i.to_string())]);
        (labels, vec![Sample { timestamp_ms, value: (timestamp_ms % 1_000_003) as f64 + i as f64 }])
    };
    (0..count).map(series).collect()
}

pub(crate) fn batch(series: &[(Labels, Vec<Sample>)]) -> Arc<WriteBatch> {
    let mut builder = WriteBatchBuilder::default();
    for (labels, samples) in series {
        builder.push(labels, samples);
    }
    Arc::new(builder.build())
}

/// Writes for a tenant; what is acknowledged goes into the model, under its external labels.
pub(crate) async fn write(
    ingester: &Ingester,
    id: &TenantId,
    series: &[(Labels, Vec<Sample>)],
    external: &Labels,
    model: &mut Samples,
) -> Result<WriteOutcome, WriteError> {
    let outcome = ingester.write(id, batch(series)).await?;
    assert!(outcome.rejected.is_empty(), "{:?}", outcome.rejected);
    for (labels, samples) in series {
        let known = model.entry(labels.overlay(external)).or_default();
        known.extend(samples.iter().map(|s| (s.timestamp_ms, s.value.to_bits())));
    }
    Ok(outcome)
}

/// All samples of a store. Each one must come once.
pub(crate) async fn read(store: &dyn Store) -> Samples {
    let matchers = vec![Matcher::equal("__name__", "metric")];
    let request = SeriesRequest { min_time_ms: i64::MIN, max_time_ms: i64::MAX, matchers, ..Default::default() };
    let frames: Vec<_> = store.series(request).await.unwrap().try_collect().await.unwrap();
    let mut all = Samples::new();
    for frame in frames {
        let SeriesFrame::Series(series) = frame else { panic!("{frame:?}") };
        for series in series {
            let samples = all.entry(series.labels.clone()).or_default();
            for raw in series.chunks.iter().filter_map(|c| c.raw.as_ref()) {
                add_chunk(samples, &series.labels, raw);
            }
        }
    }
    all
}

pub(crate) fn add_chunk(samples: &mut BTreeMap<i64, u64>, labels: &Labels, chunk: &chunk::Chunk) {
    let mut columns = Columns::default();
    chunk::decode(chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
    for (t, v) in columns.timestamps_ms.iter().zip(&columns.values) {
        assert_eq!(samples.insert(*t, v.to_bits()), None, "{labels} has {t} twice");
    }
}
