//! Deleting samples of the head.
//!
//! As in Prometheus samples that came in order stay where they are: readers and cuts leave them out, and a deletion ends with
//! the newest sample that its series had. Late samples are dropped at once, so that later ones of the same times count.

use thanoxide_model::Matcher;

use super::{Head, Slot};
use crate::chunk::ChunkError;
use crate::log::deletions::{Deleted, Deletion, push_deletions};
use crate::tombstones::Interval;

impl Head {
    /// Deletes the samples of `range` of all series that satisfy all matchers. Gives what the log must hold of it.
    pub(crate) fn delete(&mut self, matchers: &[Matcher], range: Interval) -> Result<Vec<u8>, ChunkError> {
        let slots = self.matching(matchers);
        self.keep_all_for_readers(slots.iter());
        let deletions: Vec<Deletion> = slots.iter().flat_map(|slot| self.deletions(slot, range)).collect();
        deletions.iter().try_for_each(|deletion| self.apply(deletion))?;
        let mut payload = Vec::new();
        push_deletions(&mut payload, deletions);
        Ok(payload)
    }

    fn deletions(&self, slot: Slot, range: Interval) -> impl Iterator<Item = Deletion> + use<> {
        let series = self.slab.get(slot);
        let in_order = series.and_then(|series| {
            let min_time_ms = range.min_time_ms.max(series.min_time_ms()?);
            let max_time_ms = range.max_time_ms.min(series.max_time_ms()?);
            let range = Interval { min_time_ms, max_time_ms };
            (min_time_ms <= max_time_ms).then_some(Deletion {
                series: series.series_ref(),
                kind: Deleted::InOrder,
                range,
            })
        });
        let late = series.filter(|series| self.late.contains(series.series_ref()));
        let late = late.map(|series| Deletion { series: series.series_ref(), kind: Deleted::Late, range });
        in_order.into_iter().chain(late)
    }

    /// Applies a deletion whose series is named as the head names it.
    pub(super) fn apply(&mut self, deletion: &Deletion) -> Result<(), ChunkError> {
        match deletion.kind {
            Deleted::InOrder => self.deleted.add(deletion.series, deletion.range),
            Deleted::Late => self.late.delete(deletion.series, deletion.range)?,
        }
        Ok(())
    }

    /// What a snapshot holds of deletions: those of samples in order. The others are done.
    pub(crate) fn save_deletions(&self) -> Vec<u8> {
        let deletion = |series, range: &Interval| Deletion { series, kind: Deleted::InOrder, range: *range };
        let deleted = self.deleted.iter();
        let deletions = deleted.flat_map(|(series, ranges)| ranges.iter().map(move |range| deletion(series, range)));
        let mut payload = Vec::new();
        push_deletions(&mut payload, deletions);
        payload
    }
}
