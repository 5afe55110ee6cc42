//! Random appends to Prometheus's storage engine and to ours: the same verdict for each sample, the same samples in the end.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/oracle.rs"]
mod oracle;

use std::sync::Arc;

use engine_support::{append, env, options, tenant};
use serde_json::{Value, json};
use thanoxide_env::{Random, SeededRandom, SystemDisk};
use thanoxide_model::histogram::Span;
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{FloatHistogram, Histogram, Labels, Matcher, Sample, Verdict};
use thanoxide_tsdb::chunk::{SampleValue, samples};
use thanoxide_tsdb::engine::{Engine, EngineOptions};
use thanoxide_tsdb::meta::{BlockMeta, HINT_FROM_OUT_OF_ORDER};

const SERIES: u64 = 10;
const BASE_MS: i64 = 1_700_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Float(f64),
    Histogram(u64),
    FloatHistogram(u64),
}

#[derive(Clone, Copy, Debug)]
struct Append {
    series: u64,
    time_ms: i64,
    kind: Kind,
}

/// The histogram that the oracle makes of `n`.
fn histogram(n: u64) -> Histogram {
    Histogram {
        zero_threshold: 0.001,
        zero_count: 1,
        count: n + 2,
        sum: n as f64,
        positive_spans: vec![Span { offset: (n % 3) as i32, length: 1 }],
        positive_buckets: vec![n as i64 + 1],
        ..Histogram::default()
    }
}

fn float_histogram(n: u64) -> FloatHistogram {
    FloatHistogram {
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: (n + 2) as f64,
        sum: n as f64,
        positive_spans: vec![Span { offset: (n % 3) as i32, length: 1 }],
        positive_buckets: vec![(n + 1) as f64],
        ..FloatHistogram::default()
    }
}

/// Batches with at most one sample of each series: mostly new ones, some repeated, some changed, some old.
fn batches(seed: u64) -> Vec<Vec<Append>> {
    let random = SeededRandom::new(seed);
    let below = |n: u64| random.next_u64() % n;
    let mut now_ms = BASE_MS;
    let mut last: Vec<Option<Append>> = vec![None; SERIES as usize];
    let mut all = Vec::new();
    for _ in 0..150 {
        now_ms += 1000 * (1 + below(60)) as i64;
        let mut batch = Vec::new();
        for series in 0..SERIES {
            let (time_ms, kept) = match below(12) {
                0..=1 => continue,
                2 => (last[series as usize].map_or(now_ms, |l| l.time_ms), true),
                3 => (last[series as usize].map_or(now_ms, |l| l.time_ms), false),
                4 => (now_ms - below(300_000) as i64, false),
                5 => (now_ms - below(6_000_000) as i64, false),
                _ => (now_ms + below(500) as i64, false),
            };
            let n = 1 + below(4);
            let kind = match (series, n % 2) {
                (7, _) => Kind::Histogram(n),
                (8, _) | (9, 0) => Kind::FloatHistogram(n),
                _ => Kind::Float(n as f64),
            };
            let kind = last[series as usize].filter(|_| kept).map_or(kind, |l| l.kind);
            let sample = Append { series, time_ms, kind };
            if last[series as usize].is_none_or(|l| time_ms >= l.time_ms) {
                last[series as usize] = Some(sample);
            }
            batch.push(sample);
        }
        all.push(batch);
    }
    all
}

fn as_json(append: &Append) -> Value {
    let mut op = json!({"series": append.series, "t": append.time_ms});
    match append.kind {
        Kind::Float(value) => op["bits"] = json!(value.to_bits()),
        Kind::Histogram(n) => op["h"] = json!(n),
        Kind::FloatHistogram(n) => op["fh"] = json!(n),
    }
    op
}

/// What is deleted after some batches. Stock forgets deletions of late samples when it cuts them, so there are none then.
fn deletion(i: usize, batch: &[Append], window_ms: i64) -> Option<(u64, i64, i64)> {
    let newest_ms = batch.iter().map(|append| append.time_ms).max()?;
    let (min_ms, max_ms) = (newest_ms - 900_000, newest_ms - 60_000 * (i as i64 % 4));
    (i % 10 == 7 && window_ms == 0).then_some((i as u64 / 10 % SERIES, min_ms, max_ms))
}

fn ask_stock(batches: &[Vec<Append>], window_ms: i64) -> Vec<Value> {
    let mut lines = String::new();
    for (i, batch) in batches.iter().enumerate() {
        let ops: Vec<Value> = batch.iter().map(as_json).collect();
        lines += &format!("{}\n", json!({ "batch": ops }));
        if let Some((series, min_ms, max_ms)) = deletion(i, batch, window_ms) {
            lines += &format!("{}\n", json!({"do": "delete", "series": series, "min": min_ms, "max": max_ms}));
        }
    }
    for operation in ["dump", "compact", "dump"] {
        lines += &format!("{}\n", json!({ "do": operation }));
    }
    let dir = tempfile::tempdir().unwrap();
    let window_ms = window_ms.to_string();
    let answers = oracle::run(&["engine", dir.path().to_str().unwrap(), &window_ms, "32", "7200000"], &lines);
    let answers = answers.lines().map(|line| serde_json::from_str(line).unwrap());
    answers.filter(|answer| *answer != json!("ok")).collect()
}

/// What our engine says to a batch, in the words of Prometheus.
fn ask_ours(engine: &Engine, batch: &[Append]) -> Vec<&'static str> {
    let mut builder = WriteBatchBuilder::default();
    for sample in batch {
        let labels = Labels::from_pairs([("__name__", "m".to_string()), ("series", sample.series.to_string())]);
        let value = match sample.kind {
            Kind::Float(value) => {
                builder.push(&labels, &[Sample { timestamp_ms: sample.time_ms, value }]);
                continue;
            }
            Kind::Histogram(n) => HistogramValue::Int(Arc::new(histogram(n))),
            Kind::FloatHistogram(n) => HistogramValue::Float(Arc::new(float_histogram(n))),
        };
        builder.push(&labels, &[]).push_histogram(HistogramSample { timestamp_ms: sample.time_ms, value });
    }
    let appended = append(engine, &builder.build()).unwrap();
    let mut verdicts = vec![""; batch.len()];
    for rejected in appended.rejected {
        verdicts[rejected.series as usize] = match rejected.verdict {
            Verdict::OutOfBounds => "out of bounds",
            Verdict::OutOfOrder => "out of order sample",
            Verdict::TooOld => "too old sample",
            Verdict::DuplicateForTimestamp => "duplicate sample for timestamp",
            other => panic!("{other}"),
        };
    }
    verdicts
}

fn dump(engine: &Engine) -> Vec<String> {
    let mut lines = Vec::new();
    for series in engine.reader(&tenant()).unwrap().select(&[], i64::MIN, i64::MAX).unwrap() {
        let name = String::from_utf8_lossy(series.labels.value("series")).into_owned();
        for sample in series.chunks.iter().flat_map(|chunk| samples(chunk).unwrap()) {
            let sample = sample.unwrap();
            let value = match sample.value {
                SampleValue::Float(value) => format!("f {:016x}", value.to_bits()),
                SampleValue::Histogram(h) => format!("h {} {:016x}", h.count, h.sum.to_bits()),
                SampleValue::FloatHistogram(h) => format!("fh {:016x} {:016x}", h.count.to_bits(), h.sum.to_bits()),
            };
            lines.push(format!("{name} {} {value}", sample.timestamp_ms));
        }
    }
    lines
}

/// Asks both for the verdicts on all batches and for all samples then, and once more when blocks were cut. Gives how many
/// samples were refused.
fn compare(seed: u64, window_ms: i64) -> usize {
    let batches = batches(seed);
    let stock = ask_stock(&batches, window_ms);
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions { out_of_order_window_ms: window_ms, ..options() };
    let open = || Engine::open(dir.path(), options.clone(), env(Arc::new(SystemDisk))).unwrap();
    let mut engine = open();
    let mut refused = 0;
    for (i, batch) in batches.iter().enumerate() {
        let ours = ask_ours(&engine, batch);
        for ((sample, ours), theirs) in batch.iter().zip(ours).zip(stock[i].as_array().unwrap()) {
            let theirs = theirs.as_str().unwrap();
            let same = if ours.is_empty() { theirs.is_empty() } else { theirs.starts_with(ours) };
            assert!(same, "seed {seed}, batch {i}, {sample:?}: ours {ours:?}, stock {theirs:?}");
            refused += usize::from(!ours.is_empty());
        }
        if let Some((series, min_ms, max_ms)) = deletion(i, batch, window_ms) {
            let matcher = Matcher::equal("series", series.to_string());
            engine.delete(&tenant(), &[matcher], min_ms, max_ms).unwrap();
        }
        if i % 40 == 20 {
            engine.snapshot().unwrap();
        }
        if i % 40 == 30 {
            engine.close().unwrap();
            drop(engine);
            engine = open();
        }
    }
    let lines = |answer: &Value| -> Vec<String> {
        answer.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_string()).collect()
    };
    let [heads, blocks, cut] = [0, 1, 2].map(|i| lines(&stock[batches.len() + i]));
    assert_eq!(dump(&engine), heads, "seed {seed}");
    let done = engine.maintain(&|_, _| false);
    assert!(done.failed.is_empty(), "{:?}", done.failed);
    assert_eq!(dump(&engine), cut, "seed {seed}, after a cut");
    let metas = engine.reader(&tenant()).unwrap().blocks();
    let range = |meta: &BlockMeta| {
        let late = meta.compaction.hints.iter().any(|hint| hint == HINT_FROM_OUT_OF_ORDER);
        let (min_ms, max_ms, samples) = (meta.min_time, meta.max_time, meta.stats.num_samples);
        format!("{min_ms}-{max_ms} late={late} samples={samples} tombstones=0")
    };
    let mut ours: Vec<String> = metas.iter().map(range).collect();
    ours.sort();
    assert_eq!(ours, blocks, "seed {seed}");
    refused
}

#[test]
fn each_sample_gets_the_verdict_of_prometheus() {
    let refused: usize = (1..=6).map(|seed| compare(seed, 0)).sum();
    assert!(refused > 500, "{refused}");
}

#[test]
fn late_samples_get_the_verdict_of_prometheus_and_are_read_as_there() {
    let refused: usize = (11..=22).map(|seed| compare(seed, [120_000, 1_800_000, 7_200_000][seed as usize % 3])).sum();
    assert!(refused > 500, "{refused}");
}
