//! Giving up what a block holds.

use std::collections::HashSet;

use roaring::RoaringBitmap;

use super::{Head, Slot};
use crate::wal::record::SeriesRef;

impl Head {
    /// Takes nothing older than `time_ms` from now on.
    pub fn raise_min_valid(&mut self, time_ms: i64) {
        self.min_valid_ms = self.min_valid_ms.max(time_ms);
    }

    /// Takes back [`Head::raise_min_valid`], where what it made room for did not happen.
    pub fn restore_min_valid(&mut self, time_ms: i64) {
        self.min_valid_ms = time_ms;
    }

    /// The oldest time that is not in a block.
    pub fn min_valid_ms(&self) -> i64 {
        self.min_valid_ms
    }

    /// Makes all open chunks full ones, so that no chunk has samples from before and after now.
    pub fn seal_chunks(&mut self) {
        let Head { slab, store, .. } = self;
        slab.iter_mut().for_each(|(_, series)| series.seal(store));
    }

    /// Drops all chunks that end before `time_ms`, and series that have none left and no late samples.
    pub fn truncate(&mut self, time_ms: i64) {
        self.raise_min_valid(time_ms);
        let mut dead = RoaringBitmap::new();
        let (mut min_time_ms, mut dropped) = (i64::MAX, 0);
        let Head { slab, store, late, .. } = self;
        for (slot, series) in slab.iter_mut() {
            dropped += series.drop_before(time_ms, store);
            match series.min_time_ms() {
                Some(min) => min_time_ms = min_time_ms.min(min),
                None if late.contains(series.series_ref) => {}
                None => {
                    dead.insert(slot);
                }
            }
        }
        self.chunks -= dropped;
        self.min_time_ms = min_time_ms;
        self.bury(&dead);
        if !self.deleted.is_empty() {
            let live: HashSet<SeriesRef> = self.slab.iter_mut().map(|(_, series)| series.series_ref).collect();
            self.deleted.retain(time_ms, |series| live.contains(&series));
        }
        if self.table.is_empty() {
            // What lies behind is still refused by `min_valid_ms`.
            self.max_time_ms = i64::MIN;
        }
    }

    fn bury(&mut self, dead: &RoaringBitmap) {
        let mut labels = RoaringBitmap::new();
        for slot in dead {
            self.remove_series(slot, &mut labels);
        }
        let gone = self.labels.remove(dead, &labels);
        self.verdicts.forget(&gone, &self.labels);
        self.live -= dead;
        let Head { slab, table, .. } = self;
        if table.capacity() > table.len() * 4 {
            table.shrink_to(table.len() * 2, |slot| slab.get(*slot).map_or(0, |series| series.hash as u64));
        }
    }

    fn remove_series(&mut self, slot: Slot, labels: &mut RoaringBitmap) {
        let Some(series) = self.slab.get(slot) else { return };
        let hash = series.hash;
        if let Ok(entry) = self.table.find_entry(hash as u64, |s| *s == slot) {
            entry.remove();
        }
        let Some(series) = self.slab.remove(slot) else { return };
        labels.extend(series.labels.iter().copied());
    }
}
