//! Recorded remote write requests over HTTP: what the store gets, what the sender is told.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Read;
use std::path::PathBuf;

use serde_json::Value;
use thanoxide_model::{Verdict, WriteBatch};
use thanoxide_router::RouterConfig;
use thanoxide_storeapi::{Rejected, WriteError, WriteOutcome};

#[path = "support/endpoint.rs"]
#[allow(dead_code)]
mod endpoint;

use endpoint::{Endpoint, compress};

fn golden() -> Vec<Value> {
    let root = std::env::var_os("THANOXIDE_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let file = std::fs::File::open(root.join("golden/wire/remote-write.jsonl.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn from_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        bits = bits << 6 | ALPHABET.iter().position(|letter| *letter == byte).unwrap() as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn assert_batch(batch: &WriteBatch, expected: &[Value], id: &str) {
    assert_eq!(batch.series.len(), expected.len(), "{id}");
    for (series, expected) in batch.series.iter().zip(expected) {
        let labels: Vec<Value> =
            batch.labels_of(series).map(|(name, value)| Value::from(vec![text(name), text(value)])).collect();
        assert_eq!(labels, list(&expected["labels"]), "{id}");
        let samples: Vec<_> =
            batch.samples_of(series).iter().map(|s| (s.timestamp_ms, format!("{:016x}", s.value.to_bits()))).collect();
        // Stock's encoder leaves -0 out as it does 0.
        let bits = |s: &Value| s["bits"].as_str().unwrap().replace("8000000000000000", "0000000000000000");
        let sample = |s: &Value| (s["t"].as_i64().unwrap(), bits(s));
        assert_eq!(samples, list(&expected["samples"]).iter().map(sample).collect::<Vec<_>>(), "{id}");
        let times: Vec<i64> = batch.histograms_of(series).iter().map(|h| h.timestamp_ms).collect();
        let expected_times = list(&expected["histograms"]).iter().map(|h| h["t"].as_i64().unwrap());
        assert_eq!(times, expected_times.collect::<Vec<_>>(), "{id}");
        assert_eq!(batch.exemplars_of(series).len(), list(&expected["exemplars"]).len(), "{id}");
    }
}

#[tokio::test]
async fn recorded_requests_reach_the_store_as_they_were_meant() {
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let (mut versions, mut compared) = ([0, 0], 0);
    for case in golden() {
        let id = case["id"].as_str().unwrap();
        let mut request = endpoint.client.post(format!("http://{}/api/v1/receive", endpoint.address));
        for (name, value) in case["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let body = from_base64(case["body_snappy_base64"].as_str().unwrap());
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{id}");
        let is_v2 = case["proto"] == "io.prometheus.write.v2.Request";
        versions[usize::from(is_v2)] += 1;
        let series = list(&case["decoded"]["timeseries"]);
        if is_v2 {
            for (kind, key) in [("samples", "samples"), ("histograms", "histograms"), ("exemplars", "exemplars")] {
                let count: usize = series.iter().map(|s| list(&s[key]).len()).sum();
                let header = &response.headers()[&format!("x-prometheus-remote-write-{kind}-written")];
                assert_eq!(header, count.to_string().as_str(), "{id} {kind}");
            }
        }
        assert_eq!(response.bytes().await.unwrap().len(), 0, "{id}");
        let taken = endpoint.taken();
        assert_eq!(taken.len(), usize::from(!series.is_empty()), "{id}");
        for (tenant, batch) in taken {
            assert_eq!(tenant, "default-tenant");
            assert_batch(&batch, series, id);
            compared += 1;
        }
    }
    assert!(versions == [60, 60] && compared > 90, "{versions:?} {compared}");
    let metrics = endpoint.metrics_text();
    let line = "http_requests_total{code=\"200\",handler=\"receive\",method=\"post\",tenant=\"default-tenant\"} 120";
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains("thanos_receive_write_timeseries_count{code=\"200\",tenant=\"default-tenant\"}"));
    assert!(metrics.contains("thanoxide_router_inflight_bytes 0"), "{metrics}");
}

/// `{__name__="up"} 1@1`, as protobuf.
fn one_sample() -> Vec<u8> {
    let label = [&b"\x0a\x08__name__\x12\x02up"[..]].concat();
    let sample = [&[0x09][..], &1f64.to_le_bytes(), &[0x10, 1]].concat();
    let field = |tag: u8, bytes: &[u8]| [&[tag, bytes.len() as u8], bytes].concat();
    let series = [field(0x0a, &label), field(0x12, &sample)].concat();
    field(0x0a, &series)
}

#[tokio::test]
async fn what_the_store_says_is_what_the_sender_hears() {
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let body = compress(&one_sample());
    let rejected = |verdict| {
        Ok(WriteOutcome { accepted: 0, rejected: vec![Rejected { series: 0, verdict, samples: 1 }], explanation: None })
    };
    for (answer, status, text) in [
        (rejected(Verdict::OutOfOrder), 409, "add 1 samples: out of order sample\n"),
        (rejected(Verdict::DuplicateForTimestamp), 409, "add 1 samples: duplicate sample for timestamp\n"),
        (rejected(Verdict::EmptyLabelName), 409, "add 1 series: label set contains a label with empty name or value\n"),
        (rejected(Verdict::SeriesLimit), 429, "add 1 series: series limit reached\n"),
        (Err(WriteError::Unavailable("TSDB not ready".into())), 503, "TSDB not ready\n"),
        (Err(WriteError::Internal("disk full".into())), 500, "disk full\n"),
        (Ok(WriteOutcome { accepted: 1, ..WriteOutcome::default() }), 200, ""),
    ] {
        *endpoint.store.answer.lock().unwrap() = answer;
        let response = endpoint.request(body.clone()).send().await.unwrap();
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        let got_status = response.status().as_u16();
        let got = response.text().await.unwrap();
        let (_, reason) = got.split_once(" writing locally: ").unwrap_or(("", &got));
        assert_eq!((got_status, reason), (status, text));
    }
    let metrics = endpoint.metrics_text();
    assert!(metrics.contains("thanoxide_router_rejected_samples_total{reason=\"out of order sample\"} 1"), "{metrics}");
}

#[tokio::test]
async fn the_tenant_comes_from_the_header() {
    let config = RouterConfig { tenant_header: "X-Scope".into(), ..Default::default() };
    let endpoint = Endpoint::start(config).await;
    let body = compress(&one_sample());
    for (headers, tenant) in [
        (&[("X-Scope", "a"), ("THANOS-TENANT", "b")][..], "a"),
        (&[("thanos-tenant", "b")], "b"),
        (&[("X-Scope", "")], "default-tenant"),
        (&[], "default-tenant"),
    ] {
        let mut request = endpoint.request(body.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(endpoint.send(request).await, (200, String::new()));
        assert_eq!(endpoint.taken()[0].0, tenant);
    }
}
