//! One series of the head.

use std::sync::Arc;

use thanoxide_model::sample::stale_nan;
use thanoxide_model::write_batch::HistogramValue;
use thanoxide_model::{FloatHistogram, Histogram, Verdict};

use super::full_chunks::{FullChunk, FullChunks};
use super::labels::Pair;
use super::open_chunk::{At, OpenChunk, Pushed};
use crate::chunk::Encoding;
use crate::chunk_store::{ChunkStore, HeadChunk};
use crate::encoding::RunBuffer;
use crate::wal::record::SeriesRef;

/// A series is defined in the log so many times, so that one lost definition orphans nothing.
pub(crate) const DEFINITIONS: u8 = 2;

/// References are below this: what is above has another meaning.
const REF_BITS: u32 = 62;

/// What the head says to a sample of a known series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is the newest.
    Newest,
    /// It comes late, and is taken all the same.
    Late,
    /// It is there already.
    Known,
    /// It is not taken.
    Refused(Verdict),
}

/// A series: its labels, its full chunks and the open one. 128 bytes: two lines of a cache.
#[derive(Debug)]
pub(crate) struct Series {
    pub(super) hash: u128,
    /// The reference, and above it how often the log has the definition.
    named: u64,
    /// Sorted by the names' texts.
    pub(super) labels: Box<[Pair]>,
    pub(super) chunks: FullChunks,
    /// Its bytes may begin with pieces at the end of `chunks`.
    pub(super) open: Option<OpenChunk>,
}

impl Series {
    pub(crate) fn new(hash: u128, series_ref: SeriesRef, labels: Box<[Pair]>) -> Self {
        let named = series_ref & ((1 << REF_BITS) - 1);
        Series { hash, named, labels, chunks: FullChunks::default(), open: None }
    }

    #[inline]
    pub(crate) fn series_ref(&self) -> SeriesRef {
        self.named & ((1 << REF_BITS) - 1)
    }

    /// How often the log has its definition.
    #[inline]
    pub(super) fn definitions(&self) -> u8 {
        (self.named >> REF_BITS) as u8
    }

    /// At most [`DEFINITIONS`].
    pub(super) fn set_definitions(&mut self, definitions: u8) {
        self.named = self.series_ref() | u64::from(definitions.min(DEFINITIONS)) << REF_BITS;
    }

    /// Something of the record and of the end of its open chunk.
    #[inline]
    pub(super) fn glance(&self) -> u8 {
        self.open.as_ref().map_or(self.definitions(), |open| open.last_byte() ^ self.definitions())
    }

    /// The time of the newest sample.
    pub(crate) fn max_time_ms(&self) -> Option<i64> {
        let open = self.open.as_ref().map(|open| open.max_time_ms());
        open.or_else(|| self.chunks.whole().last().map(|chunk| chunk.max_time_ms()))
    }

    /// The time of the oldest sample.
    pub(crate) fn min_time_ms(&self) -> Option<i64> {
        let full = self.chunks.whole().next().map(|chunk| chunk.min_time_ms());
        full.or_else(|| self.open.as_ref().map(|open| open.min_time_ms()))
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.whole().count() + usize::from(self.open.is_some())
    }

    pub(crate) fn fit_float(&self, timestamp_ms: i64, value: f64) -> Fit {
        let same = |open: &OpenChunk| open.last_float().is_some_and(|last| last.to_bits() == value.to_bits());
        self.fit(timestamp_ms, same)
    }

    pub(crate) fn fit_histogram(&self, timestamp_ms: i64, value: &HistogramValue) -> Fit {
        self.fit(timestamp_ms, |open| match (open.last_histogram(), value) {
            (Some(HistogramValue::Int(last)), HistogramValue::Int(value)) => last == *value,
            (Some(HistogramValue::Float(last)), HistogramValue::Float(value)) => last == *value,
            _ => false,
        })
    }

    fn fit(&self, timestamp_ms: i64, same_as_last: impl FnOnce(&OpenChunk) -> bool) -> Fit {
        match self.max_time_ms() {
            Some(newest) if timestamp_ms < newest => Fit::Refused(Verdict::OutOfOrder),
            Some(newest) if timestamp_ms == newest => match &self.open {
                Some(open) if same_as_last(open) => Fit::Known,
                _ => Fit::Refused(Verdict::DuplicateForTimestamp),
            },
            _ => Fit::Newest,
        }
    }

    /// A histogram that says what a float's stale marker says, where the newest sample is a histogram.
    pub(crate) fn stale_histogram(&self) -> Option<HistogramValue> {
        let sum = stale_nan();
        Some(match self.open.as_ref()?.last_histogram()? {
            HistogramValue::Int(_) => HistogramValue::Int(Arc::new(Histogram { sum, ..Histogram::default() })),
            HistogramValue::Float(_) => {
                HistogramValue::Float(Arc::new(FloatHistogram { sum, ..FloatHistogram::default() }))
            }
        })
    }

    /// Appends a float that fits as the newest. Says how many chunks began.
    pub(crate) fn push_float(&mut self, at: At, value: f64, range_ms: i64, store: &ChunkStore) -> usize {
        if self.open.as_mut().is_some_and(|open| open.push_float(at, value)) {
            self.settle(store);
            return 0;
        }
        let buffer = self.seal(store);
        self.open = Some(OpenChunk::float_in(buffer, at, value, range_ms));
        1
    }

    /// Puts the first bytes of the open chunk where full chunks are, once they are many.
    #[inline]
    fn settle(&mut self, store: &ChunkStore) {
        if self.open.as_ref().is_some_and(|open| open.settled().is_some()) {
            self.settle_open(store);
        }
    }

    #[cold]
    fn settle_open(&mut self, store: &ChunkStore) {
        let series_ref = self.series_ref();
        let Some(open) = &mut self.open else { return };
        let piece = open.settled().and_then(|bytes| store.push_piece(series_ref, Encoding::Xor, bytes));
        if let Some(piece) = piece {
            open.drop_settled();
            self.chunks.push(&FullChunk::Closed(piece));
        }
    }

    /// Appends floats to the open chunk as long as that takes them: [`OpenChunk::push_floats`]. Says how many.
    #[inline]
    pub(crate) fn push_floats(
        &mut self,
        floats: impl Iterator<Item = (i64, f64)>,
        min_time_ms: i64,
        buffer: &mut RunBuffer,
        store: &ChunkStore,
    ) -> usize {
        let taken = self.open.as_mut().map_or(0, |open| open.push_floats(floats, min_time_ms, buffer));
        self.settle(store);
        taken
    }

    /// Appends a histogram that fits as the newest. Says how many chunks began.
    pub(crate) fn push_histogram(
        &mut self,
        at: At,
        value: &HistogramValue,
        range_ms: i64,
        store: &ChunkStore,
    ) -> usize {
        let pushed = self.open.as_mut().map(|open| open.push_histogram(at, value, range_ms));
        let next = match pushed {
            Some(Pushed::Here) => return 0,
            Some(Pushed::Next(next)) => *next,
            Some(Pushed::Cut) | None => OpenChunk::histogram(at, value, range_ms, self.open.as_ref()),
        };
        self.seal(store);
        self.open = Some(next);
        1
    }

    /// Makes the open chunk a full one. Gives its buffer, if there is one to use again.
    pub(crate) fn seal(&mut self, store: &ChunkStore) -> Option<Vec<u8>> {
        let open = self.open.take()?;
        let chunk = open.snapshot();
        self.chunks.push(&match store.push(self.series_ref(), &chunk) {
            Some(closed) => FullChunk::Closed(closed),
            None => FullChunk::Here(chunk),
        });
        open.into_buffer()
    }

    /// Drops the chunks that end before `time_ms`. Says how many these were.
    pub(crate) fn drop_before(&mut self, time_ms: i64, store: &ChunkStore) -> usize {
        let dropped_open = usize::from(self.open.take_if(|open| open.max_time_ms() < time_ms).is_some());
        let open_stays = self.open.is_some();
        // They are in order, so the first tells about all.
        if self.chunks.whole().next().map_or(open_stays, |chunk| chunk.max_time_ms() >= time_ms) && open_stays {
            return 0;
        }
        let stays = |chunk: Option<&FullChunk>| chunk.map_or(open_stays, |chunk| chunk.max_time_ms() >= time_ms);
        self.chunks.retain(stays, |chunk| chunk.release(store)) + dropped_open
    }

    /// All chunks that have samples in `min_ms..=max_ms`, in time order, the pieces of each before it.
    pub(crate) fn collect(&self, min_ms: i64, max_ms: i64) -> Vec<HeadChunk> {
        let overlaps = |min: i64, max: i64| min <= max_ms && max >= min_ms;
        let (mut collected, mut whole) = (Vec::new(), 0);
        for chunk in self.chunks.iter() {
            let ends = (!chunk.continues()).then(|| overlaps(chunk.min_time_ms(), chunk.max_time_ms()));
            collected.push(chunk.pin());
            match ends {
                Some(true) => whole = collected.len(),
                Some(false) => collected.truncate(whole),
                None => {}
            }
        }
        match self.open.as_ref().filter(|open| overlaps(open.min_time_ms(), open.max_time_ms())) {
            Some(open) => collected.push(HeadChunk::Here(open.snapshot())),
            None => collected.truncate(whole),
        }
        collected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_two_cache_lines() {
        assert_eq!(size_of::<Option<Series>>(), 128);
    }
}
