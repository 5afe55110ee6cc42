//! Folding replicas gives what stock gives, to the bit.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::io::{BufRead, BufReader};
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde_json::Value;
use thanoxide_model::histogram::{CounterResetHint, FloatHistogram, Histogram, Span};
use thanoxide_model::is_stale_nan;
use thanoxide_model::series::Columns;
use thanoxide_series::{Deduplication, deduplicate};

fn shared() -> std::path::PathBuf {
    std::env::var_os("THANOXIDE_SHARED")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into(), Into::into)
}

fn float(bits: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(bits.as_str().unwrap(), 16).unwrap())
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(read).collect()
}

fn histogram(sample: &Value) -> FloatHistogram {
    let spans = |key: &str| {
        list(&sample[key], |s| Span { offset: s[0].as_i64().unwrap() as i32, length: s[1].as_u64().unwrap() as u32 })
    };
    let counter_reset_hint = match sample["hint"].as_i64().unwrap() {
        0 => CounterResetHint::Unknown,
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        _ => CounterResetHint::Gauge,
    };
    let schema = sample["schema"].as_i64().unwrap() as i32;
    let (zero_threshold, sum) = (float(&sample["zt"]), float(&sample["sum"]));
    let (positive_spans, negative_spans) = (spans("ps"), spans("ns"));
    let custom_values: Arc<[f64]> = list(&sample["cv"], float).into();
    match sample["k"].as_str() {
        Some("h") => Histogram {
            counter_reset_hint,
            schema,
            zero_threshold,
            zero_count: sample["zc"].as_u64().unwrap(),
            count: sample["count"].as_u64().unwrap(),
            sum,
            positive_spans,
            negative_spans,
            positive_buckets: list(&sample["pb"], |b| b.as_i64().unwrap()),
            negative_buckets: list(&sample["nb"], |b| b.as_i64().unwrap()),
            custom_values,
        }
        .to_float(),
        _ => FloatHistogram {
            counter_reset_hint,
            schema,
            zero_threshold,
            zero_count: float(&sample["zc"]),
            count: float(&sample["count"]),
            sum,
            positive_spans,
            negative_spans,
            positive_buckets: list(&sample["pb"], float),
            negative_buckets: list(&sample["nb"], float),
            custom_values,
        },
    }
}

fn columns(samples: &Value) -> Columns {
    let mut columns = Columns::default();
    for sample in samples.as_array().into_iter().flatten() {
        match sample {
            Value::Array(sample) => columns.push(sample[0].as_i64().unwrap(), float(&sample[1])),
            sample => columns.push_histogram(sample["t"].as_i64().unwrap(), Arc::new(histogram(sample))),
        }
    }
    columns
}

/// Stock makes a plain NaN of a stale marker when it adds nothing to it. Ours stays stale, or `rate` would see a NaN.
fn float_bits(value: f64, adjusted: bool) -> u64 {
    if adjusted && is_stale_nan(value) { value.to_bits() | 1 << 51 } else { value.to_bits() }
}

#[test]
fn folds_are_stocks() {
    let path = shared().join("golden/dedup/dedup.jsonl.gz");
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut sets = 0;
    for line in BufReader::new(GzDecoder::new(file)).lines() {
        let set: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let replicas = list(&set["replicas"], columns);
        for (key, how) in [
            ("penalty", Deduplication::Penalty),
            ("penalty_counter", Deduplication::PenaltyCounter),
            ("chain", Deduplication::Chain),
            ("chain_counter", Deduplication::Chain),
        ] {
            let (expected, mut got) = (columns(&set[key]), Columns::default());
            deduplicate(&replicas, how, &mut got);
            let case = format!("{} {key}", set["id"]);
            assert_eq!(got.timestamps_ms, expected.timestamps_ms, "{case}");
            let adjusted = how == Deduplication::PenaltyCounter;
            let bits = |values: &[f64]| values.iter().map(|v| float_bits(*v, adjusted)).collect::<Vec<_>>();
            assert_eq!(bits(&got.values), bits(&expected.values), "{case}");
            assert_eq!(got.histogram_timestamps_ms, expected.histogram_timestamps_ms, "{case}");
            assert_eq!(got.histograms, expected.histograms, "{case}");
            let hints = |c: &Columns| c.histograms.iter().map(|h| h.counter_reset_hint).collect::<Vec<_>>();
            assert_eq!(hints(&got), hints(&expected), "{case}");
        }
        sets += 1;
    }
    assert_eq!(sets, 400);
}
