//! Reads golden series and prints answers as the HTTP API does.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::{Value as Json, json};
use thanoxide_model::float::{format_f, format_json};
use thanoxide_model::histogram::{CounterResetHint, Histogram, Span};
use thanoxide_model::series::Columns;
use thanoxide_model::{FloatHistogram, Labels};
use thanoxide_promql::{QueryValue, Value};

pub(crate) fn shared(path: &str) -> PathBuf {
    let root = std::env::var("THANOXIDE_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_string());
    Path::new(&root).join(path)
}

pub(crate) fn read_gz(path: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

fn bits(value: &Json) -> f64 {
    f64::from_bits(u64::from_str_radix(value.as_str().unwrap(), 16).unwrap())
}

fn spans(value: &Json) -> Vec<Span> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|s| Span { offset: s[0].as_i64().unwrap() as i32, length: s[1].as_u64().unwrap() as u32 }).collect()
}

fn list<T>(value: &Json, read: impl Fn(&Json) -> T) -> Vec<T> {
    value.as_array().map(|l| l.iter().map(read).collect()).unwrap_or_default()
}

fn histogram(sample: &Json) -> FloatHistogram {
    let hint = match sample["hint"].as_u64().unwrap_or(0) {
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    };
    let schema = sample["schema"].as_i64().unwrap_or(0) as i32;
    let custom_values = list(&sample["cv"], bits).into();
    let (positive_spans, negative_spans) = (spans(&sample["ps"]), spans(&sample["ns"]));
    let zero_threshold = if sample["zt"].is_string() { bits(&sample["zt"]) } else { 0.0 };
    let sum = bits(&sample["sum"]);
    if sample["k"] == "h" {
        let histogram = Histogram {
            counter_reset_hint: hint,
            schema,
            zero_threshold,
            zero_count: sample["zc"].as_u64().unwrap_or(0),
            count: sample["count"].as_u64().unwrap_or(0),
            sum,
            positive_spans,
            negative_spans,
            positive_buckets: list(&sample["pb"], |b| b.as_i64().unwrap()),
            negative_buckets: list(&sample["nb"], |b| b.as_i64().unwrap()),
            custom_values,
        };
        return histogram.to_float();
    }
    let float = |v: &Json| if v.is_string() { bits(v) } else { 0.0 };
    FloatHistogram {
        counter_reset_hint: hint,
        schema,
        zero_threshold,
        zero_count: float(&sample["zc"]),
        count: float(&sample["count"]),
        sum,
        positive_spans,
        negative_spans,
        positive_buckets: list(&sample["pb"], bits),
        negative_buckets: list(&sample["nb"], bits),
        custom_values,
    }
}

/// The series of a `series.jsonl.gz`.
pub(crate) fn series(text: &str) -> Vec<(Labels, Columns)> {
    text.lines().map(|line| one_series(&serde_json::from_str(line).unwrap())).collect()
}

fn one_series(line: &Json) -> (Labels, Columns) {
    let pairs = line["labels"].as_array().unwrap().iter();
    let labels = Labels::from_pairs(pairs.map(|p| (p[0].as_str().unwrap(), p[1].as_str().unwrap())));
    let mut columns = Columns::default();
    for sample in line["samples"].as_array().unwrap() {
        if let Some(fields) = sample.as_array() {
            columns.push(fields[0].as_i64().unwrap(), bits(&fields[1]));
            columns.start_timestamps_ms.push(fields.get(3).and_then(Json::as_i64).unwrap_or(0));
        } else {
            columns.push_histogram(sample["t"].as_i64().unwrap(), histogram(sample).into());
            columns.histogram_start_timestamps_ms.push(sample["st"].as_i64().unwrap_or(0));
        }
    }
    (labels, columns)
}

fn metric(labels: &Labels) -> Json {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    Json::Object(labels.iter().map(|(n, v)| (text(n), json!(text(v)))).collect())
}

fn seconds(ms: i64) -> Json {
    if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
}

fn histogram_json(histogram: &FloatHistogram) -> Json {
    let mut text = String::new();
    histogram.push_json(&mut text);
    serde_json::from_str(&text).unwrap()
}

fn is_sorting(query: &str) -> bool {
    ["sort", "topk", "bottomk"].iter().any(|word| query.contains(word))
}

/// The `data` of an answer; vectors that are not sorted are put into a fixed order.
pub(crate) fn data(value: &QueryValue, query: &str) -> Json {
    let (kind, result) = match value {
        QueryValue::Scalar { timestamp_ms, value } => ("scalar", json!([seconds(*timestamp_ms), format_f(*value)])),
        QueryValue::String { timestamp_ms, value } => {
            ("string", json!([seconds(*timestamp_ms), String::from_utf8_lossy(value)]))
        }
        QueryValue::Vector(samples) => {
            let item = |s: &thanoxide_promql::VectorSample| match &s.value {
                Value::Float(v) => {
                    json!({"metric": metric(&s.labels), "value": [seconds(s.timestamp_ms), format_json(*v)]})
                }
                Value::Histogram(h) => {
                    json!({"metric": metric(&s.labels), "histogram": [seconds(s.timestamp_ms), histogram_json(h)]})
                }
            };
            ("vector", Json::Array(samples.iter().map(item).collect()))
        }
        QueryValue::Matrix(series) => {
            let item = |s: &thanoxide_promql::MatrixSeries| {
                let mut object = serde_json::Map::new();
                object.insert("metric".into(), metric(&s.labels));
                if !s.floats.is_empty() {
                    let points = s.floats.iter().map(|(t, v)| json!([seconds(t), format_json(v)])).collect();
                    object.insert("values".into(), Json::Array(points));
                }
                if !s.histograms.is_empty() {
                    let points = s.histograms.iter().map(|(t, h)| json!([seconds(*t), histogram_json(h)])).collect();
                    object.insert("histograms".into(), Json::Array(points));
                }
                Json::Object(object)
            };
            ("matrix", Json::Array(series.iter().map(item).collect()))
        }
    };
    canonical(json!({"resultType": kind, "result": result}), query)
}

/// Sorts what has no order: the samples of a vector that the query does not sort.
pub(crate) fn canonical(mut data: Json, query: &str) -> Json {
    if data["resultType"] == "vector" && !is_sorting(query) {
        let result = data["result"].as_array_mut().unwrap();
        result.sort_by_key(Json::to_string);
    }
    data
}

/// Warnings or infos in a fixed order, cut as the API cuts them.
pub(crate) fn notes(list: &Json) -> Vec<String> {
    let mut notes: Vec<String> =
        list.as_array().map(|l| l.iter().map(|n| n.as_str().unwrap().to_string()).collect()).unwrap_or_default();
    notes.sort();
    notes
}
