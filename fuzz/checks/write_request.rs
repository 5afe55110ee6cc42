//! What must hold for any body of a write.

use bytes::Bytes;
use thanoxide_model::WriteBatch;
use thanoxide_proto::write_request::{
    DecodeLimits, decode_store_write_request, decode_write_request, decode_write_request_v2, encode_write_request,
};

/// Bodies are decoded or refused; what the batch points to is there; what is written again says the same.
pub fn decode(data: &[u8]) {
    let (body, limits) = (Bytes::copy_from_slice(data), DecodeLimits::default());
    if let Ok(batch) = decode_write_request(&body, &limits) {
        walk(&batch);
        let again = decode_write_request(
            &encode_write_request(&batch),
            &DecodeLimits { max_series: usize::MAX, memory_per_body_byte: 1 << 20 },
        );
        assert_eq!(walk(&again.expect("our own body")), walk(&batch));
    }
    if let Ok(batch) = decode_write_request_v2(&body, &limits) {
        walk(&batch);
    }
    let _ = decode_store_write_request(&body, &limits);
}

fn walk(batch: &WriteBatch) -> (usize, usize, usize) {
    let mut bytes = 0;
    let (mut samples, mut histograms) = (0, 0);
    for span in &batch.series {
        bytes += batch.labels_of(span).map(|(name, value)| name.len() + value.len()).sum::<usize>();
        samples += batch.samples_of(span).len();
        histograms += batch.histograms_of(span).len();
    }
    (bytes, samples, histograms)
}
