//! Start times of samples: kept where the engine is to store them, in log, snapshot and blocks; dropped otherwise.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "support/engine.rs"]
mod engine_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use engine_support::{labels, options, tenant};
use thanoxide_env::{Disk, Env, ManualClock, SeededRandom, SimDisk};
use thanoxide_model::histogram::Span;
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{FloatHistogram, Histogram, Labels, STALE_NAN_BITS, Sample, WriteBatch};
use thanoxide_tsdb::chunk::{Encoding, samples};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions};

const MINUTE_MS: i64 = 60_000;
/// A whole range of chunks, so that cuts end with one.
const START_MS: i64 = 120 * 7_200_000;

fn open(disk: &SimDisk, store_start_times: bool) -> Engine {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let env = Env { clock: Arc::new(ManualClock::default()), disk, random: Arc::new(SeededRandom::new(7)) };
    let options = EngineOptions { store_start_times, out_of_order_window_ms: 240 * MINUTE_MS, ..options() };
    Engine::open(Path::new("/data"), options, env).unwrap()
}

/// When a counter that is observed in some minute began: unknown at first, and anew now and then.
fn start_ms(series: usize, minute: i64) -> i64 {
    match minute {
        m if m < 5 && series.is_multiple_of(2) => 0,
        m => START_MS - 777 + (m - m % (17 + series as i64)) * MINUTE_MS,
    }
}

/// A float, an integer and a float histogram, each at `minute`, and since when they count.
fn step(minute: i64) -> WriteBatch {
    let (mut builder, timestamp_ms) = (WriteBatchBuilder::default(), START_MS + minute * MINUTE_MS);
    for series in 0..4 {
        let value = if minute % 29 == 28 { f64::from_bits(STALE_NAN_BITS) } else { (minute * minute) as f64 };
        builder.push(&labels(series), &[Sample { timestamp_ms, value }]).set_sample_start(start_ms(series, minute));
    }
    let n = minute as u64;
    let (spans, sum) = (vec![Span { offset: 1, length: 1 }], minute as f64);
    let int = Histogram {
        count: n + 1,
        sum,
        positive_spans: spans.clone(),
        positive_buckets: vec![n as i64 + 1],
        ..Histogram::default()
    };
    let float = FloatHistogram {
        count: sum + 1.0,
        sum,
        positive_spans: spans,
        positive_buckets: vec![sum + 1.0],
        ..FloatHistogram::default()
    };
    let values = [HistogramValue::Int(Arc::new(int)), HistogramValue::Float(Arc::new(float))];
    for (series, value) in (4..).zip(values) {
        builder.push(&labels(series), &[]).push_histogram(HistogramSample { timestamp_ms, value });
        builder.set_histogram_start(start_ms(series, minute));
    }
    builder.build()
}

fn append(engine: &Engine, minutes: std::ops::Range<i64>) {
    for minute in minutes {
        let appended = engine.append(&tenant(), &step(minute), AppendOptions::default()).unwrap();
        assert!(appended.rejected.is_empty());
        appended.ticket.wait().unwrap();
    }
}

/// Start times by series and time.
type Starts = BTreeMap<(Labels, i64), i64>;

/// All start times, and all chunks.
fn read(engine: &Engine) -> (Starts, Vec<(Encoding, Vec<u8>)>) {
    let (mut starts, mut chunks) = (BTreeMap::new(), Vec::new());
    for series in engine.reader(&tenant()).unwrap().select(&[], i64::MIN, i64::MAX).unwrap() {
        for chunk in &series.chunks {
            for sample in samples(chunk).unwrap() {
                let sample = sample.unwrap();
                starts.insert((series.labels.clone(), sample.timestamp_ms), sample.start_timestamp_ms);
            }
            chunks.push((chunk.encoding, chunk.data.to_vec()));
        }
    }
    (starts, chunks)
}

fn wanted(minutes: std::ops::Range<i64>) -> Starts {
    let of = |minute: i64| {
        (0..6).map(move |series| ((labels(series), START_MS + minute * MINUTE_MS), start_ms(series, minute)))
    };
    minutes.flat_map(of).collect()
}

#[test]
fn they_come_through_log_snapshot_and_blocks() {
    let (disk, plain) = (SimDisk::default(), SimDisk::default());
    let mut engine = open(&disk, true);
    // The same without any restart.
    let whole = open(&plain, true);
    for (number, from) in (0..240).step_by(24).enumerate() {
        append(&engine, from..from + 24);
        append(&whole, from..from + 24);
        if number % 3 == 1 {
            engine.snapshot().unwrap();
        }
        if number % 2 == 1 {
            // As kill -9 leaves it.
            let crashed = disk.fork();
            drop(engine);
            engine = open(&crashed, true);
            let (starts, chunks) = read(&engine);
            assert_eq!(starts, wanted(0..from + 24), "after {} minutes", from + 24);
            assert_eq!(chunks, read(&whole).1, "chunks go on to the bit");
            drop(engine);
            engine = open(&disk, true);
        }
    }
    let cut = engine.maintain(&|_, _| true).cut;
    assert!(!cut.is_empty());
    let (starts, chunks) = read(&engine);
    assert_eq!(starts, wanted(0..240));
    assert!(chunks.iter().all(|(encoding, _)| encoding.has_start_times()));
    // What is uploaded has none.
    engine.drop_start_times(&tenant(), &|_| true).unwrap();
    assert!(engine.flush_all().failed.is_empty());
    engine.drop_start_times(&tenant(), &|_| true).unwrap();
    let (starts, chunks) = read(&engine);
    assert_eq!(starts.len(), 240 * 6);
    assert!(chunks.iter().all(|(encoding, _)| !encoding.has_start_times()));
}

#[test]
fn they_are_dropped_where_they_are_not_to_be_stored() {
    let (disk, plain) = (SimDisk::default(), SimDisk::default());
    let (engine, without) = (open(&disk, false), open(&plain, false));
    append(&engine, 0..50);
    for minute in 0..50 {
        without.append(&tenant(), &step(minute), AppendOptions::default()).unwrap().ticket.wait().unwrap();
    }
    assert_eq!(read(&engine), read(&without));
    let log = |disk: &SimDisk| disk.read(&disk.files(Path::new("/data")).unwrap()[1]).unwrap();
    assert_eq!(log(&disk).len(), log(&plain).len());
}

/// Late samples come with and without, through the log, a snapshot of it, and blocks.
#[test]
fn late_samples_keep_theirs() {
    let disk = SimDisk::default();
    let mut engine = open(&disk, true);
    append(&engine, 100..104);
    // Full chunks of late samples, and what comes between them.
    append(&engine, 0..60);
    let crashed = disk.fork();
    drop(engine);
    engine = open(&crashed, true);
    let all = || wanted(0..60).into_iter().chain(wanted(100..104)).collect::<Starts>();
    assert_eq!(read(&engine).0, all(), "from the log");
    engine.snapshot().unwrap();
    drop(engine);
    engine = open(&crashed, true);
    assert_eq!(read(&engine).0, all(), "from a snapshot");
    assert!(engine.flush_all().failed.is_empty());
    let (starts, chunks) = read(&engine);
    assert_eq!(starts, all(), "from blocks");
    assert!(chunks.iter().any(|(encoding, _)| encoding.has_start_times()));
}

#[test]
fn a_chunk_ends_where_the_option_changes_and_stock_gets_none() {
    let disk = SimDisk::default();
    append(&open(&disk, false), 0..20);
    append(&open(&disk, true), 20..40);
    let engine = open(&disk, false);
    append(&engine, 40..60);
    let known = |minute: i64| (20..40).contains(&minute);
    let (starts, chunks) = read(&engine);
    for ((labels, t), start) in wanted(0..60) {
        let minute = (t - START_MS) / MINUTE_MS;
        assert_eq!(starts[&(labels, t)], if known(minute) { start } else { 0 }, "minute {minute}");
    }
    assert_eq!(chunks.len(), 6 * 3);
    // A stock program, which the engine is then, takes over what was handed back.
    engine.hand_back().unwrap();
    drop(engine);
    for name in disk.list(Path::new("/data")).unwrap() {
        if !disk.is_dir(&name).unwrap() {
            disk.remove_file(&name).unwrap();
        }
    }
    let dir = Path::new("/data/tenant-a");
    ["generation", "handed-back"].iter().for_each(|name| disk.remove_file(&dir.join(name)).unwrap());
    let (starts, chunks) = read(&open(&disk, false));
    assert_eq!(starts.len(), 60 * 6);
    assert!(chunks.iter().all(|(encoding, _)| !encoding.has_start_times()));
}
