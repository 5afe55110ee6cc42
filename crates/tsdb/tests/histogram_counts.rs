//! Histogram chunks read for their counts and sums alone.

use bytes::Bytes;
use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Span};
use thanoxide_model::series::Columns;
use thanoxide_model::{FloatHistogram, Histogram, STALE_NAN_BITS};
use thanoxide_tsdb::chunk::histogram::{Appended, HistogramAppender, NativeHistogram};
use thanoxide_tsdb::chunk::{self, Chunk, Encoding};

const STEP_MS: i64 = 15_000;

/// A counter that grows, is reset, changes its resolution and goes stale now and then.
fn sample(n: i64) -> Histogram {
    if n % 17 == 16 {
        return Histogram { sum: f64::from_bits(STALE_NAN_BITS), ..Histogram::default() };
    }
    let (grown, schema) = (n % 23, if n % 61 > 50 { 10 } else { 3 });
    Histogram {
        counter_reset_hint: CounterResetHint::Unknown,
        schema,
        zero_threshold: 0.001,
        zero_count: grown as u64,
        count: (10 * grown + 7) as u64,
        sum: n as f64 / 3.0,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        negative_spans: vec![Span { offset: 1, length: 1 }],
        positive_buckets: vec![grown, 5, -3],
        negative_buckets: vec![grown],
        ..Histogram::default()
    }
}

fn custom(n: i64) -> Histogram {
    Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: vec![1.0, 2.5].into(),
        positive_spans: vec![Span { offset: 0, length: 3 }],
        negative_spans: Vec::new(),
        positive_buckets: vec![n % 9, 1, -1],
        negative_buckets: Vec::new(),
        zero_count: 0,
        zero_threshold: 0.0,
        ..sample(n)
    }
}

/// Chunks of at most 40 samples.
fn chunks<H: NativeHistogram>(encoding: Encoding, samples: impl Iterator<Item = H>) -> Vec<Chunk> {
    let mut done: Vec<HistogramAppender<H>> = Vec::new();
    let mut open = HistogramAppender::<H>::new(false);
    for (n, sample) in samples.enumerate() {
        if open.sample_count() == 40 {
            done.push(std::mem::replace(&mut open, HistogramAppender::new(false)));
        }
        let previous = done.last().filter(|_| open.sample_count() == 0);
        if let Appended::NewChunk(next) = open.append(previous, 0, n as i64 * STEP_MS, &sample) {
            done.push(std::mem::replace(&mut open, *next));
        }
    }
    done.push(open);
    let mut first_ms = 0;
    let chunk = |appender: HistogramAppender<H>| {
        let (min_time_ms, max_time_ms) = (first_ms, appender.last_timestamp_ms());
        first_ms = max_time_ms + STEP_MS;
        Chunk { min_time_ms, max_time_ms, encoding, data: Bytes::from(appender.into_bytes()) }
    };
    done.into_iter().map(chunk).collect()
}

fn check(chunks: &[Chunk], start_ms: i64, end_ms: i64) -> usize {
    let (mut whole, mut counts) = (Columns::default(), Columns::default());
    for chunk in chunks {
        chunk::decode(chunk, start_ms, end_ms, &mut whole).expect("the appender wrote it");
        chunk::decode_counts(chunk, start_ms, end_ms, &mut counts).expect("the appender wrote it");
    }
    assert_eq!(whole.histogram_timestamps_ms, counts.histogram_timestamps_ms);
    assert_eq!(whole.histograms.len(), counts.histograms.len());
    let (mut bare, mut before_is_whole) = (0, true);
    for (whole, read) in whole.histograms.iter().zip(&counts.histograms) {
        let told = |h: &FloatHistogram| (h.counter_reset_hint, h.schema, h.count.to_bits(), h.sum.to_bits());
        assert_eq!(told(whole), told(read));
        let is_whole = whole == read;
        assert!(is_whole || read.positive_buckets.is_empty() && read.positive_spans.is_empty());
        if read.counter_reset_hint == CounterResetHint::Unknown && !read.is_stale() {
            assert!(is_whole && before_is_whole, "nothing to compare with");
        }
        bare += usize::from(!is_whole);
        before_is_whole = is_whole || read.is_stale() && before_is_whole;
    }
    bare
}

#[test]
fn counts_are_the_same_and_resets_can_still_be_told() {
    let all = [
        chunks(Encoding::Histogram, (0..500).map(sample)),
        chunks(Encoding::Histogram, (0..200).map(custom).filter(|h| !h.is_stale())),
        chunks(Encoding::FloatHistogram, (0..500).map(|n| sample(n).to_float())),
        chunks(Encoding::Histogram, (0..9).map(sample)),
        chunks(
            Encoding::Histogram,
            (0..200).map(|n| Histogram { counter_reset_hint: CounterResetHint::Gauge, ..sample(n) }),
        ),
    ];
    for chunks in &all {
        let last_ms = 500 * STEP_MS;
        for (start_ms, end_ms) in [(0, last_ms), (STEP_MS * 33 + 1, STEP_MS * 111), (STEP_MS * 5, STEP_MS * 5)] {
            check(chunks, start_ms, end_ms);
        }
    }
    assert!(check(&all[1], 0, i64::MAX) > 100 && check(&all[3], 0, i64::MAX) == 7);
}
