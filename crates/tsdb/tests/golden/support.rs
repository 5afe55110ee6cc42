//! Reading the golden files, as their README describes them.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "tests use parts of it, and may panic"
)]

use std::io::Read;
use std::path::PathBuf;

use serde_json::{Value, json};
use thanoxide_model::histogram::{CounterResetHint, Span};
use thanoxide_model::{FloatHistogram, Histogram};
use thanoxide_tsdb::chunk::{ChunkSample, SampleValue};

pub fn golden(path: &str) -> PathBuf {
    let shared = std::env::var("THANOXIDE_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into());
    shared.join("golden").join(path)
}

/// The lines of a `.jsonl.gz`, or the one value of a `.json.gz`.
pub fn read_json(path: &std::path::Path) -> Vec<Value> {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect()
}

pub fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn float(value: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(value.as_str().unwrap(), 16).unwrap())
}

fn list<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(of).collect()
}

fn spans(value: &Value) -> Vec<Span> {
    list(value, |s| Span { offset: s[0].as_i64().unwrap() as i32, length: s[1].as_u64().unwrap() as u32 })
}

fn hint(value: &Value) -> CounterResetHint {
    match value.as_u64() {
        None | Some(0) => CounterResetHint::Unknown,
        Some(1) => CounterResetHint::CounterReset,
        Some(2) => CounterResetHint::NotCounterReset,
        _ => CounterResetHint::Gauge,
    }
}

pub fn histogram(v: &Value) -> Histogram {
    Histogram {
        counter_reset_hint: hint(&v["hint"]),
        schema: v["schema"].as_i64().unwrap() as i32,
        zero_threshold: float(&v["zt"]),
        zero_count: v["zc"].as_u64().unwrap(),
        count: v["count"].as_u64().unwrap(),
        sum: float(&v["sum"]),
        positive_spans: spans(&v["ps"]),
        negative_spans: spans(&v["ns"]),
        positive_buckets: list(&v["pb"], |b| b.as_i64().unwrap()),
        negative_buckets: list(&v["nb"], |b| b.as_i64().unwrap()),
        custom_values: list(&v["cv"], float).into(),
    }
}

pub fn float_histogram(v: &Value) -> FloatHistogram {
    FloatHistogram {
        counter_reset_hint: hint(&v["hint"]),
        schema: v["schema"].as_i64().unwrap() as i32,
        zero_threshold: float(&v["zt"]),
        zero_count: float(&v["zc"]),
        count: float(&v["count"]),
        sum: float(&v["sum"]),
        positive_spans: spans(&v["ps"]),
        negative_spans: spans(&v["ns"]),
        positive_buckets: list(&v["pb"], float),
        negative_buckets: list(&v["nb"], float),
        custom_values: list(&v["cv"], float).into(),
    }
}

fn bits(value: f64) -> Value {
    json!(format!("{:016x}", value.to_bits()))
}

fn show_spans(spans: &[Span]) -> Value {
    spans.iter().map(|s| json!([s.offset, s.length])).collect()
}

fn floats(values: &[f64]) -> Value {
    values.iter().map(|v| bits(*v)).collect()
}

/// A sample in one plain form, so that ours and theirs can be compared as values.
pub fn show(sample: &ChunkSample) -> Value {
    let (t, st) = (sample.timestamp_ms, sample.start_timestamp_ms);
    match &sample.value {
        SampleValue::Float(value) => json!([t, st, bits(*value)]),
        SampleValue::Histogram(h) => json!([
            t,
            st,
            h.counter_reset_hint as u8,
            h.schema,
            bits(h.zero_threshold),
            h.zero_count,
            h.count,
            bits(h.sum),
            show_spans(&h.positive_spans),
            show_spans(&h.negative_spans),
            h.positive_buckets,
            h.negative_buckets,
            floats(&h.custom_values)
        ]),
        SampleValue::FloatHistogram(h) => json!([
            t,
            st,
            h.counter_reset_hint as u8,
            h.schema,
            bits(h.zero_threshold),
            bits(h.zero_count),
            bits(h.count),
            bits(h.sum),
            show_spans(&h.positive_spans),
            show_spans(&h.negative_spans),
            floats(&h.positive_buckets),
            floats(&h.negative_buckets),
            floats(&h.custom_values)
        ]),
    }
}

/// A sample as the golden files write it.
pub fn sample(v: &Value) -> ChunkSample {
    if v.is_array() {
        return ChunkSample {
            timestamp_ms: v[0].as_i64().unwrap(),
            start_timestamp_ms: v[3].as_i64().unwrap_or(0),
            value: SampleValue::Float(float(&v[1])),
        };
    }
    let value = match v["k"].as_str().unwrap() {
        "h" => SampleValue::Histogram(Box::new(histogram(v))),
        "fh" => SampleValue::FloatHistogram(Box::new(float_histogram(v))),
        kind => panic!("kind {kind}"),
    };
    let start_timestamp_ms = v["st"].as_i64().unwrap_or(0);
    ChunkSample { timestamp_ms: v["t"].as_i64().unwrap(), start_timestamp_ms, value }
}
