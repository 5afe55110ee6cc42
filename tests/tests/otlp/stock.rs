//! What stock makes of OTLP requests, and ours in the same form.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use thanoxide_model::histogram::{CounterResetHint, Span};
use thanoxide_model::write_batch::HistogramValue;
use thanoxide_router::otlp::Translated;
use thanoxide_testkit::program::interop;

pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            out.push(if place <= chunk.len() {
                LETTERS[(bits >> (18 - 6 * place) & 63) as usize] as char
            } else {
                '='
            });
        }
    }
    out
}

/// The answers of a program of `tests/interop`.
pub(crate) fn answers(program: &str, questions: &[Value]) -> Result<Vec<Value>> {
    let mut command = Command::new(interop(program));
    let mut child = command.arg("otlp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{program} otlp: {}", output.status);
    writer.join().expect("no panic")?;
    String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Series as the programs print them, by their labels.
pub(crate) type Shown = BTreeMap<String, Value>;

pub(crate) fn shown(translated: &Translated) -> Shown {
    let batch = &translated.batch;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let bits = |value: f64| format!("{:016x}", value.to_bits());
    let spans = |spans: &[Span]| format!("[{}]", joined(spans.iter().map(|s| format!("{}:{}", s.offset, s.length))));
    let bounds = |bounds: &[f64]| format!("[{}]", joined(bounds.iter().map(|bound| bits(*bound))));
    let series = batch.series.iter().map(|series| {
        let labels: BTreeMap<_, _> = batch.labels_of(series).map(|(name, value)| (text(name), text(value))).collect();
        let samples: Vec<_> = batch.samples_of(series).iter().map(|s| json!([s.timestamp_ms, bits(s.value)])).collect();
        let histograms: Vec<_> = batch
            .histograms_of(series)
            .iter()
            .map(|sample| {
                let HistogramValue::Int(h) = &sample.value else { return json!("a float histogram") };
                let numbers = |numbers: &[i64]| format!("[{}]", joined(numbers));
                let shown = format!(
                    "{} {} {} {} {} {} {} {} {} {} {}",
                    h.schema,
                    bits(h.zero_threshold),
                    h.zero_count,
                    h.count,
                    bits(h.sum),
                    spans(&h.positive_spans),
                    numbers(&h.positive_buckets),
                    spans(&h.negative_spans),
                    numbers(&h.negative_buckets),
                    bounds(&h.custom_values),
                    match h.counter_reset_hint {
                        CounterResetHint::Unknown => 0,
                        CounterResetHint::CounterReset => 1,
                        CounterResetHint::NotCounterReset => 2,
                        CounterResetHint::Gauge => 3,
                    }
                );
                json!([sample.timestamp_ms, shown])
            })
            .collect();
        let exemplars: Vec<_> = batch
            .exemplars_of(series)
            .iter()
            .map(|exemplar| {
                let labels = &batch.labels[exemplar.labels.start as usize..exemplar.labels.end as usize];
                let labels: BTreeMap<_, _> =
                    labels.iter().map(|l| (text(batch.text(l.name)), text(batch.text(l.value)))).collect();
                json!([exemplar.timestamp_ms, bits(exemplar.value), labels])
            })
            .collect();
        let mut shown = json!({"samples": samples, "histograms": histograms, "exemplars": exemplars});
        sort_columns(&mut shown);
        (format!("{labels:?}"), shown)
    });
    series.collect()
}

fn joined(parts: impl IntoIterator<Item = impl ToString>) -> String {
    parts.into_iter().map(|part| part.to_string()).collect::<Vec<_>>().join(" ")
}

/// Stock keeps labels without a value apart from no label; Prometheus does not, so such series are one.
pub(crate) fn of_stock(answer: &Value) -> Result<Shown> {
    columns_of_stock(answer, &["samples", "histograms", "exemplars"])
}

fn columns_of_stock(answer: &Value, columns: &[&str]) -> Result<Shown> {
    let mut all = Shown::new();
    for series in answer["series"].as_array().context("no series")? {
        let labels: BTreeMap<String, String> = serde_json::from_value(series["labels"].clone())?;
        let whole = all.entry(format!("{labels:?}")).or_insert_with(|| json!({}));
        for column in columns {
            let more = series[*column].as_array().cloned().unwrap_or_default();
            let before = whole[*column].as_array().cloned().unwrap_or_default();
            whole[*column] = [before, more].concat().into();
        }
    }
    all.values_mut().for_each(sort_columns);
    Ok(all)
}

/// Two points of one moment may come in either order.
fn sort_columns(series: &mut Value) {
    for column in ["samples", "histograms", "exemplars", "starts"] {
        if let Some(values) = series.get_mut(column).and_then(Value::as_array_mut) {
            values.sort_by_key(Value::to_string);
        }
    }
}

/// The times of samples and since when they count, by labels.
pub(crate) fn starts(translated: &Translated) -> Shown {
    let batch = &translated.batch;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let series = batch.series.iter().map(|series| {
        let labels: BTreeMap<_, _> = batch.labels_of(series).map(|(name, value)| (text(name), text(value))).collect();
        let floats = (series.samples.start..).zip(batch.samples_of(series));
        let floats = floats.map(|(place, sample)| json!([sample.timestamp_ms, batch.starts.sample_ms(place)]));
        let histograms = (series.histograms.start..).zip(batch.histograms_of(series));
        let histograms =
            histograms.map(|(place, sample)| json!([sample.timestamp_ms, batch.starts.histogram_ms(place)]));
        let mut shown = json!({"starts": floats.chain(histograms).collect::<Vec<_>>()});
        sort_columns(&mut shown);
        (format!("{labels:?}"), shown)
    });
    series.collect()
}

/// The same of stock: of Prometheus, for Thanos drops them.
pub(crate) fn starts_of_stock(answer: &Value) -> Result<Shown> {
    columns_of_stock(answer, &["starts"])
}

/// What ours says of metrics, as `oracle otlp` does.
pub(crate) fn said(translated: &Translated) -> BTreeMap<String, Value> {
    let batch = &translated.batch;
    let text = |span| String::from_utf8_lossy(batch.text(span)).into_owned();
    let said = batch.metadata.iter().map(|of| {
        let family = text(of.family);
        (family.clone(), json!([family, of.kind.as_str(), text(of.unit), text(of.help)]))
    });
    said.collect()
}

/// What stock says of metrics with each of their series; the last word counts.
pub(crate) fn said_by_stock(answer: &Value) -> BTreeMap<String, Value> {
    let all = answer["series"].as_array().into_iter().flatten().map(|series| series["metadata"].clone());
    all.map(|metadata| (metadata[0].as_str().unwrap_or_default().to_string(), metadata)).collect()
}
