//! What the engine's tests share.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use thanoxide_env::{Disk, Env, ManualClock, SeededRandom, SystemDisk};
use thanoxide_model::series::Columns;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, TenantId, WriteBatch};
use thanoxide_tsdb::engine::{AppendOptions, Appended, Engine, EngineError, EngineOptions};

/// Samples by series, as bits by time.
pub(crate) type Samples = BTreeMap<Labels, BTreeMap<i64, u64>>;

pub(crate) fn env(disk: Arc<dyn Disk>) -> Env {
    Env { clock: Arc::new(ManualClock::default()), disk, random: Arc::new(SeededRandom::new(7)) }
}

pub(crate) fn options() -> EngineOptions {
    EngineOptions { segment_bytes: 32 * 1024, min_free_bytes: 0, ..EngineOptions::default() }
}

pub(crate) fn open(dir: &Path) -> Engine {
    Engine::open(dir, options(), env(Arc::new(SystemDisk))).unwrap()
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("tenant-a").unwrap()
}

pub(crate) fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "metric".to_string()), ("i", series.to_string())])
}

pub(crate) fn batch(series: &[(Labels, Vec<(i64, f64)>)]) -> WriteBatch {
    let mut builder = WriteBatchBuilder::default();
    for (labels, samples) in series {
        let samples: Vec<_> = samples.iter().map(|(t, v)| Sample { timestamp_ms: *t, value: *v }).collect();
        builder.push(labels, &samples);
    }
    builder.build()
}

pub(crate) fn append(engine: &Engine, batch: &WriteBatch) -> Result<Appended, EngineError> {
    engine.append(&tenant(), batch, AppendOptions::default())
}

/// Appends and waits for the disk; what is acknowledged goes into the model.
pub(crate) fn write(
    engine: &Engine,
    series: &[(Labels, Vec<(i64, f64)>)],
    model: &mut Samples,
) -> Result<(), EngineError> {
    let appended = append(engine, &batch(series))?;
    appended.ticket.wait()?;
    assert!(appended.rejected.is_empty(), "{:?}", appended.rejected);
    for (labels, samples) in series {
        let known = model.entry(labels.clone()).or_default();
        known.extend(samples.iter().map(|(t, v)| (*t, v.to_bits())));
    }
    Ok(())
}

/// All samples of a tenant. Each one must come once.
pub(crate) fn read(engine: &Engine) -> Samples {
    let mut all = Samples::new();
    let Some(reader) = engine.reader(&tenant()) else { return all };
    for series in reader.select(&[], i64::MIN, i64::MAX).unwrap() {
        let samples = all.entry(series.labels.clone()).or_default();
        for chunk in &series.chunks {
            let mut columns = Columns::default();
            thanoxide_tsdb::chunk::decode(chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
            assert_eq!(columns.timestamps_ms.first(), Some(&chunk.min_time_ms));
            assert_eq!(columns.timestamps_ms.last(), Some(&chunk.max_time_ms));
            for (t, v) in columns.timestamps_ms.iter().zip(&columns.values) {
                assert_eq!(samples.insert(*t, v.to_bits()), None, "{} has {t} twice", series.labels);
            }
        }
    }
    all
}

/// Whether all of `part` is in `whole`.
pub(crate) fn contains(whole: &Samples, part: &Samples) -> bool {
    part.iter().all(|(labels, samples)| {
        let have = whole.get(labels);
        samples.iter().all(|(t, v)| have.is_some_and(|have| have.get(t) == Some(v)))
    })
}
