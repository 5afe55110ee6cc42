//! One series of the head.

use std::sync::Arc;

use thanoxide_model::sample::stale_nan;
use thanoxide_model::write_batch::HistogramValue;
use thanoxide_model::{FloatHistogram, Histogram, Verdict};

use super::labels::Pair;
use super::open_chunk::{At, OpenChunk, Pushed};
use crate::chunk::Chunk;
use crate::chunk_store::{ChunkStore, ClosedChunk, HeadChunk};
use crate::encoding::RunBuffer;
use crate::wal::record::SeriesRef;

/// A series is defined in the log so many times, so that one lost definition orphans nothing.
pub(crate) const DEFINITIONS: u8 = 2;

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

/// A chunk that takes no more samples.
#[derive(Clone, Debug)]
pub(crate) enum FullChunk {
    /// On disk, or on its way there.
    Closed(ClosedChunk),
    /// One that no file takes, being too large or too long.
    Here(Box<Chunk>),
}

impl FullChunk {
    pub(crate) fn min_time_ms(&self) -> i64 {
        match self {
            FullChunk::Closed(chunk) => chunk.min_time_ms,
            FullChunk::Here(chunk) => chunk.min_time_ms,
        }
    }

    pub(crate) fn max_time_ms(&self) -> i64 {
        match self {
            FullChunk::Closed(chunk) => chunk.max_time_ms(),
            FullChunk::Here(chunk) => chunk.max_time_ms,
        }
    }

    fn pin(&self) -> HeadChunk {
        match self {
            FullChunk::Closed(chunk) => HeadChunk::Closed(*chunk),
            FullChunk::Here(chunk) => HeadChunk::Here(Chunk::clone(chunk)),
        }
    }
}

/// The full chunks of a series, in a pointer: most series have none for most of an hour, and records are many.
#[derive(Debug, Default)]
pub(crate) struct FullChunks(Option<Box<FullChunkList>>);

#[derive(Debug)]
struct FullChunkList(Vec<FullChunk>);

impl From<Vec<FullChunk>> for FullChunks {
    fn from(mut chunks: Vec<FullChunk>) -> Self {
        chunks.shrink_to_fit();
        FullChunks((!chunks.is_empty()).then(|| Box::new(FullChunkList(chunks))))
    }
}

impl std::ops::Deref for FullChunks {
    type Target = [FullChunk];

    fn deref(&self) -> &[FullChunk] {
        self.0.as_ref().map_or(&[], |list| &list.0)
    }
}

impl FullChunks {
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut FullChunk> {
        self.0.iter_mut().flat_map(|list| &mut list.0)
    }

    fn push(&mut self, chunk: FullChunk) {
        let list = self.0.get_or_insert_with(|| Box::new(FullChunkList(Vec::new())));
        list.0.reserve_exact(1);
        list.0.push(chunk);
    }

    fn retain(&mut self, keep: impl FnMut(&FullChunk) -> bool) {
        let Some(list) = &mut self.0 else { return };
        list.0.retain(keep);
        list.0.shrink_to_fit();
        if list.0.is_empty() {
            self.0 = None;
        }
    }
}

/// A series: its labels, its full chunks and the open one. 128 bytes: two lines of a cache.
#[derive(Debug)]
pub(crate) struct Series {
    pub(super) hash: u128,
    pub(super) series_ref: SeriesRef,
    /// Sorted by the names' texts.
    pub(super) labels: Box<[Pair]>,
    pub(super) chunks: FullChunks,
    pub(super) open: Option<OpenChunk>,
    /// How often the log has its definition.
    pub(super) definitions: u8,
}

impl Series {
    pub(crate) fn new(hash: u128, series_ref: SeriesRef, labels: Box<[Pair]>) -> Self {
        Series { hash, series_ref, labels, chunks: FullChunks::default(), open: None, definitions: 0 }
    }

    /// Something of the record and of the end of its open chunk.
    #[inline]
    pub(super) fn glance(&self) -> u8 {
        self.open.as_ref().map_or(self.definitions, |open| open.last_byte() ^ self.definitions)
    }

    /// The time of the newest sample.
    pub(crate) fn max_time_ms(&self) -> Option<i64> {
        let open = self.open.as_ref().map(|open| open.max_time_ms());
        open.or_else(|| self.chunks.last().map(FullChunk::max_time_ms))
    }

    /// The time of the oldest sample.
    pub(crate) fn min_time_ms(&self) -> Option<i64> {
        let full = self.chunks.first().map(FullChunk::min_time_ms);
        full.or_else(|| self.open.as_ref().map(|open| open.min_time_ms()))
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len() + usize::from(self.open.is_some())
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
            return 0;
        }
        self.seal(store);
        self.open = Some(OpenChunk::float(at, value, range_ms));
        1
    }

    /// Appends floats to the open chunk as long as that takes them: [`OpenChunk::push_floats`]. Says how many.
    #[inline]
    pub(crate) fn push_floats(
        &mut self,
        floats: impl Iterator<Item = (i64, f64)>,
        min_time_ms: i64,
        buffer: &mut RunBuffer,
    ) -> usize {
        self.open.as_mut().map_or(0, |open| open.push_floats(floats, min_time_ms, buffer))
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

    /// Makes the open chunk a full one.
    pub(crate) fn seal(&mut self, store: &ChunkStore) {
        if let Some(open) = self.open.take() {
            let chunk = open.snapshot();
            self.chunks.push(match store.push(self.series_ref, &chunk) {
                Some(closed) => FullChunk::Closed(closed),
                None => FullChunk::Here(Box::new(chunk)),
            });
        }
    }

    /// Drops the chunks that end before `time_ms`. Says how many these were.
    pub(crate) fn drop_before(&mut self, time_ms: i64, store: &ChunkStore) -> usize {
        let before = self.chunk_count();
        self.chunks.retain(|chunk| {
            let kept = chunk.max_time_ms() >= time_ms;
            if let (false, FullChunk::Closed(chunk)) = (kept, chunk) {
                store.release(chunk);
            }
            kept
        });
        self.open.take_if(|open| open.max_time_ms() < time_ms);
        before - self.chunk_count()
    }

    /// All chunks that have samples in `min_ms..=max_ms`, in time order.
    pub(crate) fn collect(&self, min_ms: i64, max_ms: i64) -> Vec<HeadChunk> {
        let overlaps = |min: i64, max: i64| min <= max_ms && max >= min_ms;
        let full = self.chunks.iter().filter(|c| overlaps(c.min_time_ms(), c.max_time_ms()));
        let open = self.open.iter().filter(|open| overlaps(open.min_time_ms(), open.max_time_ms()));
        full.map(FullChunk::pin).chain(open.map(|open| HeadChunk::Here(open.snapshot()))).collect()
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
