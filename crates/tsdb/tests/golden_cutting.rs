//! The same samples are cut into the same chunks, to the byte, as stock's head cut them.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/golden.rs"]
mod golden;

use std::sync::Arc;

use thanoxide_env::SystemDisk;
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{Labels, Sample};
use thanoxide_tsdb::block::{self, Block};
use thanoxide_tsdb::chunk::{self, Chunk, SampleValue};
use thanoxide_tsdb::chunk_store::ChunkStore;
use thanoxide_tsdb::head::{AppendLimits, Head, LateLimits, Scratch};

const RANGE_MS: i64 = 2 * 3_600_000;

/// Feeds the samples of some chunks to a head, one after the other, and gives the head's chunks.
///
/// A chunk of histograms is widened to hold the buckets of later samples, and how large it was before decides where it is
/// cut. Most samples come without empty buckets, so they are fed `compact`; those that came with some as they are.
fn cut_again(labels: &Labels, chunks: &[Chunk], compact: bool) -> Vec<Chunk> {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(ChunkStore::open(Arc::new(SystemDisk), dir.path()).unwrap());
    let mut head = Head::new(RANGE_MS, i64::MIN, 1, store);
    let mut scratch = Scratch::default();
    for sample in chunks.iter().flat_map(|chunk| chunk::samples(chunk).unwrap()) {
        let sample = sample.unwrap();
        let timestamp_ms = sample.timestamp_ms;
        let mut builder = WriteBatchBuilder::default();
        let histogram = match sample.value {
            SampleValue::Float(value) => {
                builder.push(labels, &[Sample { timestamp_ms, value }]);
                None
            }
            SampleValue::Histogram(mut h) => {
                if compact {
                    h.compact(0);
                }
                Some(HistogramValue::Int(Arc::new(*h)))
            }
            SampleValue::FloatHistogram(mut h) => {
                if compact {
                    h.compact(0);
                }
                Some(HistogramValue::Float(Arc::new(*h)))
            }
        };
        if let Some(value) = histogram {
            builder.push(labels, &[]).push_histogram(HistogramSample { timestamp_ms, value });
        }
        let late = LateLimits::default();
        let limits = AppendLimits { max_time_ms: i64::MAX, max_series: 1, late, keep_starts: false };
        head.append(&builder.build(), &limits, &mut scratch);
        assert_eq!((scratch.accepted, scratch.rejected.len()), (1, 0), "{labels} at {timestamp_ms}");
    }
    head.read(&[], i64::MIN, i64::MAX).unwrap().pop().map(|series| series.chunks).unwrap_or_default()
}

/// What a chunk's first sample says of a reset cannot be read back, so it is not fed to the head either.
fn without_reset_header(chunk: &Chunk) -> (i64, i64, Vec<u8>) {
    let mut data = chunk.data.to_vec();
    if chunk.encoding.is_histogram() {
        data[2] &= 0x3f;
    }
    (chunk.min_time_ms, chunk.max_time_ms, data)
}

fn check(case: &str) {
    let dir = golden::shared().join("golden/blocks").join(case);
    let (mut same, mut other) = (0, Vec::new());
    for id in block::list(&SystemDisk, &dir).unwrap() {
        let block = Block::open(&SystemDisk, &dir.join(id.to_string())).unwrap();
        // Late samples are encoded by other rules.
        if !block.meta().compaction.hints.is_empty() {
            continue;
        }
        for series in block.select(&[], i64::MIN, i64::MAX).unwrap() {
            let (labels, chunks) = series.unwrap();
            let again = [true, false].map(|compact| cut_again(&labels, &chunks, compact));
            for (i, chunk) in chunks.iter().enumerate() {
                let equal = |again: &Chunk| without_reset_header(again) == without_reset_header(chunk);
                if again.iter().any(|again| again.get(i).is_some_and(equal)) {
                    same += 1;
                } else {
                    other.push(format!(
                        "{labels} chunk {i}: {:?}",
                        (chunk.encoding, chunk.min_time_ms, chunk.max_time_ms)
                    ));
                }
            }
        }
    }
    assert!(other.is_empty(), "{case}: {same} equal, {} not: {:#?}", other.len(), &other);
    assert!(same > 0);
}

#[test]
fn floats() {
    check("raw-floats");
}

#[test]
fn blocks_of_an_out_of_order_head() {
    check("out-of-order");
}

#[test]
fn all_kinds() {
    check("promql");
}

#[test]
fn native_histograms() {
    check("native-histograms");
}
