//! What making some series will ask of the labels, looked up for all of them before the first is made.
//!
//! Step by step: a load that no cache answers does not wait for those of other labels, as it would between two series.

use thanoxide_model::Labels;

use super::{LabelPairs, Name, Pair};
use crate::head::Slot;

/// A label of a series to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ahead {
    /// The series noted before has it at the same place.
    Same,
    /// Its name is known, its value may be.
    Named { name: Name, hash: u32 },
    /// Its name is new.
    New,
}

/// Labels of some series to be made.
#[derive(Debug, Default)]
pub(crate) struct LabelsAhead {
    labels: Vec<Ahead>,
    /// The names of the series noted last.
    names: Vec<Option<Name>>,
    found: Vec<Pair>,
}

impl LabelsAhead {
    pub(crate) fn clear(&mut self) {
        self.labels.clear();
    }

    /// How many labels are noted.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// What is noted of a series whose labels begin here.
    pub(crate) fn from(&self, start: usize) -> &[Ahead] {
        self.labels.get(start..).unwrap_or_default()
    }
}

impl LabelPairs {
    /// Notes the packed labels of a series, and of the one noted before.
    pub(crate) fn note_ahead(&self, packed: &[u8], before: &[u8], ahead: &mut LabelsAhead) {
        let mut others = Labels::iter_packed(before);
        for (place, (name, value)) in Labels::iter_packed(packed).enumerate() {
            let other = others.next();
            let beside =
                other.and_then(|(known, _)| (known == name).then(|| ahead.names.get(place).copied().flatten()));
            let known = beside.unwrap_or_else(|| self.find_name(name));
            match ahead.names.get_mut(place) {
                Some(slot) => *slot = known,
                None => ahead.names.push(known),
            }
            ahead.labels.push(match known {
                _ if other == Some((name, value)) => Ahead::Same,
                Some(name) => Ahead::Named { name, hash: self.hash(value, Some(name)) },
                None => Ahead::New,
            });
        }
    }

    /// Reads what inserting all that is noted will look at.
    pub(crate) fn warm(&self, ahead: &mut LabelsAhead) {
        let LabelsAhead { labels, found, .. } = ahead;
        let hashes =
            || labels.iter().filter_map(|label| if let Ahead::Named { hash, .. } = label { Some(*hash) } else { None });
        let seen = hashes().fold(0, |seen, hash| seen ^ self.by_label.glance(hash));
        found.clear();
        found.extend(hashes().filter_map(|hash| self.by_label.find(hash, |_| true)));
        let entries = || found.iter().filter_map(|pair| self.pairs.get(*pair));
        let seen = entries().fold(seen, |seen, entry| seen ^ entry.name.get());
        let seen = entries().fold(seen, |seen, entry| {
            let len = self.values(entry.name).get(entry.value).len() as u32;
            seen ^ len ^ self.lists.glance(&entry.slots)
        });
        std::hint::black_box(seen);
    }

    /// As [`LabelPairs::insert`], with what was noted; `beside` is the label of the series noted before, if that is the one made last.
    pub(crate) fn insert_ahead(
        &mut self,
        ahead: Ahead,
        (name, value): (&[u8], &[u8]),
        beside: Option<Pair>,
        slot: Slot,
    ) -> Pair {
        match (ahead, beside) {
            (Ahead::Same, Some(pair)) => {
                self.add(pair, slot);
                pair
            }
            (Ahead::Named { name, hash }, _) => self.insert_hashed(name, value, hash, slot),
            _ => self.insert(name, value, None, slot),
        }
    }
}
