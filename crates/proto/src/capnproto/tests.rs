use std::io::Read;

use super::*;
use crate::{decode_write_request, encode_write_request};

fn round_trip(batch: &WriteBatch) -> WriteBatch {
    let mut message = capnp::message::Builder::new_default();
    let root = message.init_root::<capnp::any_pointer::Builder<'_>>();
    write_write_request(root.init_as(), "t", batch, 0..batch.series.len());
    let reader = message.get_root_as_reader::<Fields<'_>>().unwrap();
    let mut request = read_write_request(&reader, &DecodeLimits::default()).unwrap();
    let (tenant, batch) = request.tenants.pop().unwrap();
    assert_eq!((tenant.as_str(), request.tenants.len()), ("t", 0));
    batch
}

#[test]
fn golden_writes_come_back() {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_string();
    let shared = std::env::var("THANOXIDE_SHARED").unwrap_or_else(|_| beside());
    let file = std::fs::File::open(format!("{shared}/golden/wire/remote-write.jsonl.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut seen = 0;
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        if case["headers"].to_string().contains("2.0.0") {
            continue;
        }
        let hex = case["raw_protobuf_hex"].as_str().unwrap();
        let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
        let body: Vec<u8> = (0..hex.len() / 2).map(byte).collect();
        let mut batch = decode_write_request(&body.into(), &DecodeLimits::default()).unwrap();
        // Cap'n Proto has no place for it.
        batch.metadata.clear();
        if loses_bounds(&batch) || batch.is_empty() {
            continue;
        }
        assert_eq!(encode_write_request(&round_trip(&batch)), encode_write_request(&batch));
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

proptest::proptest! {
    #[test]
    fn arbitrary_messages_never_panic(words in proptest::collection::vec(proptest::prelude::any::<u64>(), 1..60)) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let segments = [&bytes[..]];
        let segments = capnp::message::SegmentArray::new(&segments);
        let message = capnp::message::Reader::new(segments, capnp::message::ReaderOptions::new());
        if let Ok(fields) = message.get_root::<Fields<'_>>() {
            let _ = read_write_request(&fields, &DecodeLimits::default());
        }
    }
}
