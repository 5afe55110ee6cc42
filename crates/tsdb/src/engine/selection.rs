//! What a reader wants of a tenant, and when it wants no more.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use thanoxide_model::{Labels, Matcher};

use super::{EngineError, SelectedSeries};
use crate::chunk::Chunk;

/// Which labels of series are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// All.
    All,
    /// Those of these names.
    Only(&'a [String]),
    /// All but those of these names, such as replica labels.
    Without(&'a [String]),
}

impl Shown<'_> {
    /// What is shown of labels.
    fn of(&self, labels: Labels) -> Labels {
        match self {
            Shown::All => labels,
            Shown::Only(names) => labels.only(names),
            Shown::Without(names) => labels.without(names),
        }
    }
}

/// Which series, and what of them.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    /// All must hold.
    pub matchers: &'a [Matcher],
    /// Oldest time, inclusive.
    pub min_time_ms: i64,
    /// Newest time, inclusive.
    pub max_time_ms: i64,
    /// Only series of which this says so, such as those of a shard. Chunks of others are not read.
    pub keep: Option<&'a dyn Fn(&Labels) -> bool>,
    /// Series without their chunks, which are not read. They have some in the range.
    pub labels_only: bool,
    /// What is given of their labels, which they are then in order of. Several may have the same: they follow each other.
    pub shown: Shown<'a>,
    /// At most so many series, the first ones by the labels that are shown, those of one set of them counted once; 0 is all.
    pub limit: usize,
    /// More bytes of chunks than this are an error, told before they are all read.
    pub max_bytes: u64,
    /// Set once nobody waits for the answer.
    pub cancelled: Option<&'a AtomicBool>,
}

impl<'a> Selection<'a> {
    /// Everything of the series that satisfy all matchers and have samples in a range.
    pub fn new(matchers: &'a [Matcher], min_time_ms: i64, max_time_ms: i64) -> Self {
        Selection {
            matchers,
            min_time_ms,
            max_time_ms,
            keep: None,
            labels_only: false,
            shown: Shown::All,
            limit: 0,
            max_bytes: u64::MAX,
            cancelled: None,
        }
    }

    pub(super) fn keeps(&self, labels: &Labels) -> bool {
        self.keep.is_none_or(|keep| keep(labels))
    }

    /// The number of series that is enough, in order of all their labels.
    pub(super) fn most_series(&self) -> usize {
        if self.limit == 0 || self.shown != Shown::All { usize::MAX } else { self.limit }
    }

    /// What is shown of series that are in order of all their labels.
    pub(super) fn show(&self, mut series: Vec<SelectedSeries>) -> Vec<SelectedSeries> {
        series.truncate(self.most_series());
        if self.shown == Shown::All {
            return series;
        }
        series.iter_mut().for_each(|series| series.labels = self.shown.of(std::mem::take(&mut series.labels)));
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        if self.limit > 0 {
            let sets = series.chunk_by(|a, b| a.labels == b.labels).take(self.limit);
            let end = sets.map(<[SelectedSeries]>::len).sum();
            series.truncate(end);
        }
        series
    }
}

impl fmt::Debug for Selection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection")
            .field("matchers", &self.matchers)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What a selection has taken so far.
pub(super) struct Budget<'a> {
    of: &'a Selection<'a>,
    bytes: u64,
}

impl<'a> Budget<'a> {
    pub(super) fn new(of: &'a Selection<'a>) -> Self {
        Budget { of, bytes: 0 }
    }

    /// Takes so many bytes of chunks. Fails once there are too many, or nobody waits.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), EngineError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.of.cancelled.is_some_and(|cancelled| cancelled.load(Ordering::Relaxed)) {
            return Err(EngineError::Cancelled);
        }
        let max_bytes = self.of.max_bytes;
        if self.bytes > max_bytes { Err(EngineError::TooManyBytes { max_bytes }) } else { Ok(()) }
    }

    pub(super) fn take_chunks(&mut self, chunks: &[Chunk]) -> Result<(), EngineError> {
        self.take(chunks.iter().map(|chunk| chunk.data.len() as u64).sum())
    }
}
