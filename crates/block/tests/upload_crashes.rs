//! Whatever a crash leaves between cuts, uploads, their marks and retention: each acknowledged sample is on the disk or in
//! the bucket, what is marked as uploaded is there, and the next pass brings all blocks, each once.
//!
//! `THANOXIDE_CRASH_STATES` is the number of random states at each moment, `THANOXIDE_CRASH_LIVES` the number of lives.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/recording_bucket.rs"]
mod recording_bucket;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use recording_bucket::RecordingBucket;
use thanoxide_block::{Shipper, ShipperConfig, ShipperMetrics, Source, UploadOptions};
use thanoxide_env::sim_disk::crash::Crash;
use thanoxide_env::{Disk, Env, ManualClock, SeededRandom, SimDisk};
use thanoxide_model::series::Columns;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, TenantId};
use thanoxide_objstore::{Bucket, ObjectBucket};
use thanoxide_tsdb::block::Block;
use thanoxide_tsdb::chunk::{Chunk, decode};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions, Retention};

const ROOT: &str = "/data";
const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 200 * HOUR_MS;
/// Samples are told by their series and time.
type Samples = BTreeSet<(Labels, i64)>;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

fn tenant() -> TenantId {
    TenantId::new("tenant-a").unwrap()
}

fn open(disk: &SimDisk, seed: u64) -> Engine {
    let options = EngineOptions { segment_bytes: 32 * 1024, min_free_bytes: 0, ..EngineOptions::default() };
    let clock = Arc::new(ManualClock::default());
    let env = Env { clock, disk: Arc::new(disk.clone()), random: Arc::new(SeededRandom::new(seed)) };
    Engine::open(Path::new(ROOT), options, env).unwrap()
}

fn shipper(disk: &SimDisk, bucket: Arc<dyn Bucket>) -> Shipper {
    let config = ShipperConfig {
        dir: Path::new(ROOT).join("tenant-a"),
        labels: Labels::from_pairs([("replica", "0")]),
        source: Source::receive(),
        upload_compacted: false,
        upload: UploadOptions::default(),
    };
    let metrics = ShipperMetrics::new(&mut Registry::default());
    Shipper::new(config, Arc::new(disk.clone()), Arc::new(ManualClock::default()), bucket, metrics.for_tenant("a"))
}

/// What the `hour`th batch has.
fn samples(hour: i64, series: usize) -> Samples {
    let labels = |s: usize| Labels::from_pairs([("__name__", "metric".to_string()), ("i", s.to_string())]);
    let times = |s: usize| (0..30).map(move |i| (labels(s), START_MS + hour * HOUR_MS + i * 120_000));
    (0..series).flat_map(times).collect()
}

fn append(engine: &Engine, batch: &Samples) {
    let mut builder = WriteBatchBuilder::default();
    for (labels, timestamp_ms) in batch {
        builder.push(labels, &[Sample { timestamp_ms: *timestamp_ms, value: 1.0 }]);
    }
    let appended = engine.append(&tenant(), &builder.build(), AppendOptions::default()).unwrap();
    appended.ticket.wait().unwrap();
    assert!(appended.rejected.is_empty());
}

fn add_chunks(labels: &Labels, chunks: &[Chunk], all: &mut Samples) {
    for chunk in chunks {
        let mut columns = Columns::default();
        decode(chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
        all.extend(columns.timestamps_ms.iter().map(|t| (labels.clone(), *t)));
    }
}

fn on_disk(engine: &Engine) -> Samples {
    let mut all = Samples::new();
    let Some(reader) = engine.reader(&tenant()) else { return all };
    for series in reader.select(&[], i64::MIN, i64::MAX).unwrap() {
        add_chunks(&series.labels, &series.chunks, &mut all);
    }
    all
}

/// The blocks whose meta files are among some objects.
fn blocks(objects: &[(String, Bytes)]) -> BTreeSet<String> {
    objects.iter().filter_map(|(name, _)| Some(name.strip_suffix("/meta.json")?.to_string())).collect()
}

/// The samples of each block of a bucket.
fn by_block(objects: &[(String, Bytes)]) -> BTreeMap<String, Samples> {
    let disk = SimDisk::default();
    for (name, bytes) in objects {
        let path = Path::new("/").join(name);
        disk.create_dir_all(path.parent().unwrap()).unwrap();
        disk.create(&path).unwrap().append(bytes).unwrap();
    }
    let read = |id: String| {
        let block = Block::open(&disk, &Path::new("/").join(&id)).unwrap();
        let mut all = Samples::new();
        for series in block.select(&[], i64::MIN, i64::MAX).unwrap() {
            let (labels, chunks) = series.unwrap();
            add_chunks(&labels, &chunks, &mut all);
        }
        (id, all)
    };
    blocks(objects).into_iter().map(read).collect()
}

/// Appends, cuts, uploads and removes what is uploaded and old.
async fn live(disk: &SimDisk, series: usize) -> (Arc<RecordingBucket>, Vec<Samples>) {
    let bucket = Arc::new(RecordingBucket::new(disk.clone()));
    let (mut engine, mut models) = (open(disk, 1), vec![Samples::new()]);
    let shipper = shipper(disk, Arc::clone(&bucket) as _);
    for hour in 0..16 {
        let batch = samples(hour, series + hour as usize % 3);
        bucket.phase("append");
        models.push(models.last().unwrap().union(&batch).cloned().collect());
        append(&engine, &batch);
        bucket.acknowledge();
        bucket.phase("cut");
        let uploaded = shipper.uploaded();
        assert!(engine.maintain(&|_, block| uploaded.contains(&block.0)).failed.is_empty());
        bucket.phase("upload marks");
        assert!(shipper.sync().await.unwrap().failed.is_empty());
        bucket.phase("retention");
        let (uploaded, keep) = (shipper.uploaded(), Retention { time_ms: Some(4 * HOUR_MS), bytes: None });
        engine.retain(&tenant(), keep, &|block| uploaded.contains(&block.0)).unwrap();
        if hour % 5 == 4 {
            drop(engine);
            engine = open(disk, 2 + hour as u64);
        }
    }
    (bucket, models)
}

async fn check(crash: &Crash, objects: &[(String, Bytes)], by_block: &BTreeMap<String, Samples>, model: &Samples) {
    let at = format!("{} after step {}", crash.phase, crash.step);
    let in_bucket = blocks(objects);
    let bucket = Arc::new(ObjectBucket::in_memory());
    for (name, bytes) in objects {
        bucket.upload(name, bytes.clone().into()).await.unwrap();
    }
    let shipper = shipper(&crash.disk, Arc::clone(&bucket) as _);
    let marked: BTreeSet<String> = shipper.uploaded().iter().map(ToString::to_string).collect();
    assert!(marked.is_subset(&in_bucket), "{at}: {marked:?} are marked, {in_bucket:?} are there");
    let engine = open(&crash.disk, 1000);
    let mut have = on_disk(&engine);
    in_bucket.iter().for_each(|id| have.extend(by_block[id].iter().cloned()));
    assert!(model.is_subset(&have), "{at}: lost {:?}", model.difference(&have).next());
    // The next pass goes on, and nothing is there under two names.
    let Some(reader) = engine.reader(&tenant()) else { return };
    assert!(shipper.sync().await.unwrap().failed.is_empty(), "{at}");
    let mut ranges = Vec::new();
    for name in bucket.iter("").await.unwrap() {
        let meta = bucket.read(&format!("{name}meta.json"), 1 << 20).await.unwrap();
        let meta = thanoxide_block::Meta::parse(&meta).unwrap_or_else(|e| panic!("{name}: {e}"));
        ranges.push((meta.min_time_ms(), meta.max_time_ms()));
    }
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{at}: {ranges:?} overlap");
    let uploaded = shipper.uploaded();
    assert!(reader.blocks().iter().all(|block| uploaded.contains(&block.ulid.0)), "{at}");
}

#[tokio::test]
async fn each_block_comes_once_and_none_is_lost() {
    let mut counts = BTreeMap::new();
    for life in 0..number("THANOXIDE_CRASH_LIVES", 1) {
        let disk = SimDisk::default();
        disk.record();
        let (bucket, models) = live(&disk, 2 + life % 8).await;
        let (objects, moments) = (bucket.objects(), bucket.moments());
        let by_block = by_block(&objects);
        assert!(by_block.len() >= 5, "{} blocks", by_block.len());
        for crash in disk.take_journal().crash_states(number("THANOXIDE_CRASH_STATES", 1), 3 + life as u64) {
            let moment = moments[crash.acknowledged as usize];
            check(&crash, &objects[..moment.objects], &by_block, &models[moment.batches]).await;
            *counts.entry(crash.phase).or_insert(0) += 1;
        }
    }
    println!("uploads: {counts:?}");
    assert!(counts["upload marks"] > 100);
}
