//! Chunks, written and read. An item is a sample.

use std::sync::Arc;

use thanoxide_loadgen::shape::{Shape, Walk};
use thanoxide_model::Histogram;
use thanoxide_model::histogram::{CounterResetHint, Span};
use thanoxide_model::series::Columns;
use thanoxide_tsdb::chunk::histogram::HistogramAppender;
use thanoxide_tsdb::chunk::xor::{self, XorAppender};
use thanoxide_tsdb::chunk::{self, Chunk, Encoding};

use super::Prepared;

const CHUNKS: u64 = 37;
const SAMPLES: i64 = 120;

/// A chunk's worth of samples of the standard mix.
pub(super) fn samples(series: u64) -> Vec<(i64, f64)> {
    let mut walk = Walk::new(Shape::L10, series);
    (0..SAMPLES).map(|k| walk.next(1_700_000_000_000 + k * 15_000)).collect()
}

pub(super) fn encoded(samples: &[(i64, f64)]) -> Vec<u8> {
    let mut appender = XorAppender::new();
    samples.iter().for_each(|(time_ms, value)| appender.append(*time_ms, *value));
    appender.into_bytes()
}

pub(crate) fn xor_append() -> Prepared {
    let all: Vec<_> = (0..CHUNKS).map(samples).collect();
    Box::new(move || {
        all.iter().for_each(|samples| drop(std::hint::black_box(encoded(samples))));
        all.iter().map(Vec::len).sum()
    })
}

pub(crate) fn xor_decode() -> Prepared {
    let chunks: Vec<Vec<u8>> = (0..CHUNKS).map(|series| encoded(&samples(series))).collect();
    let mut columns = Columns::default();
    Box::new(move || {
        columns.clear();
        for chunk in &chunks {
            xor::decode_into(chunk, i64::MIN, i64::MAX, &mut columns).expect("our own bytes");
        }
        columns.len()
    })
}

/// A histogram of ten exponential buckets that grow.
fn histogram(k: u64) -> Histogram {
    let counts: Vec<u64> = (0..10).map(|bucket| k * (bucket + 1) % 1000 + k * 3).collect();
    let deltas = counts.iter().scan(0, |last, count| {
        let delta = *count as i64 - *last;
        *last = *count as i64;
        Some(delta)
    });
    Histogram {
        counter_reset_hint: CounterResetHint::Unknown,
        schema: 2,
        zero_threshold: 1e-128,
        zero_count: k,
        count: k + counts.iter().sum::<u64>(),
        sum: k as f64 * 1.5,
        positive_spans: vec![Span { offset: 0, length: 10 }],
        positive_buckets: deltas.collect(),
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        custom_values: Arc::default(),
    }
}

pub(crate) fn histogram_decode() -> Prepared {
    let mut appender = HistogramAppender::new(false);
    for k in 0..SAMPLES {
        appender.append(None, 0, k * 15_000, &histogram(k as u64));
    }
    let data = appender.into_bytes().into();
    let chunk = Chunk { min_time_ms: 0, max_time_ms: SAMPLES * 15_000, encoding: Encoding::Histogram, data };
    let mut columns = Columns::default();
    Box::new(move || {
        columns.clear();
        chunk::decode(&chunk, i64::MIN, i64::MAX, &mut columns).expect("our own bytes");
        columns.len()
    })
}
