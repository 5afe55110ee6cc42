use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;
use thanoxide_model::histogram::Histogram;
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{Labels, MetricMetadata, MetricType, Sample};

use super::*;
use crate::prometheus;
use crate::wire::{put_bytes, put_uint};

fn label(name: &str, value: &str) -> prometheus::Label {
    prometheus::Label { name: Bytes::copy_from_slice(name.as_bytes()), value: Bytes::copy_from_slice(value.as_bytes()) }
}

#[test]
fn labels_behind_samples_and_exemplars_stay_together() {
    // Labels `a`, an exemplar with label `t`, then label `b`: no writer does so, but protobuf allows it.
    let series = [
        prometheus::TimeSeries {
            labels: vec![label("a", "1")],
            exemplars: vec![prometheus::Exemplar { labels: vec![label("t", "x")], value: 1.0, timestamp: 2 }],
            ..Default::default()
        },
        prometheus::TimeSeries { labels: vec![label("b", "2")], ..Default::default() },
    ];
    let series: Vec<u8> = series.iter().flat_map(|s| s.encode_to_vec()).collect();
    let mut body = Vec::new();
    crate::wire::put_bytes(&mut body, 1, &series);
    let batch = decode_write_request(&body.into(), &DecodeLimits::default()).unwrap();
    let labels: Vec<_> = batch.labels_of(&batch.series[0]).collect();
    assert_eq!(labels, [(b"a".as_slice(), b"1".as_slice()), (b"b", b"2")]);
    assert_eq!(batch.exemplars.len(), 1);
    assert_eq!(batch.text(batch.labels[batch.exemplars[0].labels.start as usize].name), b"t");
}

#[test]
fn empty_messages_do_not_take_memory() {
    let limits = DecodeLimits { max_series: 1000, ..DecodeLimits::default() };
    let empty_series = Bytes::from([0x0a, 0x00].repeat(1001));
    assert_eq!(decode_write_request(&empty_series, &limits).unwrap_err(), DecodeError::TooManySeries { max: 1000 });
    // It is not read to its end.
    let and_more = [&empty_series[..], &[0xff]].concat();
    assert_eq!(decode_write_request(&and_more.into(), &limits).unwrap_err(), DecodeError::TooManySeries { max: 1000 });
    // A million empty histograms in one series.
    let histograms = [0x22, 0x00].repeat(1 << 20);
    let mut body = Vec::new();
    crate::wire::put_bytes(&mut body, 1, &histograms);
    let error = decode_write_request(&body.into(), &limits).unwrap_err();
    assert!(matches!(error, DecodeError::TooMuchMemory { .. }), "{error}");
}

#[test]
fn store_requests_of_both_layouts() {
    let mut builder = WriteBatchBuilder::default();
    builder.push(&Labels::from_pairs([("a", "1")]), &[Sample { timestamp_ms: 1, value: 2.0 }]);
    builder.push(&Labels::from_pairs([("a", "2")]), &[Sample { timestamp_ms: 3, value: -0.0 }]);
    let batch = builder.build();
    let body = encode_store_write_request([("t1", &batch, vec![1]), ("t2", &batch, vec![0])], 2);
    let request = decode_store_write_request(&body, &DecodeLimits::default()).unwrap();
    assert_eq!(request.replica, 2);
    let (tenant, first) = &request.tenants[0];
    assert_eq!((tenant.as_str(), request.tenants[1].0.as_str()), ("t1", "t2"));
    assert_eq!(first.samples, [Sample { timestamp_ms: 3, value: -0.0 }]);
    assert_eq!(first.labels_of(&first.series[0]).collect::<Vec<_>>(), [(b"a".as_slice(), b"2".as_slice())]);

    let older = crate::thanos::WriteRequest {
        timeseries: vec![crate::prometheus_copy::TimeSeries::default()],
        tenant: "t3".into(),
        replica: 1,
        ..Default::default()
    };
    let request = decode_store_write_request(&older.encode_to_vec().into(), &DecodeLimits::default()).unwrap();
    assert_eq!((request.tenants[0].0.as_str(), request.tenants[0].1.series.len()), ("t3", 1));
}

#[test]
fn start_times_go_from_node_to_node() {
    let (mut builder, labels) = (WriteBatchBuilder::default(), Labels::from_pairs([("__name__", "a")]));
    let histogram = HistogramSample { timestamp_ms: 9, value: HistogramValue::Int(Histogram::default().into()) };
    builder.push(&labels, &[Sample { timestamp_ms: 7, value: 1.5 }, Sample { timestamp_ms: 8, value: 2.5 }]);
    builder.set_sample_start(3).push_histogram(histogram.clone());
    builder.push_histogram(histogram).set_histogram_start(-1);
    let sent = builder.build();
    let body = encode_tenant_write_request("t", &sent, 0..1, 0);
    let read = decode_store_write_request(&body, &DecodeLimits::default()).unwrap().tenants.remove(0).1;
    assert_eq!((read.samples.len(), read.histograms.len()), (2, 2));
    assert_eq!(read.starts, sent.starts);
    assert_eq!([0, 1].map(|place| read.starts.sample_ms(place)), [0, 3]);
    assert_eq!([0, 1].map(|place| read.starts.histogram_ms(place)), [0, -1]);
    // Stock's own reading of it: what it does not know it reads past.
    assert_eq!(crate::thanos::WriteRequest::decode(body).unwrap().timeseries[0].samples.len(), 2);
}

#[test]
fn metadata_is_kept_beside_the_series() {
    let mut builder = WriteBatchBuilder::default();
    let known = |kind, help: &str| MetricMetadata { kind, help: help.to_string(), unit: "s".to_string() };
    builder.push(&Labels::from_pairs([("__name__", "a")]), &[]);
    builder.push_metadata("a", &known(MetricType::Gauge, "hä")).push_metadata("", &known(MetricType::Unknown, ""));
    let sent = builder.build();
    let read = decode_write_request(&encode_write_request(&sent), &DecodeLimits::default()).unwrap();
    assert_eq!(said(&read), said(&sent));
    let between_nodes = encode_store_metadata("t", &sent, 1);
    let mut whole = decode_store_write_request(&between_nodes, &DecodeLimits::default()).unwrap();
    let (tenant, batch) = whole.tenants.remove(0);
    assert_eq!((tenant.as_str(), whole.replica, said(&batch), batch.is_empty()), ("t", 1, said(&sent), true));
    assert!(crate::thanos::WriteRequest::decode(between_nodes).unwrap().timeseries.is_empty(), "as stock reads it");
    assert_eq!(said(&sent)[0], ("a".into(), MetricType::Gauge, "hä".into(), "s".into()));
    assert_eq!((said(&read.metadata_alone()), read.metadata_alone().is_empty()), (said(&sent), true));
    assert!(read.select(&[0]).metadata.is_empty());
}

#[test]
fn metadata_that_is_said_again_is_kept_once() {
    let mut builder = WriteBatchBuilder::default();
    let known = |help: &str| MetricMetadata { kind: MetricType::Gauge, help: help.to_string(), unit: String::new() };
    for (family, help) in [("a", ""), ("a", ""), ("a", "x"), ("a", "x"), ("b", "x"), ("a", "x")] {
        builder.push_metadata(family, &known(help));
    }
    let sent = builder.build();
    let read = decode_write_request(&encode_write_request(&sent), &DecodeLimits::default()).unwrap();
    let of = |family: &str, help: &str| (family.to_string(), MetricType::Gauge, help.to_string(), String::new());
    assert_eq!(said(&read), [of("a", ""), of("a", "x"), of("b", "x"), of("a", "x")]);
    let between_nodes = decode_store_write_request(&encode_store_metadata("t", &sent, 0), &DecodeLimits::default());
    assert_eq!(said(&between_nodes.unwrap().tenants[0].1), said(&read));
}

#[test]
fn metadata_of_series_is_metadata_of_their_family() {
    let symbols = ["", "__name__", "h_bucket", "le", "1", "2", "help", "h_sum", "c"];
    let symbols = symbols.iter().map(|s| Bytes::copy_from_slice(s.as_bytes())).collect();
    let series = |refs: &[u32], kind, help_ref| crate::write_v2::TimeSeries {
        labels_refs: refs.to_vec(),
        metadata: Some(crate::write_v2::Metadata { r#type: kind, help_ref, unit_ref: 0 }),
        ..Default::default()
    };
    let timeseries = vec![
        series(&[1, 2, 3, 4], 3, 6),
        series(&[1, 2, 3, 5], 3, 6),
        series(&[1, 7], 3, 6),
        series(&[1, 8], 1, 0),
        series(&[1, 8], 0, 0),
        series(&[3, 4], 1, 6),
    ];
    let body = crate::write_v2::Request { symbols, timeseries }.encode_to_vec();
    let read = decode_write_request_v2(&body.into(), &DecodeLimits::default()).unwrap();
    let of = |family: &str, kind, help: &str| (family.to_string(), kind, help.to_string(), String::new());
    assert_eq!(said(&read), [of("h", MetricType::Histogram, "help"), of("c", MetricType::Counter, "")]);
}

fn said(batch: &WriteBatch) -> Vec<(String, MetricType, String, String)> {
    let text = |span| String::from_utf8_lossy(batch.text(span)).into_owned();
    batch.metadata.iter().map(|m| (text(m.family), m.kind, text(m.help), text(m.unit))).collect()
}

#[test]
fn bad_symbols_are_errors() {
    let request = |symbols: &[&str], refs: &[u32]| {
        let series = crate::write_v2::TimeSeries { labels_refs: refs.to_vec(), ..Default::default() };
        let symbols = symbols.iter().map(|s| Bytes::copy_from_slice(s.as_bytes())).collect();
        let body = crate::write_v2::Request { symbols, timeseries: vec![series] }.encode_to_vec();
        decode_write_request_v2(&body.into(), &DecodeLimits::default()).map(|b| b.labels.len())
    };
    assert_eq!(request(&["", "a", "b"], &[1, 2]), Ok(1));
    assert_eq!(request(&["", "a"], &[1]), Err(DecodeError::OddLabelRefs { series: 0 }));
    assert_eq!(request(&["x", "a"], &[1, 1]), Err(DecodeError::FirstSymbol));
    assert_eq!(request(&[""], &[0, 9]), Err(DecodeError::SymbolOutOfRange { series: 0, symbol: 9, symbols: 1 }));
    assert_eq!(request(&[], &[0, 0]), Err(DecodeError::SymbolOutOfRange { series: 0, symbol: 0, symbols: 0 }));
    // Where nobody refers to them, too.
    let alone = |symbols: &[&str]| {
        let symbols = symbols.iter().map(|s| Bytes::copy_from_slice(s.as_bytes())).collect();
        let body = crate::write_v2::Request { symbols, timeseries: Vec::new() }.encode_to_vec();
        decode_write_request_v2(&body.into(), &DecodeLimits::default()).map(|b| b.series.len())
    };
    assert_eq!((alone(&["", "a"]), alone(&["x"])), (Ok(0), Err(DecodeError::FirstSymbol)));
    let of_unit = |unit_ref| {
        let metadata = crate::write_v2::Metadata { r#type: 1, help_ref: 1, unit_ref };
        let series = crate::write_v2::TimeSeries { metadata: Some(metadata), ..Default::default() };
        let symbols = vec![Bytes::new(), Bytes::from_static(b"help")];
        let body = crate::write_v2::Request { symbols, timeseries: vec![series] }.encode_to_vec();
        decode_write_request_v2(&body.into(), &DecodeLimits::default()).map(|b| b.series.len())
    };
    assert_eq!(of_unit(0), Ok(1));
    assert_eq!(of_unit(2), Err(DecodeError::SymbolOutOfRange { series: 0, symbol: 2, symbols: 2 }));
}

#[test]
fn the_table_may_stand_behind_its_series() {
    let mut body = Vec::new();
    put_bytes(&mut body, 5, &[0x0a, 2, 1, 2]);
    for symbol in ["", "a", "b"] {
        put_bytes(&mut body, 4, symbol.as_bytes());
    }
    let batch = decode_write_request_v2(&body.into(), &DecodeLimits::default()).unwrap();
    assert_eq!(batch.labels_of(&batch.series[0]).collect::<Vec<_>>(), [(&b"a"[..], &b"b"[..])]);
}

#[test]
fn references_of_any_length_and_packing_make_the_same_labels() {
    let symbols: Vec<Bytes> = (0..70_000).map(|n| if n == 0 { Bytes::new() } else { n.to_string().into() }).collect();
    let refs = vec![1, 127, 128, 16_383, 16_384, 3, 69_999, 69_998];
    let samples = vec![crate::write_v2::Sample { value: 1.5, timestamp: 7, start_timestamp: 3 }];
    let series = crate::write_v2::TimeSeries { labels_refs: refs.clone(), samples, ..Default::default() };
    let mut body = crate::write_v2::Request { symbols, timeseries: vec![series] }.encode_to_vec();
    // The same once more, a reference at a time.
    let mut single = vec![];
    for symbol in &refs {
        put_uint(&mut single, 1, u64::from(*symbol));
    }
    put_bytes(&mut body, 5, &single);
    let batch = decode_write_request_v2(&body.into(), &DecodeLimits::default()).unwrap();
    let texts: Vec<String> = refs.iter().map(u32::to_string).collect();
    let expected: Vec<_> = texts.chunks(2).map(|pair| (pair[0].as_bytes(), pair[1].as_bytes())).collect();
    for series in &batch.series {
        assert_eq!(batch.labels_of(series).collect::<Vec<_>>(), expected);
    }
    assert_eq!((&batch.samples[..], batch.starts.sample_ms(0)), (&[Sample { timestamp_ms: 7, value: 1.5 }][..], 3));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let body = Bytes::from(body);
        let limits = DecodeLimits::default();
        let _ = decode_write_request(&body, &limits);
        let _ = decode_write_request_v2(&body, &limits);
        let _ = decode_store_write_request(&body, &limits);
    }

    #[test]
    fn damaged_bodies_agree_with_the_generated_decoder(
        labels in proptest::collection::vec(("[a-z]{0,3}", "\\PC{0,150}"), 0..4),
        samples in proptest::collection::vec((any::<i64>(), any::<u64>()), 0..4),
        deltas in proptest::collection::vec(any::<i64>(), 0..4),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut builder = WriteBatchBuilder::default();
        builder.push(
            &Labels::from_pairs(labels),
            &samples.iter().map(|(t, v)| Sample { timestamp_ms: *t, value: f64::from_bits(*v) }).collect::<Vec<_>>(),
        );
        let histogram = Histogram { positive_buckets: deltas, count: 7, ..Histogram::default() };
        builder.push_histogram(HistogramSample { timestamp_ms: 5, value: HistogramValue::Int(Arc::new(histogram)) });
        let mut body = encode_write_request(&builder.build()).to_vec();
        if let Some((at, byte)) = damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let body = Bytes::from(body);
        let ours = decode_write_request(&body, &DecodeLimits::default());
        if let (Ok(ours), Ok(theirs)) = (&ours, prometheus::WriteRequest::decode(body.clone())) {
            prop_assert_eq!(ours.series.len(), theirs.timeseries.len());
            for (mine, other) in ours.series.iter().zip(&theirs.timeseries) {
                let mine_labels: Vec<_> = ours.labels_of(mine).collect();
                let other_labels: Vec<_> = other.labels.iter().map(|l| (&l.name[..], &l.value[..])).collect();
                prop_assert_eq!(mine_labels, other_labels);
                let mine_samples: Vec<_> =
                    ours.samples_of(mine).iter().map(|s| (s.timestamp_ms, s.value.to_bits())).collect();
                let other_samples: Vec<_> =
                    other.samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect();
                prop_assert_eq!(mine_samples, other_samples);
                prop_assert_eq!(ours.histograms_of(mine).len(), other.histograms.len());
            }
        }
        if damage.is_none() {
            prop_assert_eq!(encode_write_request(&ours.unwrap()), body);
        }
    }
}
