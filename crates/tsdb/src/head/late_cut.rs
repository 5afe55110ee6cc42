//! Late samples on their way into blocks.

use std::collections::BTreeSet;

use super::late::{LateRecords, LateStore};
use super::{Head, Slot};
use crate::chunk::{Chunk, ChunkError};
use crate::chunk_store::HeadSeries;
use crate::log::Position;
use crate::wal::record::SeriesRef;

impl Head {
    /// First and last time of late samples.
    pub fn late_times_ms(&self) -> Option<(i64, i64)> {
        self.late.times_ms()
    }

    /// Freezes the late samples, all of which the log has up to `position`. False where there are none.
    pub(crate) fn freeze_late(&mut self, position: Position) -> bool {
        self.late.freeze(position)
    }

    /// The position up to which late samples are frozen.
    pub(crate) fn frozen_late_position(&self) -> Option<Position> {
        self.late.frozen.as_ref().map(|(position, _)| *position)
    }

    /// The aligned ranges with frozen samples, as numbers: times divided by `range_ms`.
    pub(crate) fn frozen_late_ranges(&self, range_ms: i64) -> Result<BTreeSet<i64>, ChunkError> {
        self.frozen().map_or_else(|| Ok(BTreeSet::new()), |store| store.ranges(range_ms))
    }

    /// The series with frozen samples, sorted by labels.
    pub(crate) fn sorted_frozen_slots(&self) -> Vec<Slot> {
        self.sort(self.frozen_slots())
    }

    fn frozen_slots(&self) -> Vec<Slot> {
        let frozen = |slot: &Slot| {
            let series = self.slab.get(*slot).map(|series| series.series_ref());
            series.zip(self.frozen()).is_some_and(|(series, store)| store.contains(series))
        };
        self.live.iter().filter(frozen).collect()
    }

    /// The frozen samples of a series.
    pub(crate) fn collect_frozen(&self, slot: Slot, min_ms: i64, max_ms: i64) -> Option<HeadSeries> {
        let series = self.slab.get(slot)?;
        let late = self.frozen()?.collect(series.series_ref(), min_ms, max_ms);
        (!late.is_empty()).then(|| self.head_series(series, Vec::new(), late))
    }

    /// The late chunks of a series. They may overlap.
    pub(crate) fn late_chunks(&self, slot: Slot) -> Vec<Chunk> {
        let series = self.slab.get(slot);
        series.map_or_else(Vec::new, |series| self.late.collect(series.series_ref(), i64::MIN, i64::MAX))
    }

    /// All series, sorted by labels.
    pub(crate) fn all_sorted_slots(&self) -> Vec<Slot> {
        self.sort(self.live.iter().collect())
    }

    /// All samples of a series that came in order, even where these are none.
    pub(crate) fn collect_all(&self, slot: Slot) -> Option<HeadSeries> {
        let series = self.slab.get(slot)?;
        Some(self.head_series(series, series.collect(i64::MIN, i64::MAX), Vec::new()))
    }

    fn frozen(&self) -> Option<&LateStore> {
        self.late.frozen.as_ref().map(|(_, store)| store)
    }

    /// Drops the frozen samples, which blocks have now, and series that had nothing else.
    pub(crate) fn drop_frozen_late(&mut self) {
        if self.late.frozen.is_some() {
            if !self.readings.is_empty() {
                let frozen = self.frozen_slots();
                self.keep_all_for_readers(frozen.into_iter());
            }
            self.late.frozen = None;
            self.truncate(self.min_valid_ms);
        }
    }

    /// Writes late samples down from a series on, the frozen ones or the others, and gives the series to go on with.
    pub(crate) fn save_late(
        &self,
        frozen: bool,
        from: SeriesRef,
        most_bytes: usize,
        out: &mut LateRecords,
    ) -> Result<Option<SeriesRef>, ChunkError> {
        let Some(store) = (if frozen { self.frozen() } else { Some(&self.late.current) }) else { return Ok(None) };
        for series in store.series().into_iter().filter(|series| *series >= from) {
            if out.len_bytes() >= most_bytes {
                return Ok(Some(series));
            }
            store.save(series, out)?;
        }
        Ok(None)
    }
}
