//! One series of the head.

use thanoxide_model::Verdict;

use super::open_chunk::OpenChunk;
use super::symbols::Symbol;
use crate::chunk::Chunk;
use crate::wal::record::SeriesRef;

/// What the head says to a sample of a known series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is the newest.
    Newest,
    /// It is there already.
    Known,
    /// It is not taken.
    Refused(Verdict),
}

/// A series: its labels, its full chunks and the open one.
#[derive(Debug)]
pub(crate) struct Series {
    pub(super) hash: u128,
    pub(super) series_ref: SeriesRef,
    /// Sorted by the names' texts.
    pub(super) labels: Box<[(Symbol, Symbol)]>,
    pub(super) chunks: Vec<Chunk>,
    pub(super) open: Option<OpenChunk>,
}

impl Series {
    pub(crate) fn new(hash: u128, series_ref: SeriesRef, labels: Box<[(Symbol, Symbol)]>) -> Self {
        Series { hash, series_ref, labels, chunks: Vec::new(), open: None }
    }

    /// The time of the newest sample.
    pub(crate) fn max_time_ms(&self) -> Option<i64> {
        let open = self.open.as_ref().map(|open| open.max_time_ms());
        open.or_else(|| self.chunks.last().map(|chunk| chunk.max_time_ms))
    }

    /// The time of the oldest sample.
    pub(crate) fn min_time_ms(&self) -> Option<i64> {
        let full = self.chunks.first().map(|chunk| chunk.min_time_ms);
        full.or_else(|| self.open.as_ref().map(|open| open.min_time_ms()))
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len() + usize::from(self.open.is_some())
    }

    pub(crate) fn fit_float(&self, timestamp_ms: i64, value: f64) -> Fit {
        match self.max_time_ms() {
            Some(newest) if timestamp_ms < newest => Fit::Refused(Verdict::OutOfOrder),
            Some(newest) if timestamp_ms == newest => {
                let last = self.open.as_ref().and_then(|open| open.last_float());
                match last {
                    Some(last) if last.to_bits() == value.to_bits() => Fit::Known,
                    _ => Fit::Refused(Verdict::DuplicateForTimestamp),
                }
            }
            _ => Fit::Newest,
        }
    }

    /// Appends a float that fits as the newest. Says how many chunks began.
    pub(crate) fn push_float(&mut self, timestamp_ms: i64, value: f64, range_ms: i64) -> usize {
        if let Some(open) = &mut self.open
            && open.takes_float(timestamp_ms)
        {
            open.push_float(timestamp_ms, value);
            return 0;
        }
        self.seal();
        self.open = Some(OpenChunk::float(timestamp_ms, value, range_ms));
        1
    }

    /// Makes the open chunk a full one.
    pub(crate) fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            self.chunks.reserve_exact(1);
            self.chunks.push(open.finish());
        }
    }

    /// Drops the chunks that end before `time_ms`. Says how many these were.
    pub(crate) fn drop_before(&mut self, time_ms: i64) -> usize {
        let before = self.chunk_count();
        self.chunks.retain(|chunk| chunk.max_time_ms >= time_ms);
        self.chunks.shrink_to_fit();
        self.open.take_if(|open| open.max_time_ms() < time_ms);
        before - self.chunk_count()
    }

    /// All chunks that have samples in `min_ms..=max_ms`, in time order.
    pub(crate) fn collect(&self, min_ms: i64, max_ms: i64) -> Vec<Chunk> {
        let overlaps = |min: i64, max: i64| min <= max_ms && max >= min_ms;
        let full = self.chunks.iter().filter(|c| overlaps(c.min_time_ms, c.max_time_ms)).cloned();
        let open = self.open.iter().filter(|open| overlaps(open.min_time_ms(), open.max_time_ms()));
        full.chain(open.map(|open| open.snapshot())).collect()
    }
}
