//! Random appends to Prometheus's storage engine and to ours, which are closed, crash and go on now and then: the same blocks.
//!
//! A stop leaves no trace in our blocks: they are byte for byte what a Prometheus writes that never stopped. Prometheus itself
//! forgets what the chunk before was like when it stops: it begins histogram chunks with an unknown reset then, and ends
//! some of them elsewhere. Ours forget that only where they stop between a cut and the snapshot behind it.
//!
//! Where samples come late, blocks are merged, and chunks end where the merges met them. Then it is the ranges of the blocks
//! and their samples that are the same.
//!
//! `THANOXIDE_RESTART_SEEDS` is how many of each.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/random_series.rs"]
mod random_series;
#[path = "support/stops.rs"]
mod stops;
#[path = "golden/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine_support::{append, env, options, tenant};
use serde_json::{Value, json};
use stops::{Plan, SERIES, Step, late_plan, plan};
use support::{float_histogram, histogram, show};
use thanoxide_env::{Disk, Env, SeededRandom, SimDisk, SystemDisk};
use thanoxide_model::histogram::CounterResetHint;
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{Labels, Sample, WriteBatch};
use thanoxide_tsdb::block::Block;
use thanoxide_tsdb::chunk::{self, Chunk, ChunkSample, SampleValue};
use thanoxide_tsdb::engine::{Engine, EngineOptions};
use thanoxide_tsdb::meta::{BlockMeta, HINT_FROM_OUT_OF_ORDER};

const ROOT: &str = "/data";
const RANGE_MS: i64 = 7_200_000;

/// A block: its files, and what is in them.
struct Made {
    meta: BlockMeta,
    series: Vec<(Labels, Vec<Chunk>)>,
    chunks: Vec<u8>,
    index: Vec<u8>,
}

impl Made {
    fn read(disk: &dyn Disk, dir: &Path) -> Self {
        let block = Block::open(disk, dir).unwrap();
        assert_eq!(disk.list(&dir.join("chunks")).unwrap().len(), 1);
        let [chunks, index] = ["chunks/000001", "index"].map(|name| disk.read(&dir.join(name)).unwrap());
        let series = block.select(&[], i64::MIN, i64::MAX).unwrap().map(Result::unwrap).collect();
        Made { meta: block.meta().clone(), series, chunks, index }
    }

    /// All blocks of a directory, by time.
    fn all(disk: &dyn Disk, dir: &Path) -> Vec<Made> {
        let is_block = |path: &PathBuf| disk.exists(&path.join("meta.json")).unwrap();
        let dirs = disk.list(dir).unwrap().into_iter().filter(is_block);
        let mut all: Vec<Made> = dirs.map(|dir| Made::read(disk, &dir)).collect();
        all.sort_by_key(|made| made.meta.max_time);
        all
    }
}

/// What Prometheus makes of it, with stops or without.
fn stock(plan: &Plan, stops: bool) -> Vec<Made> {
    let line = |step: &Step| match step {
        Step::Append(batch) => Some(json!({ "batch": batch })),
        Step::Close if stops => Some(json!({"do": "reopen"})),
        Step::Crash if stops => Some(json!({"do": "crash"})),
        Step::Cut => Some(json!({"do": "compact"})),
        Step::Snapshot | Step::Close | Step::Crash => None,
    };
    let lines: Vec<Value> = plan.steps.iter().filter_map(line).collect();
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("stock");
    let window_ms = plan.window_ms.to_string();
    let words = ["engine", dir.to_str().unwrap(), &window_ms, "32", "7200000", "st"];
    let answers = oracle::run(&words[..if plan.started { 6 } else { 5 }], &input);
    for (line, answer) in lines.iter().zip(answers.lines()).filter(|(line, _)| line["batch"].is_array()) {
        let verdicts: Vec<String> = serde_json::from_str(answer).unwrap();
        assert!(verdicts.iter().all(String::is_empty), "{line}: {answer}");
    }
    Made::all(&SystemDisk, &dir)
}

fn batch(samples: &[Value]) -> WriteBatch {
    let mut builder = WriteBatchBuilder::default();
    for sample in samples {
        let labels = Labels::from_pairs([("__name__", "m".to_string()), ("series", sample["series"].to_string())]);
        let [timestamp_ms, start_ms] = ["t", "st"].map(|key| sample[key].as_i64().unwrap());
        if let Some(bits) = sample["bits"].as_u64() {
            let series = builder.push(&labels, &[Sample { timestamp_ms, value: f64::from_bits(bits) }]);
            series.set_sample_start(start_ms);
            continue;
        }
        let sample = &sample["sample"];
        let value = match sample["k"].as_str().unwrap() {
            "h" => HistogramValue::Int(Arc::new(histogram(sample))),
            _ => HistogramValue::Float(Arc::new(float_histogram(sample))),
        };
        let series = builder.push(&labels, &[]).push_histogram(HistogramSample { timestamp_ms, value });
        series.set_histogram_start(start_ms);
    }
    builder.build()
}

/// With a log so long that nothing but the plan takes a snapshot. No two starts may give the same names to blocks.
fn open(disk: &SimDisk, plan: &Plan, start: u64) -> Engine {
    let (store_start_times, out_of_order_window_ms) = (plan.started, plan.window_ms);
    let options = EngineOptions { segment_bytes: 1 << 27, store_start_times, out_of_order_window_ms, ..options() };
    let env = Env { random: Arc::new(SeededRandom::new(start)), ..env(Arc::new(disk.clone())) };
    Engine::open(Path::new(ROOT), options, env).unwrap()
}

/// Cuts what is due, and merges what overlaps then, as Prometheus does: only late samples do.
fn cut(engine: &Engine) {
    assert!(engine.maintain(&|_, _| false).failed.is_empty());
    engine.compact_tenant(&tenant(), &[RANGE_MS], &|_| true, &|| true).unwrap();
}

fn ours(plan: &Plan) -> Vec<Made> {
    let mut disk = SimDisk::default();
    let mut engine = open(&disk, plan, 0);
    for (number, step) in (1..).zip(&plan.steps) {
        match step {
            Step::Append(samples) => {
                let appended = append(&engine, &batch(samples)).unwrap();
                appended.ticket.wait().unwrap();
                assert!(appended.rejected.is_empty(), "{:?}", appended.rejected);
            }
            Step::Snapshot => engine.snapshot().unwrap(),
            Step::Close => {
                engine.close().unwrap();
                drop(engine);
                engine = open(&disk, plan, number);
            }
            Step::Crash => {
                disk = disk.fork();
                engine = open(&disk, plan, number);
            }
            Step::Cut => cut(&engine),
        }
    }
    Made::all(&disk, &Path::new(ROOT).join(tenant().as_str()))
}

fn describe(chunk: &Chunk) -> String {
    let (times, samples) = ((chunk.min_time_ms, chunk.max_time_ms), chunk::sample_count(chunk));
    format!(
        "{:?} {times:?}, {samples} samples, {} bytes from {:02x?}",
        chunk.encoding,
        chunk.data.len(),
        &chunk.data[..3]
    )
}

/// Chunks of one series in two blocks.
struct Pair<'a> {
    what: String,
    ours: &'a [Chunk],
    theirs: &'a [Chunk],
}

/// The blocks of both, series by series.
fn pairs<'a>(what: &str, ours: &'a [Made], theirs: &'a [Made]) -> Vec<Pair<'a>> {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let mut pairs = Vec::new();
    for (ours, theirs) in ours.iter().zip(theirs) {
        let names = |made: &Made| made.series.iter().map(|(labels, _)| labels.clone()).collect::<Vec<_>>();
        assert_eq!((names(ours), ours.meta.max_time), (names(theirs), theirs.meta.max_time), "{what}");
        for ((labels, ours), (_, theirs)) in ours.series.iter().zip(&theirs.series) {
            pairs.push(Pair { what: format!("{what}: {labels}"), ours, theirs });
        }
    }
    pairs
}

/// A chunk but for what it says of the chunk before.
fn without_reset_header(chunk: &Chunk) -> Vec<u8> {
    let mut data = chunk.data.to_vec();
    if chunk.encoding.is_histogram() {
        // With start times it is beside the number of samples.
        data[if chunk.encoding.has_start_times() { 0 } else { 2 }] &= 0x3f;
    }
    data
}

fn seeds() -> u64 {
    std::env::var("THANOXIDE_RESTART_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// Where both have a chunk of the same times.
fn twin<'a>(chunk: &Chunk, among: &'a [Chunk]) -> Option<&'a Chunk> {
    let key = |chunk: &Chunk| (chunk.min_time_ms, chunk.max_time_ms, chunk.encoding as u8);
    among.iter().find(|other| key(other) == key(chunk))
}

#[test]
fn stops_leave_no_trace() {
    let mut chunks = 0;
    for seed in 1..=seeds() {
        let plan = plan(seed, true);
        let (ours, theirs) = (ours(&plan), stock(&plan, false));
        for pair in pairs(&format!("seed {seed}"), &ours, &theirs) {
            for (ours, theirs) in pair.ours.iter().zip(pair.theirs) {
                assert!(ours == theirs, "{}: {} and {}", pair.what, describe(ours), describe(theirs));
            }
            assert_eq!(pair.ours.len(), pair.theirs.len(), "{}", pair.what);
            chunks += pair.ours.len();
        }
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(ours.chunks == theirs.chunks, "seed {seed}: chunk files");
            assert!(ours.index == theirs.index, "seed {seed}: indexes");
            let said = |meta: &BlockMeta| format!("{} {} {:?}", meta.min_time, meta.max_time, meta.stats);
            assert_eq!(said(&ours.meta), said(&theirs.meta), "seed {seed}");
        }
    }
    println!("{chunks} chunks");
    assert!(chunks > 50 * SERIES);
}

/// Of a Prometheus that stops at the same points.
#[derive(Debug, Default)]
struct Seen {
    floats: usize,
    same: usize,
    other_header: usize,
    other_end: usize,
}

impl Seen {
    fn compare(&mut self, pair: &Pair<'_>) {
        let samples = |chunks: &[Chunk]| -> Vec<Value> {
            let all = chunks.iter().flat_map(|chunk| chunk::samples(chunk).unwrap());
            all.map(|sample| plain(sample.unwrap())).collect()
        };
        assert!(samples(pair.ours) == samples(pair.theirs), "{}: samples", pair.what);
        for ours in pair.ours {
            match twin(ours, pair.theirs) {
                Some(theirs) if ours.encoding.is_float() => {
                    assert!(ours == theirs, "{}: {} and {}", pair.what, describe(ours), describe(theirs));
                    self.floats += 1;
                }
                None => {
                    assert!(ours.encoding.is_histogram(), "{}: no {}", pair.what, describe(ours));
                    self.other_end += 1;
                }
                Some(theirs) if ours == theirs => self.same += 1,
                Some(theirs) => {
                    let equal = without_reset_header(ours) == without_reset_header(theirs);
                    assert!(equal, "{}: {} and {}", pair.what, describe(ours), describe(theirs));
                    self.other_header += 1;
                }
            }
        }
    }
}

/// The value alone: which empty buckets a histogram has, and its hint, depend on those beside it.
fn plain(mut sample: ChunkSample) -> Value {
    match &mut sample.value {
        SampleValue::Float(_) => {}
        SampleValue::Histogram(h) => {
            h.compact(0);
            h.counter_reset_hint = CounterResetHint::Unknown;
        }
        SampleValue::FloatHistogram(h) => {
            h.compact(0);
            h.counter_reset_hint = CounterResetHint::Unknown;
        }
    }
    show(&sample)
}

#[test]
fn of_a_prometheus_that_stops_as_well_floats_are_the_same_and_histograms_but_for_what_it_forgets() {
    let mut seen = Seen::default();
    for seed in 101..=100 + seeds() {
        let plan = plan(seed, true);
        let (ours, theirs) = (ours(&plan), stock(&plan, true));
        pairs(&format!("seed {seed}"), &ours, &theirs).iter().for_each(|pair| seen.compare(pair));
    }
    println!("{seen:?}");
    assert!(seen.floats > 10 * SERIES && seen.same > 10 * seen.other_header.max(seen.other_end), "{seen:?}");
}

#[test]
fn a_stop_between_a_cut_and_a_snapshot_forgets_one_reset() {
    let (mut chunks, mut forgotten) = (0, 0);
    for seed in 201..=200 + seeds() {
        let plan = plan(seed, false);
        let (ours, theirs) = (ours(&plan), stock(&plan, false));
        for pair in pairs(&format!("seed {seed}"), &ours, &theirs) {
            chunks += pair.ours.len();
            assert_eq!(pair.ours.len(), pair.theirs.len(), "{}", pair.what);
            for (at, (ours, theirs)) in pair.ours.iter().zip(pair.theirs).enumerate().filter(|(_, (a, b))| a != b) {
                let first = at == 0 && without_reset_header(ours) == without_reset_header(theirs);
                assert!(first, "{} {at}: {} and {}", pair.what, describe(ours), describe(theirs));
                forgotten += 1;
            }
        }
    }
    println!("{forgotten} resets of {chunks} chunks");
    assert!(0 < forgotten && forgotten < chunks / 50, "{forgotten} of {chunks}");
}

/// Samples by series and time.
type Read = BTreeMap<(Labels, i64), Value>;

/// The samples of blocks by their range, and whether these are of late samples only. Of the head's time there may be several
/// such blocks: Prometheus merges these at once, ours with the block in order.
fn by_range(all: &[Made]) -> BTreeMap<(i64, i64, bool), Read> {
    let mut ranges: BTreeMap<_, Read> = BTreeMap::new();
    for made in all {
        let late = made.meta.compaction.hints == [HINT_FROM_OUT_OF_ORDER];
        let read = ranges.entry((made.meta.min_time, made.meta.max_time, late)).or_default();
        for (labels, chunks) in &made.series {
            for sample in chunks.iter().flat_map(|chunk| chunk::samples(chunk).unwrap()).map(Result::unwrap) {
                let key = (labels.clone(), sample.timestamp_ms);
                assert!(read.insert(key, plain(sample)).is_none(), "{labels} has a time twice");
            }
        }
    }
    ranges
}

#[test]
fn late_samples_are_in_the_same_blocks_whatever_stops() {
    let (mut samples, mut merged) = (0, 0);
    for seed in 301..=300 + seeds() {
        let plan = late_plan(seed);
        // A Prometheus that stops as well has the same.
        let (ours, theirs) = (ours(&plan), stock(&plan, seed.is_multiple_of(3)));
        merged += ours.iter().filter(|made| made.meta.compaction.level > 1).count();
        let (ours, theirs) = (by_range(&ours), by_range(&theirs));
        assert!(ours.keys().eq(theirs.keys()), "seed {seed}: {:?} and {:?}", ours.keys(), theirs.keys());
        for ((range, ours), theirs) in ours.iter().zip(theirs.values()) {
            let other = ours.iter().find(|(key, value)| theirs.get(key) != Some(value));
            assert!(other.is_none() && ours.len() == theirs.len(), "seed {seed}, {range:?}: {other:?}");
            samples += ours.len();
        }
    }
    println!("{samples} samples, {merged} blocks of late samples and others");
    assert!(merged as u64 > seeds());
}
