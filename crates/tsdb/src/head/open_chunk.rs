//! The chunk that a series appends to, and when it is cut.
//!
//! The rules are Prometheus's, so that equal appends give equal chunks. A chunk ends at the latest where its range ends
//! (2 h, aligned). Once it is a quarter full, its end is set so that the chunks of the range come out equally long.

use bytes::Bytes;

use crate::chunk::xor::XorAppender;
use crate::chunk::{Chunk, Encoding};

/// Float samples that a chunk is meant to hold.
const TARGET_SAMPLES: usize = 120;

/// A chunk with more bytes than this takes no more floats: the next one may need 19.
const MOST_FLOAT_BYTES: usize = 1024 - 19;

/// The end of the chunk range that a time lies in. Division goes toward zero, as in Go.
pub(crate) fn range_end(time_ms: i64, range_ms: i64) -> i64 {
    ((time_ms / range_ms) * range_ms).saturating_add(range_ms)
}

/// Where a chunk should end that is 1/`ratio_to_full` full at `current_ms`.
fn predicted_end(start_ms: i64, current_ms: i64, end_ms: i64, ratio_to_full: f64) -> i64 {
    let whole = end_ms.wrapping_sub(start_ms) as f64;
    let chunks = whole / (current_ms.wrapping_sub(start_ms).wrapping_add(1) as f64 * ratio_to_full);
    if chunks <= 1.0 { end_ms } else { (start_ms as f64 + whole / chunks.floor()) as i64 }
}

/// A chunk that still grows. It is never empty.
#[derive(Debug)]
pub(crate) struct OpenChunk {
    min_time_ms: i64,
    max_time_ms: i64,
    next_at_ms: i64,
    xor: XorAppender,
}

impl OpenChunk {
    /// Begins a chunk with a float.
    pub(crate) fn float(timestamp_ms: i64, value: f64, range_ms: i64) -> Self {
        let mut xor = XorAppender::new();
        xor.append(timestamp_ms, value);
        OpenChunk {
            min_time_ms: timestamp_ms,
            max_time_ms: timestamp_ms,
            next_at_ms: range_end(timestamp_ms, range_ms),
            xor,
        }
    }

    pub(crate) fn min_time_ms(&self) -> i64 {
        self.min_time_ms
    }

    pub(crate) fn max_time_ms(&self) -> i64 {
        self.max_time_ms
    }

    /// The newest value, if it is a float.
    pub(crate) fn last_float(&self) -> Option<f64> {
        Some(self.xor.last_value())
    }

    /// Whether a float at a later time goes into this chunk. May settle where the chunk ends.
    pub(crate) fn takes_float(&mut self, timestamp_ms: i64) -> bool {
        if self.xor.bytes().len() > MOST_FLOAT_BYTES {
            return false;
        }
        let count = self.xor.sample_count();
        if count == TARGET_SAMPLES / 4 {
            self.next_at_ms = predicted_end(self.min_time_ms, self.max_time_ms, self.next_at_ms, 4.0);
        }
        timestamp_ms < self.next_at_ms && count < TARGET_SAMPLES * 2
    }

    /// Appends a float, whose time is later than all before.
    pub(crate) fn push_float(&mut self, timestamp_ms: i64, value: f64) {
        self.xor.append(timestamp_ms, value);
        self.max_time_ms = timestamp_ms;
    }

    /// The chunk as it is now.
    pub(crate) fn snapshot(&self) -> Chunk {
        self.chunk(Bytes::copy_from_slice(self.xor.bytes()))
    }

    /// The chunk, done.
    pub(crate) fn finish(self) -> Chunk {
        // A copy, so that the buffer's spare room is given back.
        self.snapshot()
    }

    fn chunk(&self, data: Bytes) -> Chunk {
        Chunk { min_time_ms: self.min_time_ms, max_time_ms: self.max_time_ms, encoding: Encoding::Xor, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE_MS: i64 = 7_200_000;

    /// The number of samples in each chunk, of samples at these times.
    fn cut(times: impl IntoIterator<Item = i64>, mut value: impl FnMut(i64) -> f64) -> Vec<usize> {
        let (mut open, mut counts): (Option<OpenChunk>, Vec<usize>) = (None, Vec::new());
        for t in times {
            if let Some(chunk) = &mut open
                && chunk.takes_float(t)
            {
                chunk.push_float(t, value(t));
                *counts.last_mut().unwrap() += 1;
            } else {
                open = Some(OpenChunk::float(t, value(t), RANGE_MS));
                counts.push(1);
            }
        }
        counts
    }

    #[test]
    fn chunks_share_their_range_equally() {
        // 480 samples at 15 s: after 30 of them 435001 ms are used, 7200000 / (435001 * 4) is 4 whole chunks.
        assert_eq!(cut((0..480).map(|i| i * 15_000), |_| 1.0), [120; 4]);
        // 240 at 30 s: two chunks.
        assert_eq!(cut((0..240).map(|i| i * 30_000), |_| 1.0), [120; 2]);
        // 120 at 60 s: no prediction below one chunk, the range ends it.
        assert_eq!(cut((0..130).map(|i| i * 60_000), |_| 1.0), [120, 10]);
    }

    #[test]
    fn a_burst_is_cut_at_twice_the_target() {
        // The first 30 are slow, so that the end is predicted far away; then they come fast.
        let times = (0..30).map(|i| i * 60_000).chain((0..500).map(|i| 30 * 60_000 + i));
        assert_eq!(cut(times, |_| 1.0)[0], 240);
    }

    #[test]
    fn wide_values_are_cut_by_bytes() {
        let mut x = 1u64;
        let counts = cut((0..480).map(|i| i * 15_000), |_| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(x >> 2)
        });
        assert!(counts[0] > 100 && counts[0] < 130, "{counts:?}");
        assert!(counts.iter().all(|n| *n <= 130));
    }

    #[test]
    fn extreme_times_do_not_panic() {
        cut([i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX], |_| 1.0);
        cut((0..40).map(|i| i64::MAX - 40 + i), |_| 1.0);
        cut((0..40).map(|i| i64::MIN + i), |_| 1.0);
        assert_eq!(range_end(-1, RANGE_MS), RANGE_MS);
    }
}
