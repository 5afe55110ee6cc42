//! Reading a head: series and their chunks, as they are now.

use thanoxide_model::{Labels, Matcher};

use super::series::Series;
use super::{Head, Slot};
use crate::chunk::Chunk;
use crate::chunk_store::{HeadChunk, HeadSeries, load};

/// A series of an answer. Chunks are in order of their first times; each lies whole or in part in the asked range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedSeries {
    /// Its labels.
    pub labels: Labels,
    /// Some of its chunks.
    pub chunks: Vec<Chunk>,
}

/// Sorts series by labels.
pub(crate) fn sort_head_series(series: &mut [HeadSeries]) {
    series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
}

impl Head {
    /// The series that satisfy all matchers and have samples in `min_ms..=max_ms`, sorted by labels, with their chunks.
    pub fn read(&self, matchers: &[Matcher], min_ms: i64, max_ms: i64) -> std::io::Result<Vec<SelectedSeries>> {
        let mut series = self.gather(matchers, min_ms, max_ms);
        sort_head_series(&mut series);
        let mut series = load(&self.store.files(), series)?;
        series.retain(|series| !series.chunks.is_empty());
        Ok(series)
    }

    /// As [`Head::read`], in no order and without what is to be read from disk: what has to be done while nobody writes.
    pub(crate) fn gather(&self, matchers: &[Matcher], min_ms: i64, max_ms: i64) -> Vec<HeadSeries> {
        let slots = self.matching(matchers);
        slots.iter().filter_map(|slot| self.gather_one(slot, self.visible_from_ms, min_ms, max_ms)).collect()
    }

    /// A series with its samples of `min_ms..=max_ms`, `None` where it has none there. Blocks hold those that came in order and are older
    /// than `visible_from_ms`.
    pub(super) fn gather_one(&self, slot: Slot, visible_from_ms: i64, min_ms: i64, max_ms: i64) -> Option<HeadSeries> {
        let series = self.slab.get(slot)?;
        let late = self.collect_late(series, min_ms, max_ms);
        let chunks = series.collect(min_ms.max(visible_from_ms), max_ms);
        (!chunks.is_empty() || !late.is_empty()).then(|| self.head_series(series, chunks, late))
    }

    /// A series with its samples of `min_ms..=max_ms` that came in order, `None` where it has none there.
    pub(crate) fn collect(&self, slot: Slot, min_ms: i64, max_ms: i64) -> Option<HeadSeries> {
        let series = self.slab.get(slot)?;
        let chunks = series.collect(min_ms.max(self.visible_from_ms), max_ms);
        if chunks.is_empty() {
            return None;
        }
        Some(self.head_series(series, chunks, Vec::new()))
    }

    pub(super) fn head_series(&self, series: &Series, chunks: Vec<HeadChunk>, late: Vec<Chunk>) -> HeadSeries {
        let deleted = self.deleted.get(series.series_ref()).to_vec();
        HeadSeries { labels: self.labels(series), series_ref: series.series_ref(), chunks, deleted, late }
    }

    /// The late chunks of a series that have samples in `min_ms..=max_ms`. They may overlap.
    fn collect_late(&self, series: &Series, min_ms: i64, max_ms: i64) -> Vec<Chunk> {
        match self.late.is_empty() {
            true => Vec::new(),
            false => self.late.collect(series.series_ref(), min_ms, max_ms),
        }
    }

    /// Sorts series by labels.
    pub(super) fn sort(&self, mut slots: Vec<Slot>) -> Vec<Slot> {
        slots.sort_unstable_by(|a, b| match (self.slab.get(*a), self.slab.get(*b)) {
            (Some(a), Some(b)) => self.labels.compare(&a.labels, &b.labels),
            _ => std::cmp::Ordering::Equal,
        });
        slots
    }

    /// All series, in no order that means anything: those that were made together lie together.
    pub(crate) fn live_slots(&self) -> Vec<Slot> {
        self.live.iter().collect()
    }

    fn labels(&self, series: &Series) -> Labels {
        Labels::from_sorted(self.labels_of(series))
    }
}
