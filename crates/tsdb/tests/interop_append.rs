//! Random appends to Prometheus's storage engine and to ours: the same verdict for each sample, the same samples in the end.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/oracle.rs"]
mod oracle;

use std::sync::Arc;

use engine_support::{append, open, tenant};
use serde_json::{Value, json};
use thanoxide_env::{Random, SeededRandom};
use thanoxide_model::histogram::Span;
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{FloatHistogram, Histogram, Labels, Sample, Verdict};
use thanoxide_tsdb::chunk::{SampleValue, samples};
use thanoxide_tsdb::engine::Engine;

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

fn ask_stock(batches: &[Vec<Append>]) -> Vec<Value> {
    let mut lines = String::new();
    for batch in batches {
        let batch: Vec<Value> = batch.iter().map(as_json).collect();
        lines += &format!("{}\n", json!({ "batch": batch }));
    }
    lines += "{\"do\":\"dump\"}\n";
    let dir = tempfile::tempdir().unwrap();
    let answers = oracle::run(&["engine", dir.path().to_str().unwrap(), "0", "32", "7200000"], &lines);
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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

#[test]
fn each_sample_gets_the_verdict_of_prometheus() {
    let mut refused = 0;
    for seed in 1..=6 {
        let batches = batches(seed);
        let stock = ask_stock(&batches);
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        for (i, batch) in batches.iter().enumerate() {
            let ours = ask_ours(&engine, batch);
            for ((sample, ours), theirs) in batch.iter().zip(ours).zip(stock[i].as_array().unwrap()) {
                let theirs = theirs.as_str().unwrap();
                let same = if ours.is_empty() { theirs.is_empty() } else { theirs.starts_with(ours) };
                assert!(same, "seed {seed}, batch {i}, {sample:?}: ours {ours:?}, stock {theirs:?}");
                refused += usize::from(!ours.is_empty());
            }
        }
        let theirs = stock[batches.len()].as_array().unwrap();
        let theirs: Vec<&str> = theirs.iter().map(|line| line.as_str().unwrap()).collect();
        assert_eq!(dump(&engine), theirs, "seed {seed}");
    }
    assert!(refused > 500, "{refused}");
}
