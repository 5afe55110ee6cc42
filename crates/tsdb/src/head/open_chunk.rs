//! The chunk that a series appends to, and when it is cut.
//!
//! The rules are Prometheus's, so that equal appends give equal chunks. A chunk ends at the latest where its range ends
//! (2 h, aligned). Once it is a quarter full, its end is set so that the chunks of the range come out equally long.

mod saved;

use std::sync::Arc;

use bytes::Bytes;
use thanoxide_model::write_batch::HistogramValue;
use thanoxide_model::{FloatHistogram, Histogram};

use crate::chunk::histogram::{Appended, HistogramAppender, NativeHistogram};
use crate::chunk::xor::XorAppender;
use crate::chunk::xor2::{Xor2Appender, Xor2Iter};
use crate::chunk::{Chunk, ChunkError, Encoding};
use crate::encoding::{DecodeError, Reader, RunBuffer};

pub(crate) use saved::{restore, save};

/// Float samples that a chunk is meant to hold.
const TARGET_SAMPLES: usize = 120;

/// A chunk with more bytes than this takes no more floats: the next one may need 19.
const MOST_FLOAT_BYTES: usize = 1024 - 19;

/// Bytes of histograms that a chunk is meant to hold.
const TARGET_HISTOGRAM_BYTES: usize = 1024;

/// A chunk takes so many histograms, whatever their size, unless its range ends.
const LEAST_HISTOGRAMS: usize = 10;

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

/// When a sample is, and since when it counts. Samples with and without start times are never in one chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) timestamp_ms: i64,
    /// `None` where start times are not kept; 0 is unknown.
    pub(crate) start_ms: Option<i64>,
}

impl At {
    /// Without a start time.
    pub(crate) fn time(timestamp_ms: i64) -> Self {
        At { timestamp_ms, start_ms: None }
    }
}

/// A chunk that still grows. It is never empty.
#[derive(Debug)]
pub(crate) struct OpenChunk {
    min_time_ms: i64,
    next_at_ms: i64,
    samples: Samples,
}

/// The samples of one kind. Histograms are few, and their appenders large.
#[derive(Debug)]
enum Samples {
    Floats(XorAppender),
    StartedFloats(Box<StartedFloats>),
    Ints(Box<Histograms<Histogram>>),
    FloatHistograms(Box<Histograms<FloatHistogram>>),
}

/// Floats with start times.
#[derive(Debug)]
struct StartedFloats {
    appender: Xor2Appender,
    last: f64,
}

impl StartedFloats {
    fn begin(start_ms: i64, timestamp_ms: i64, value: f64) -> Self {
        let mut appender = Xor2Appender::new();
        appender.append(start_ms, timestamp_ms, value);
        StartedFloats { appender, last: value }
    }

    /// Appends the samples of a chunk once more, so that it goes on to the bit.
    fn restore(bytes: &[u8]) -> Result<Self, ChunkError> {
        let (mut iter, mut restored) = (Xor2Iter::new(bytes)?, None);
        while let Some((timestamp_ms, value)) = iter.next()? {
            let start_ms = iter.start_ms();
            let open = restored.get_or_insert_with(|| StartedFloats { appender: Xor2Appender::new(), last: value });
            open.append(start_ms, timestamp_ms, value);
        }
        restored.ok_or_else(|| DecodeError::UnexpectedEnd.into())
    }

    fn append(&mut self, start_ms: i64, timestamp_ms: i64, value: f64) {
        self.appender.append(start_ms, timestamp_ms, value);
        self.last = value;
    }
}

#[derive(Debug)]
struct Histograms<H: NativeHistogram> {
    appender: HistogramAppender<H>,
    last: Arc<H>,
    last_time_ms: i64,
    /// Whether the chunk's end was predicted.
    end_known: bool,
    /// Whether the chunk has start times.
    started: bool,
}

impl OpenChunk {
    fn begin(timestamp_ms: i64, range_ms: i64, samples: Samples) -> Self {
        OpenChunk { min_time_ms: timestamp_ms, next_at_ms: range_end(timestamp_ms, range_ms), samples }
    }

    /// Begins a chunk with a float.
    pub(crate) fn float(at: At, value: f64, range_ms: i64) -> Self {
        OpenChunk::float_in(None, at, value, range_ms)
    }

    /// As [`OpenChunk::float`], in the buffer of another chunk.
    pub(crate) fn float_in(buffer: Option<Vec<u8>>, at: At, value: f64, range_ms: i64) -> Self {
        let samples = match at.start_ms {
            None => {
                let mut xor = buffer.map_or_else(XorAppender::new, XorAppender::new_in);
                xor.append(at.timestamp_ms, value);
                Samples::Floats(xor)
            }
            Some(start_ms) => Samples::StartedFloats(Box::new(StartedFloats::begin(start_ms, at.timestamp_ms, value))),
        };
        OpenChunk::begin(at.timestamp_ms, range_ms, samples)
    }

    /// Begins a chunk with a histogram. `previous` is the chunk before, where there is one.
    pub(crate) fn histogram(at: At, value: &HistogramValue, range_ms: i64, previous: Option<&OpenChunk>) -> Self {
        let before = previous.map(|open| &open.samples);
        let samples = match value {
            HistogramValue::Int(value) => {
                let before = before.and_then(|b| if let Samples::Ints(b) = b { Some(&**b) } else { None });
                Samples::Ints(Box::new(Histograms::begin(before, at, value)))
            }
            HistogramValue::Float(value) => {
                let before = before.and_then(|b| if let Samples::FloatHistograms(b) = b { Some(&**b) } else { None });
                Samples::FloatHistograms(Box::new(Histograms::begin(before, at, value)))
            }
        };
        OpenChunk::begin(at.timestamp_ms, range_ms, samples)
    }

    pub(crate) fn min_time_ms(&self) -> i64 {
        self.min_time_ms
    }

    #[inline]
    pub(crate) fn max_time_ms(&self) -> i64 {
        match &self.samples {
            Samples::Floats(xor) => xor.last_timestamp_ms(),
            Samples::StartedFloats(floats) => floats.appender.last_timestamp_ms(),
            Samples::Ints(h) => h.last_time_ms,
            Samples::FloatHistograms(h) => h.last_time_ms,
        }
    }

    /// Bytes of the buffer that floats grow in.
    pub(crate) fn capacity_bytes(&self) -> usize {
        match &self.samples {
            Samples::Floats(xor) => xor.capacity_bytes(),
            Samples::StartedFloats(floats) => floats.appender.bytes().len(),
            Samples::Ints(h) => h.appender.bytes().len(),
            Samples::FloatHistograms(h) => h.appender.bytes().len(),
        }
    }

    /// Bytes that nothing changes any more, once they are many: to be put elsewhere.
    #[inline]
    pub(crate) fn settled(&self) -> Option<&[u8]> {
        match &self.samples {
            Samples::Floats(xor) => xor.settled(),
            Samples::StartedFloats(_) | Samples::Ints(_) | Samples::FloatHistograms(_) => None,
        }
    }

    /// Forgets [`OpenChunk::settled`].
    pub(crate) fn drop_settled(&mut self) {
        if let Samples::Floats(xor) = &mut self.samples {
            xor.drop_settled();
        }
    }

    /// How many bytes are elsewhere.
    pub(crate) fn before_bytes(&self) -> usize {
        match &self.samples {
            Samples::Floats(xor) => usize::from(xor.before_bytes()),
            Samples::StartedFloats(_) | Samples::Ints(_) | Samples::FloatHistograms(_) => 0,
        }
    }

    /// The buffer, for the next chunk.
    pub(crate) fn into_buffer(self) -> Option<Vec<u8>> {
        match self.samples {
            Samples::Floats(xor) => Some(xor.into_buffer()),
            Samples::StartedFloats(_) | Samples::Ints(_) | Samples::FloatHistograms(_) => None,
        }
    }

    /// The byte that the next sample goes behind.
    #[inline]
    pub(crate) fn last_byte(&self) -> u8 {
        match &self.samples {
            Samples::Floats(xor) => xor.last_byte(),
            Samples::StartedFloats(_) | Samples::Ints(_) | Samples::FloatHistograms(_) => 0,
        }
    }

    /// The newest value, if it is a float.
    pub(crate) fn last_float(&self) -> Option<f64> {
        match &self.samples {
            Samples::Floats(xor) => Some(xor.last_value()),
            Samples::StartedFloats(floats) => Some(floats.last),
            Samples::Ints(_) | Samples::FloatHistograms(_) => None,
        }
    }

    /// The newest value, if it is a histogram.
    pub(crate) fn last_histogram(&self) -> Option<HistogramValue> {
        match &self.samples {
            Samples::Floats(_) | Samples::StartedFloats(_) => None,
            Samples::Ints(h) => Some(HistogramValue::Int(Arc::clone(&h.last))),
            Samples::FloatHistograms(h) => Some(HistogramValue::Float(Arc::clone(&h.last))),
        }
    }

    /// Appends a float at a later time, if it goes into this chunk. May settle where the chunk ends.
    #[inline]
    pub(crate) fn push_float(&mut self, at: At, value: f64) -> bool {
        let (len_bytes, count, last_ms) = match (&self.samples, at.start_ms) {
            (Samples::Floats(xor), None) => (xor.len_bytes(), xor.sample_count(), xor.last_timestamp_ms()),
            (Samples::StartedFloats(floats), Some(_)) => {
                let xor2 = &floats.appender;
                (xor2.bytes().len(), xor2.sample_count(), xor2.last_timestamp_ms())
            }
            _ => return false,
        };
        if len_bytes > MOST_FLOAT_BYTES {
            return false;
        }
        if count == TARGET_SAMPLES / 4 {
            self.next_at_ms = predicted_end(self.min_time_ms, last_ms, self.next_at_ms, 4.0);
        }
        if at.timestamp_ms >= self.next_at_ms || count >= TARGET_SAMPLES * 2 {
            return false;
        }
        match &mut self.samples {
            Samples::Floats(xor) => xor.append(at.timestamp_ms, value),
            Samples::StartedFloats(floats) => floats.append(at.start_ms.unwrap_or_default(), at.timestamp_ms, value),
            Samples::Ints(_) | Samples::FloatHistograms(_) => return false,
        }
        true
    }

    /// Appends floats without start times as long as they go into this chunk, each later than the one before and at
    /// `min_time_ms` or later. Says how many. The next one, if there is any, is for [`OpenChunk::push_float`].
    #[inline]
    pub(crate) fn push_floats(
        &mut self,
        mut floats: impl Iterator<Item = (i64, f64)>,
        min_time_ms: i64,
        buffer: &mut RunBuffer,
    ) -> usize {
        let OpenChunk { min_time_ms: start_ms, next_at_ms, samples: Samples::Floats(xor) } = self else { return 0 };
        let mut taken = 0;
        xor.extend(buffer, TARGET_SAMPLES, |end| {
            let (timestamp_ms, value) = floats.next()?;
            if timestamp_ms <= end.timestamp_ms || timestamp_ms < min_time_ms || end.len_bytes > MOST_FLOAT_BYTES {
                return None;
            }
            if end.sample_count == TARGET_SAMPLES / 4 {
                *next_at_ms = predicted_end(*start_ms, end.timestamp_ms, *next_at_ms, 4.0);
            }
            if timestamp_ms >= *next_at_ms || end.sample_count >= TARGET_SAMPLES * 2 {
                return None;
            }
            taken += 1;
            Some((timestamp_ms, value))
        });
        taken
    }

    /// Appends a histogram at a later time. Says what became of it; `Cut` did not take it.
    pub(crate) fn push_histogram(&mut self, at: At, value: &HistogramValue, range_ms: i64) -> Pushed {
        if !self.takes_histogram(at, value, range_ms) {
            return Pushed::Cut;
        }
        let next = match (&mut self.samples, value) {
            (Samples::Ints(ours), HistogramValue::Int(value)) => ours.push(at, value).map(Samples::Ints),
            (Samples::FloatHistograms(ours), HistogramValue::Float(value)) => {
                ours.push(at, value).map(Samples::FloatHistograms)
            }
            _ => return Pushed::Cut,
        };
        match next {
            Some(samples) => Pushed::Next(Box::new(OpenChunk::begin(at.timestamp_ms, range_ms, samples))),
            None => Pushed::Here,
        }
    }

    /// Whether a histogram goes into this chunk as far as size and time tell. May settle where the chunk ends.
    fn takes_histogram(&mut self, at: At, value: &HistogramValue, range_ms: i64) -> bool {
        let timestamp_ms = at.timestamp_ms;
        let max_time_ms = self.max_time_ms();
        let (bytes, count, end_known) = match (&mut self.samples, value) {
            (Samples::Ints(ours), HistogramValue::Int(_)) if ours.fits(at) => ours.measure(),
            (Samples::FloatHistograms(ours), HistogramValue::Float(_)) if ours.fits(at) => ours.measure(),
            _ => return false,
        };
        // As long as no end was predicted, the chunk ends with its range at the latest, however few samples it has.
        let range_end_ms = if *end_known { range_end(self.min_time_ms, range_ms) } else { self.next_at_ms };
        if !*end_known && bytes >= TARGET_HISTOGRAM_BYTES / 4 {
            let ratio_to_full = TARGET_HISTOGRAM_BYTES as f64 / bytes as f64;
            self.next_at_ms = predicted_end(self.min_time_ms, max_time_ms, self.next_at_ms, ratio_to_full);
            *end_known = true;
        }
        let full = timestamp_ms >= self.next_at_ms || bytes >= TARGET_HISTOGRAM_BYTES * 2;
        !(full && (count >= LEAST_HISTOGRAMS || timestamp_ms >= range_end_ms))
    }

    /// The chunk as it is now, but for what is elsewhere: that goes behind its first two bytes.
    pub(crate) fn snapshot(&self) -> Chunk {
        // Copies, so that the buffers' spare room is given back.
        let (encoding, data) = match &self.samples {
            Samples::Floats(xor) => (Encoding::Xor, Bytes::from(xor.to_bytes())),
            Samples::StartedFloats(f) => (Encoding::Xor2, Bytes::copy_from_slice(f.appender.bytes())),
            Samples::Ints(h) => {
                let encoding = if h.started { Encoding::HistogramSt } else { Encoding::Histogram };
                (encoding, Bytes::copy_from_slice(h.appender.bytes()))
            }
            Samples::FloatHistograms(h) => {
                let encoding = if h.started { Encoding::FloatHistogramSt } else { Encoding::FloatHistogram };
                (encoding, Bytes::copy_from_slice(h.appender.bytes()))
            }
        };
        Chunk { min_time_ms: self.min_time_ms, max_time_ms: self.max_time_ms(), encoding, data }
    }
}

/// What became of a histogram.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// It is in the chunk.
    Here,
    /// The chunk is done; this one holds the histogram.
    Next(Box<OpenChunk>),
    /// The chunk is done, and the histogram begins another one.
    Cut,
}

impl<H: NativeHistogram> Histograms<H> {
    fn begin(previous: Option<&Self>, At { timestamp_ms, start_ms }: At, value: &Arc<H>) -> Self {
        let started = start_ms.is_some();
        let mut appender = HistogramAppender::new(started);
        // As in Prometheus a chunk of the other encoding counts as none.
        let previous = previous.filter(|previous| previous.started == started).map(|previous| &previous.appender);
        appender.append(previous, start_ms.unwrap_or_default(), timestamp_ms, &**value);
        Histograms { appender, last: Arc::clone(value), last_time_ms: timestamp_ms, end_known: false, started }
    }

    /// Whether the chunk has start times where the sample has.
    fn fits(&self, at: At) -> bool {
        self.started == at.start_ms.is_some()
    }

    fn restore(
        reader: &mut Reader<'_>,
        last_time_ms: i64,
        started: bool,
        last: impl FnOnce(&mut Reader<'_>) -> Result<Arc<H>, DecodeError>,
    ) -> Result<Self, ChunkError> {
        let end_known = reader.u8()? != 0;
        let appender = HistogramAppender::from_bytes(reader.uvarint_bytes()?.to_vec(), started)?;
        Ok(Histograms { appender, last: last(reader)?, last_time_ms, end_known, started })
    }

    fn measure(&mut self) -> (usize, usize, &mut bool) {
        (self.appender.bytes().len(), self.appender.sample_count(), &mut self.end_known)
    }

    /// Appends, or gives the chunk that must follow.
    fn push(&mut self, At { timestamp_ms, start_ms }: At, value: &Arc<H>) -> Option<Box<Self>> {
        match self.appender.append(None, start_ms.unwrap_or_default(), timestamp_ms, &**value) {
            Appended::Appended | Appended::Recoded => {
                (self.last, self.last_time_ms) = (Arc::clone(value), timestamp_ms);
                None
            }
            // Stock forgets to begin its prediction anew here, and so must whoever wants the same chunks.
            Appended::NewChunk(appender) => Some(Box::new(Histograms {
                appender: *appender,
                last: Arc::clone(value),
                last_time_ms: timestamp_ms,
                end_known: self.end_known,
                started: self.started,
            })),
        }
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
            let value = value(t);
            if open.as_mut().is_some_and(|chunk| chunk.push_float(At::time(t), value)) {
                *counts.last_mut().unwrap() += 1;
            } else {
                open = Some(OpenChunk::float(At::time(t), value, RANGE_MS));
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
