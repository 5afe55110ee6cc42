//! A request's bytes become a batch. An item is a series with one sample.

use bytes::Bytes;
use thanoxide_loadgen::shape::Shape;
use thanoxide_loadgen::template::Protocol;
use thanoxide_loadgen::workload::{SERIES_PER_REQUEST, Workload};
use thanoxide_proto::{DecodeLimits, decode_write_request, decode_write_request_v2};

use super::Prepared;

/// The body of one request of the standard shape, decompressed.
fn body(protocol: Protocol) -> Bytes {
    let mut workload = Workload::speaking(protocol, Shape::L10, SERIES_PER_REQUEST, 1_700_000_000_000, 15_000, 1);
    let compressed = workload.sweep().expect("the shape is sound").remove(0);
    snap::raw::Decoder::new().decompress_vec(&compressed).expect("compressed just now").into()
}

/// Remote write 1.0.
pub(crate) fn decode_first() -> Prepared {
    let body = body(Protocol::V1);
    Box::new(move || decode_write_request(&body, &DecodeLimits::default()).expect("our own body").samples.len())
}

/// Remote write 2.0.
pub(crate) fn decode_second() -> Prepared {
    let body = body(Protocol::V2);
    Box::new(move || decode_write_request_v2(&body, &DecodeLimits::default()).expect("our own body").samples.len())
}
