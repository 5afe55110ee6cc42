//! Messages of the stock programs decode, and encode to the same bytes again.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;
use prost::Message;
use serde_json::Value;
use thanoxide_model::histogram::{CounterResetHint, Span};
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatch};
use thanoxide_proto::{
    DecodeLimits, decode_store_write_request, decode_write_request, decode_write_request_v2, encode_write_request,
    hintspb, prometheus, prometheus_copy, thanos, write_v2,
};

fn golden(file: &str) -> Vec<Value> {
    let shared = std::env::var_os("THANOXIDE_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let path = shared.join("golden/wire").join(file);
    let mut text = String::new();
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn unhex(value: &Value) -> Bytes {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn recode<M: Message + Default>(bytes: Bytes) -> Vec<u8> {
    M::decode(bytes).unwrap().encode_to_vec()
}

/// Decodes as the named message and encodes again.
fn recode_as(message: &str, bytes: Bytes) -> Vec<u8> {
    macro_rules! by_name {
        ($($package:ident { $($name:ident)* })*) => {
            match message {
                $($(concat!(stringify!($package), ".", stringify!($name)) => recode::<$package::$name>(bytes),)*)*
                "thanos.info.InfoRequest" => recode::<thanos::info::InfoRequest>(bytes),
                "thanos.info.InfoResponse" => recode::<thanos::info::InfoResponse>(bytes),
                "thanos.TSDBStatisticsRequest" => recode::<thanos::TsdbStatisticsRequest>(bytes),
                "thanos.TSDBStatisticsResponse" => recode::<thanos::TsdbStatisticsResponse>(bytes),
                other => panic!("no such message: {other}"),
            }
        };
    }
    by_name!(
        thanos {
            SeriesRequest SeriesResponse LabelNamesRequest LabelNamesResponse LabelValuesRequest LabelValuesResponse
            WriteRequest WriteResponse AggrChunk Series RulesRequest RulesResponse TargetsRequest TargetsResponse
            MetricMetadataRequest MetricMetadataResponse ExemplarsRequest ExemplarsResponse QueryRequest QueryResponse
            QueryRangeRequest QueryRangeResponse
        }
        prometheus_copy { TimeSeries Histogram WriteRequest }
        hintspb {
            SeriesRequestHints SeriesResponseHints LabelNamesRequestHints LabelNamesResponseHints
            LabelValuesRequestHints LabelValuesResponseHints
        }
    )
}

#[test]
fn thanos_messages_keep_their_bytes() {
    let cases = golden("thanos-messages.jsonl.gz");
    assert!(cases.len() >= 320);
    for case in cases {
        let (id, message) = (case["id"].as_str().unwrap(), case["message"].as_str().unwrap());
        let bytes = unhex(&case["hex"]);
        let again = recode_as(message, bytes.clone());
        let (mut ours, mut theirs) = (again, bytes.to_vec());
        // Field order (messages extended by hand) and map order are free: compare as a bag of bytes there.
        if id.contains("-v043") || ["thanos.MetricMetadataResponse", "thanos.TSDBStatisticsResponse"].contains(&message)
        {
            if id == "InfoResponse-v043" {
                // Two occurrences of `store` merge into one.
                continue;
            }
            ours.sort_unstable();
            theirs.sort_unstable();
        }
        assert_eq!(ours, theirs, "{id}");
        if message == "thanos.WriteRequest" {
            decode_store_write_request(&bytes, &DecodeLimits::default()).unwrap_or_else(|e| panic!("{id}: {e}"));
        }
    }
}

#[test]
fn fields_of_newer_versions_are_known() {
    for case in golden("thanos-messages.jsonl.gz") {
        match case["id"].as_str().unwrap() {
            "SeriesRequest-v043" => {
                let request = thanos::SeriesRequest::decode(unhex(&case["hex"])).unwrap();
                assert_eq!(request.query_hints.unwrap().series_hash_label_name, "__series_hash__");
            }
            "InfoResponse-v043" => {
                let store = thanos::info::InfoResponse::decode(unhex(&case["hex"])).unwrap().store.unwrap();
                assert!(store.supports_projections && store.supports_without_replica_labels);
            }
            _ => {}
        }
    }
}

#[test]
fn store_exchanges_decode() {
    for case in golden("store-grpc.jsonl.gz") {
        let request = unhex(&case["request_hex"]);
        let (ask, answer) = match case["method"].as_str().unwrap().rsplit('/').next().unwrap() {
            "Series" => ("thanos.SeriesRequest", "thanos.SeriesResponse"),
            "LabelNames" => ("thanos.LabelNamesRequest", "thanos.LabelNamesResponse"),
            "LabelValues" => ("thanos.LabelValuesRequest", "thanos.LabelValuesResponse"),
            "Info" => ("thanos.info.InfoRequest", "thanos.info.InfoResponse"),
            other => panic!("{other}"),
        };
        assert_eq!(recode_as(ask, request.clone()), request);
        for frame in case["frames_hex"].as_array().into_iter().flatten().map(unhex) {
            assert_eq!(recode_as(answer, frame.clone()), frame);
        }
    }
}

#[test]
fn remote_read_requests_decode() {
    for case in golden("remote-read.jsonl.gz") {
        let request = unhex(&case["request_raw_hex"]);
        assert_eq!(recode::<prometheus::ReadRequest>(request.clone()), request);
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn bits(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap(), 16).unwrap()
}

/// Stock's encoder leaves -0 out as it does 0.
fn as_sent(bits: u64) -> u64 {
    if bits == (-0.0f64).to_bits() { 0 } else { bits }
}

fn label_texts(value: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = |v: &Value| v.as_str().unwrap().as_bytes().to_vec();
    array(value).iter().map(|l| (text(&l[0]), text(&l[1]))).collect()
}

fn check_histogram(ours: &HistogramSample, theirs: &Value, id: &str) {
    assert_eq!(ours.timestamp_ms, theirs["t"].as_i64().unwrap(), "{id}");
    let spans = |v: &Value| -> Vec<Span> {
        let span = |s: &Value| Span { offset: s[0].as_i64().unwrap() as i32, length: s[1].as_u64().unwrap() as u32 };
        array(v).iter().map(span).collect()
    };
    let float_bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let all_bits = |v: &Value| array(v).iter().map(bits).collect::<Vec<_>>();
    let deltas = |v: &Value| array(v).iter().map(|d| d.as_i64().unwrap()).collect::<Vec<_>>();
    let hint = |h: CounterResetHint| h as u64;
    macro_rules! common {
        ($h:expr) => {
            assert_eq!(hint($h.counter_reset_hint), theirs["hint"].as_u64().unwrap(), "{id}");
            assert_eq!(i64::from($h.schema), theirs["schema"].as_i64().unwrap(), "{id}");
            assert_eq!($h.zero_threshold.to_bits(), bits(&theirs["zt"]), "{id}");
            assert_eq!($h.sum.to_bits(), bits(&theirs["sum"]), "{id}");
            assert_eq!($h.positive_spans, spans(&theirs["ps"]), "{id}");
            assert_eq!($h.negative_spans, spans(&theirs["ns"]), "{id}");
            assert_eq!(float_bits(&$h.custom_values), all_bits(&theirs["cv"]), "{id}");
        };
    }
    match &ours.value {
        HistogramValue::Int(h) => {
            assert_eq!(theirs["k"], "h", "{id}");
            common!(h);
            assert_eq!(h.count, theirs["count"].as_u64().unwrap(), "{id}");
            assert_eq!(h.zero_count, theirs["zc"].as_u64().unwrap(), "{id}");
            assert_eq!(h.positive_buckets, deltas(&theirs["pb"]), "{id}");
            assert_eq!(h.negative_buckets, deltas(&theirs["nb"]), "{id}");
        }
        HistogramValue::Float(h) => {
            assert_eq!(theirs["k"], "fh", "{id}");
            common!(h);
            assert_eq!(h.count.to_bits(), bits(&theirs["count"]), "{id}");
            assert_eq!(h.zero_count.to_bits(), bits(&theirs["zc"]), "{id}");
            assert_eq!(float_bits(&h.positive_buckets), all_bits(&theirs["pb"]), "{id}");
            assert_eq!(float_bits(&h.negative_buckets), all_bits(&theirs["nb"]), "{id}");
        }
    }
}

fn check_batch(batch: &WriteBatch, decoded: &Value, id: &str) {
    let owned = |(n, v): (&[u8], &[u8])| (n.to_vec(), v.to_vec());
    let expected = array(&decoded["timeseries"]);
    assert_eq!(batch.series.len(), expected.len(), "{id}");
    for (series, theirs) in batch.series.iter().zip(expected) {
        assert_eq!(batch.labels_of(series).map(owned).collect::<Vec<_>>(), label_texts(&theirs["labels"]), "{id}");
        let samples: Vec<_> = batch.samples_of(series).iter().map(|s| (s.timestamp_ms, s.value.to_bits())).collect();
        let want: Vec<_> =
            array(&theirs["samples"]).iter().map(|s| (s["t"].as_i64().unwrap(), as_sent(bits(&s["bits"])))).collect();
        assert_eq!(samples, want, "{id}");
        let histograms = array(&theirs["histograms"]);
        assert_eq!(batch.histograms_of(series).len(), histograms.len(), "{id}");
        for (ours, theirs) in batch.histograms_of(series).iter().zip(histograms) {
            check_histogram(ours, theirs, id);
        }
        let exemplars = array(&theirs["exemplars"]);
        assert_eq!(batch.exemplars_of(series).len(), exemplars.len(), "{id}");
        for (ours, theirs) in batch.exemplars_of(series).iter().zip(exemplars) {
            assert_eq!(ours.timestamp_ms, theirs["t"].as_i64().unwrap(), "{id}");
            assert_eq!(ours.value.to_bits(), as_sent(bits(&theirs["bits"])), "{id}");
            let labels = &batch.labels[ours.labels.start as usize..ours.labels.end as usize];
            let labels = labels.iter().map(|l| owned((batch.text(l.name), batch.text(l.value))));
            assert_eq!(labels.collect::<Vec<_>>(), label_texts(&theirs["labels"]), "{id}");
        }
    }
}

#[test]
fn remote_write_bodies_decode() {
    for case in golden("remote-write.jsonl.gz") {
        let id = case["id"].as_str().unwrap();
        let body = unhex(&case["raw_protobuf_hex"]);
        let limits = DecodeLimits::default();
        if case["proto"] == "prometheus.WriteRequest" {
            let batch = decode_write_request(&body, &limits).unwrap_or_else(|e| panic!("{id}: {e}"));
            check_batch(&batch, &case["decoded"], id);
            let theirs = prometheus::WriteRequest::decode(body).unwrap();
            let again = prometheus::WriteRequest::decode(encode_write_request(&batch)).unwrap();
            assert_eq!(again.encode_to_vec(), theirs.encode_to_vec(), "{id}");
        } else {
            let batch = decode_write_request_v2(&body, &limits).unwrap_or_else(|e| panic!("{id}: {e}"));
            check_batch(&batch, &case["decoded"], id);
            assert_eq!(recode::<write_v2::Request>(body.clone()), body, "{id}");
        }
    }
}
