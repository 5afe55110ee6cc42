//! Giving up what a block holds.

use std::collections::HashSet;

use roaring::RoaringBitmap;

use super::{Head, Slot};
use crate::wal::record::SeriesRef;

/// So many slots are looked at under one lock.
const SLICE_SLOTS: Slot = 8192;

impl Head {
    /// Takes nothing older than `time_ms` from now on.
    pub fn raise_min_valid(&mut self, time_ms: i64) {
        self.min_valid_ms = self.min_valid_ms.max(time_ms);
    }

    /// Takes back [`Head::raise_min_valid`], where what it made room for did not happen.
    pub fn restore_min_valid(&mut self, time_ms: i64) {
        self.min_valid_ms = time_ms;
    }

    /// A cut comes before its time. What is taken in order now, and will be too old for that, is taken as late samples are: senders need not
    /// know of the cut. A restart forgets it.
    pub fn expect_early_cut(&mut self) {
        self.cut_early_from_ms = self.cut_early_from_ms.min(self.min_valid_ms);
    }

    /// The oldest time that is not in a block.
    pub fn min_valid_ms(&self) -> i64 {
        self.min_valid_ms
    }

    /// Makes all open chunks full ones, so that no chunk has samples from before and after now.
    pub fn seal_chunks(&mut self) {
        let Head { slab, store, .. } = self;
        slab.iter_mut().for_each(|(_, series)| drop(series.seal(store)));
    }

    /// Drops all chunks that end before `time_ms`, and series that have none left and no late samples.
    pub fn truncate(&mut self, time_ms: i64) {
        self.hide_before(time_ms);
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.drop_hidden(from);
        }
    }

    /// Shows nothing older than `time_ms` any more, and takes nothing. [`Head::drop_hidden`] gives its memory back.
    pub(crate) fn hide_before(&mut self, time_ms: i64) {
        self.raise_min_valid(time_ms);
        self.visible_from_ms = self.visible_from_ms.max(time_ms);
        self.swept_min_time_ms = i64::MAX;
        // A bound, until all series were looked at.
        self.min_time_ms = if self.max_time_ms < time_ms { i64::MAX } else { self.min_time_ms.max(time_ms) };
    }

    /// Drops what is hidden of some series, and series that have nothing left. Gives the slot to go on with.
    pub(crate) fn drop_hidden(&mut self, from: Slot) -> Option<Slot> {
        let end = self.slab.end();
        let until = from.saturating_add(SLICE_SLOTS).min(end);
        let mut dead = RoaringBitmap::new();
        self.keep_all_for_readers(from..until);
        let Head { slab, store, late, .. } = self;
        for slot in from..until {
            let Some(series) = slab.get_mut(slot) else { continue };
            self.chunks -= series.drop_before(self.visible_from_ms, store);
            match series.min_time_ms() {
                Some(min_ms) => self.swept_min_time_ms = self.swept_min_time_ms.min(min_ms),
                None if late.contains(series.series_ref()) => {}
                None => {
                    dead.insert(slot);
                }
            }
        }
        self.bury(&dead);
        if until < end {
            return Some(until);
        }
        self.min_time_ms = self.swept_min_time_ms;
        if !self.deleted.is_empty() {
            let live: HashSet<SeriesRef> = self.slab.iter_mut().map(|(_, series)| series.series_ref()).collect();
            self.deleted.retain(self.visible_from_ms, |series| live.contains(&series));
        }
        if self.table.is_empty() {
            // What lies behind is still refused by `min_valid_ms`.
            self.max_time_ms = i64::MIN;
        }
        None
    }

    fn bury(&mut self, dead: &RoaringBitmap) {
        if dead.is_empty() {
            return;
        }
        let mut labels = RoaringBitmap::new();
        for slot in dead {
            self.remove_series(slot, &mut labels);
        }
        let gone = self.labels.remove(dead, &labels);
        self.verdicts.forget(&gone, &self.labels);
        self.live -= dead;
        self.table.shrink();
    }

    fn remove_series(&mut self, slot: Slot, labels: &mut RoaringBitmap) {
        let Some(series) = self.slab.get(slot) else { return };
        let hash = series.hash;
        self.table.remove(hash as u32, slot);
        let Some(series) = self.slab.remove(slot) else { return };
        labels.extend(series.labels.iter().copied());
    }
}
