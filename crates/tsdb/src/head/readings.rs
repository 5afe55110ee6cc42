//! Readers that take a head slice by slice, and still see one moment of it.
//!
//! A reader takes [`SLICE_SERIES`] at a time under the head's lock, and gives the lock back between. Whoever is about to change a series
//! that a reader has yet to come to takes it for that reader first, as it was. So nobody waits for a whole read, and a series costs
//! a writer more at most once for each reader.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use thanoxide_model::Matcher;

use super::{Head, Slot};
use crate::chunk_store::{Files, HeadSeries};

/// About half a millisecond.
const SLICE_SERIES: usize = 2048;

/// A read that goes on. Once it is dropped, nobody takes anything for it any more.
#[derive(Debug)]
pub(crate) struct Reading {
    min_ms: i64,
    max_ms: i64,
    /// Blocks hold what is older.
    visible_from_ms: i64,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    wanted: RoaringBitmap,
    series: Vec<HeadSeries>,
    /// All files that `series` refer to.
    files: Arc<Files>,
}

impl Progress {
    /// The files of this moment; those from before may be gone from among them.
    fn note_files(&mut self, now: Arc<Files>) {
        if Arc::ptr_eq(&self.files, &now) {
            return;
        }
        let mut all = Files::clone(&now);
        all.extend(self.files.iter().map(|(number, file)| (*number, Arc::clone(file))));
        self.files = if all.len() == now.len() { now } else { Arc::new(all) };
    }
}

impl Reading {
    /// Takes a series as it is now, unless it is not wanted or taken already.
    fn keep(&self, head: &Head, slot: Slot) {
        let mut progress = self.progress.lock();
        if progress.wanted.remove(slot) {
            progress.series.extend(head.gather_one(slot, self.visible_from_ms, self.min_ms, self.max_ms));
            progress.note_files(head.store.files());
        }
    }

    /// The series, in no order, with the files that have their chunks.
    pub(crate) fn finish(self: Arc<Self>) -> (Vec<HeadSeries>, Arc<Files>) {
        let mut progress = self.progress.lock();
        (std::mem::take(&mut progress.series), Arc::clone(&progress.files))
    }
}

/// Who reads the head at the moment.
#[derive(Debug, Default)]
pub(super) struct Readings(Mutex<Vec<Weak<Reading>>>);

impl Readings {
    #[inline]
    pub(super) fn is_empty(&mut self) -> bool {
        self.0.get_mut().is_empty()
    }

    fn note(&self, reading: &Arc<Reading>, goes_on: bool) {
        let mut known = self.0.lock();
        let place = known.iter().position(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(reading)));
        match (goes_on, place) {
            (true, None) => known.push(Arc::downgrade(reading)),
            (false, Some(place)) => drop(known.swap_remove(place)),
            _ => {}
        }
    }
}

impl Head {
    /// Begins to read the series that satisfy all matchers and have samples in `min_ms..=max_ms`, as they are now:
    /// [`Head::read_on`] until that is all.
    pub(crate) fn begin_reading(&self, matchers: &[Matcher], min_ms: i64, max_ms: i64) -> Arc<Reading> {
        let (wanted, files) = (self.matching(matchers), self.store.files());
        let progress = Mutex::new(Progress { wanted, series: Vec::new(), files });
        Arc::new(Reading { min_ms, max_ms, visible_from_ms: self.visible_from_ms, progress })
    }

    /// Takes the next series. False once there are no more; until then changes are noted for the reading.
    pub(crate) fn read_on(&self, reading: &Arc<Reading>) -> bool {
        self.read_some(reading, SLICE_SERIES)
    }

    fn read_some(&self, reading: &Arc<Reading>, most_series: usize) -> bool {
        let mut progress = reading.progress.lock();
        let slots: Vec<Slot> = progress.wanted.iter().take(most_series).collect();
        progress.wanted.remove_smallest(slots.len() as u64);
        let of_slot = |slot| self.gather_one(slot, reading.visible_from_ms, reading.min_ms, reading.max_ms);
        progress.series.extend(slots.into_iter().filter_map(of_slot));
        progress.note_files(self.store.files());
        let goes_on = !progress.wanted.is_empty();
        self.readings.note(reading, goes_on);
        goes_on
    }

    /// Comes before each change of what readers see of a series.
    #[inline]
    pub(super) fn keep_for_readers(&mut self, slot: Slot) {
        if !self.readings.is_empty() {
            self.keep_all_for_readers(std::iter::once(slot));
        }
    }

    /// The same for several series.
    #[cold]
    pub(super) fn keep_all_for_readers(&mut self, slots: impl Iterator<Item = Slot>) {
        let readings = self.readings.0.get_mut();
        readings.retain(|reading| reading.strong_count() > 0);
        let known: Vec<Arc<Reading>> = readings.iter().filter_map(Weak::upgrade).collect();
        if !known.is_empty() {
            slots.for_each(|slot| known.iter().for_each(|reading| reading.keep(self, slot)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thanoxide_env::SystemDisk;
    use thanoxide_model::write_batch::WriteBatchBuilder;
    use thanoxide_model::{Labels, Sample};

    use super::*;
    use crate::chunk_store::{ChunkStore, load};
    use crate::head::{AppendLimits, LateLimits, Scratch, SelectedSeries, sort_head_series};
    use crate::log::Position;
    use crate::tombstones::Interval;

    const SERIES: u32 = 12;
    const RANGE_MS: i64 = 1000;

    /// What may happen between two slices of a reader.
    #[derive(Clone, Debug)]
    enum Change {
        /// Samples of some series at a time, in order or late.
        Append {
            series: Vec<u32>,
            time_ms: i64,
        },
        Delete {
            series: u32,
            range: Interval,
        },
        Truncate(i64),
        Seal,
        FreezeLate,
        DropLate,
    }

    fn change() -> impl Strategy<Value = Change> {
        let series = proptest::collection::vec(0..SERIES, 1..6);
        prop_oneof![
            8 => (series, 0..4 * RANGE_MS).prop_map(|(series, time_ms)| Change::Append { series, time_ms }),
            1 => (0..SERIES, 0..4 * RANGE_MS, 0..RANGE_MS).prop_map(|(series, min_time_ms, long)| Change::Delete {
                series,
                range: Interval { min_time_ms, max_time_ms: min_time_ms + long },
            }),
            1 => (0..3 * RANGE_MS).prop_map(Change::Truncate),
            1 => Just(Change::Seal),
            1 => Just(Change::FreezeLate),
            1 => Just(Change::DropLate),
        ]
    }

    fn apply(head: &mut Head, change: &Change, scratch: &mut Scratch) {
        match change {
            Change::Append { series, time_ms } => {
                let mut builder = WriteBatchBuilder::default();
                for i in series {
                    let labels = Labels::from_pairs([("a", (i % 3).to_string()), ("i", i.to_string())]);
                    builder.push(&labels, &[Sample { timestamp_ms: *time_ms, value: *time_ms as f64 }]);
                }
                let late = LateLimits { window_ms: 2 * RANGE_MS, refuse: false };
                let limits = AppendLimits { max_time_ms: i64::MAX, max_series: usize::MAX, late, keep_starts: false };
                head.append(&builder.build(), &limits, scratch);
            }
            Change::Delete { series, range } => {
                head.delete(&[Matcher::equal(b"i", series.to_string().as_bytes())], *range).unwrap();
            }
            Change::Truncate(time_ms) => head.truncate(*time_ms),
            Change::Seal => head.seal_chunks(),
            Change::FreezeLate => drop(head.freeze_late(Position::default())),
            Change::DropLate => head.drop_frozen_late(),
        }
    }

    fn loaded(mut series: Vec<HeadSeries>, files: &Arc<Files>) -> Vec<SelectedSeries> {
        sort_head_series(&mut series);
        load(files, series).unwrap()
    }

    proptest! {
        /// Whatever happens meanwhile, readers of slices see what the head was when they began.
        #[test]
        fn slices_are_of_one_moment(
            before in proptest::collection::vec(change(), 1..40),
            during in proptest::collection::vec((change(), any::<bool>(), any::<bool>()), 1..40),
            slice in 1usize..5,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(ChunkStore::open(Arc::new(SystemDisk), dir.path()).unwrap());
            let mut head = Head::new(RANGE_MS, i64::MIN, 7, Arc::clone(&store)).with_late_chunks(4);
            let mut scratch = Scratch::default();
            before.iter().for_each(|change| apply(&mut head, change, &mut scratch));
            let mut readings = Vec::new();
            for (change, begins, reads) in &during {
                if *begins {
                    let (min_ms, max_ms) = if *reads { (RANGE_MS, 2 * RANGE_MS) } else { (i64::MIN, i64::MAX) };
                    let reading = head.begin_reading(&[], min_ms, max_ms);
                    head.read_some(&reading, slice);
                    readings.push((loaded(head.gather(&[], min_ms, max_ms), &store.files()), reading));
                }
                apply(&mut head, change, &mut scratch);
                if *reads && let Some((_, reading)) = readings.first() {
                    head.read_some(reading, slice);
                }
            }
            for (expected, reading) in readings {
                while head.read_some(&reading, slice) {}
                let (series, files) = reading.finish();
                prop_assert_eq!(loaded(series, &files), expected);
            }
            prop_assert!(head.readings.is_empty());
        }
    }
}
