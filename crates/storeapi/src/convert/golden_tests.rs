//! What a stock store was asked and answered, through our types and back: the same bytes.

use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;
use prost::Message;
use serde_json::Value;
use thanoxide_proto::thanos;

use super::{info, requests, series};
use crate::SeriesFrame;

fn exchanges() -> Vec<Value> {
    let shared = std::env::var_os("THANOXIDE_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let path = shared.join("golden/wire/store-grpc.jsonl.gz");
    let mut text = String::new();
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn unhex(value: &Value) -> Bytes {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Request and answers of the exchanges of one method that went well.
fn of_method(method: &str) -> Vec<(Bytes, Vec<Bytes>)> {
    let exchanges =
        exchanges().into_iter().filter(|e| e["method"].as_str().unwrap().ends_with(method) && e["status_code"] == "OK");
    let frames = |e: &Value| e["frames_hex"].as_array().into_iter().flatten().map(unhex).collect();
    let exchanges: Vec<_> = exchanges.map(|e| (unhex(&e["request_hex"]), frames(&e))).collect();
    assert!(!exchanges.is_empty());
    exchanges
}

#[test]
fn series() {
    for (request, frames) in of_method("/Series") {
        let stock = thanos::SeriesRequest::decode(request).unwrap();
        let batch_size = stock.response_batch_size;
        let ours = requests::series_from_proto(stock.clone()).unwrap();
        let again = requests::series_to_proto(&ours);
        assert_eq!(
            (again.min_time, again.max_time, &again.matchers),
            (stock.min_time, stock.max_time, &stock.matchers)
        );
        assert_eq!((&again.aggregates, again.skip_chunks), (&stock.aggregates, stock.skip_chunks));
        assert_eq!((&again.shard_info, again.limit), (&stock.shard_info, stock.limit));
        assert_eq!(again.without_replica_labels, stock.without_replica_labels);
        for frame in frames {
            let decoded = thanos::SeriesResponse::decode(frame.clone()).unwrap();
            let is_batch = matches!(decoded.result, Some(thanos::series_response::Result::Batch(_)));
            let Some(ours) = series::frame_from_message(&frame).unwrap() else { continue };
            if let SeriesFrame::Series(all) = &ours {
                assert!(all.is_sorted_by(|a, b| a.labels <= b.labels));
            }
            let batch_size = if is_batch { batch_size as usize } else { 1 };
            let again = series::frame_to_messages(&ours, batch_size).unwrap();
            assert_eq!(again.len(), 1);
            assert_eq!(again[0], frame);
        }
    }
}

#[test]
fn shards_hold_what_stock_put_there() {
    let mut sharded = 0;
    for (request, frames) in of_method("/Series") {
        let request = requests::series_from_proto(thanos::SeriesRequest::decode(request).unwrap()).unwrap();
        let Some(shard) = request.shard else { continue };
        for frame in frames {
            if let Some(SeriesFrame::Series(all)) = series::frame_from_message(&frame).unwrap() {
                assert!(all.iter().all(|s| shard.contains(&s.labels)));
                sharded += all.len();
            }
        }
    }
    assert!(sharded > 0);
}

#[test]
fn infos() {
    for (_, frames) in of_method("/Info") {
        for frame in frames {
            let ours = info::from_proto(thanos::info::InfoResponse::decode(frame.clone()).unwrap()).unwrap();
            assert_eq!(info::to_proto(&ours).encode_to_vec(), frame);
        }
    }
}

#[test]
fn labels() {
    for (request, frames) in of_method("/LabelNames") {
        let stock = thanos::LabelNamesRequest::decode(request).unwrap();
        let again = requests::label_names_to_proto(&requests::label_names_from_proto(stock.clone()).unwrap());
        assert_eq!((again.start, again.end, again.matchers), (stock.start, stock.end, stock.matchers));
        for frame in frames {
            let stock = thanos::LabelNamesResponse::decode(frame).unwrap();
            let ours = requests::labels_answer(stock.names.clone(), stock.warnings);
            assert_eq!(ours.values, stock.names);
        }
    }
    for (request, _) in of_method("/LabelValues") {
        let stock = thanos::LabelValuesRequest::decode(request).unwrap();
        let again = requests::label_values_to_proto(&requests::label_values_from_proto(stock.clone()).unwrap());
        assert_eq!((again.label, again.limit, again.matchers), (stock.label, stock.limit, stock.matchers));
    }
}
