//! Label sets by number. Most are picked out of larger ones, and few of these are new: only a new one is made.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};
use thanoxide_model::Labels;

/// Numbers label sets in the order in which they come first.
#[derive(Default)]
pub(crate) struct LabelSets {
    numbers: HashMap<Labels, usize, foldhash::fast::RandomState>,
    picked: Vec<u8>,
}

/// Labels that are not made yet, packed as in [`Labels::as_packed`].
struct Picked<'a>(&'a [u8]);

impl Hash for Picked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<Labels> for Picked<'_> {
    fn equivalent(&self, labels: &Labels) -> bool {
        // Comparing no bytes where no memory is takes processors with masked loads 80 ns.
        let packed = labels.as_packed();
        self.0.len() == packed.len() && (packed.is_empty() || self.0 == packed)
    }
}

impl LabelSets {
    /// The number of a set, and whether it is new.
    pub(crate) fn number(&mut self, labels: &Labels) -> (usize, bool) {
        if let Some(number) = self.numbers.get(labels) {
            return (*number, false);
        }
        let number = self.numbers.len();
        self.numbers.insert(labels.clone(), number);
        (number, true)
    }

    /// The number of the set that `pick` packs into an empty buffer, and the set itself if it is new.
    pub(crate) fn number_picked(&mut self, pick: impl FnOnce(&mut Vec<u8>)) -> (usize, Option<Labels>) {
        if let Some(number) = self.find_picked(pick) {
            return (number, None);
        }
        let (number, labels) = (self.numbers.len(), Labels::from_packed(&self.picked));
        self.numbers.insert(labels.clone(), number);
        (number, Some(labels))
    }

    /// The number of the set that `pick` packs into an empty buffer, if it has one.
    pub(crate) fn find_picked(&mut self, pick: impl FnOnce(&mut Vec<u8>)) -> Option<usize> {
        self.picked.clear();
        pick(&mut self.picked);
        self.numbers.get(&Picked(&self.picked)).copied()
    }

    /// How many sets there are.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_number_however_it_comes() {
        let mut sets = LabelSets::default();
        let labels = Labels::from_pairs([("a", "1"), ("b", "2")]);
        let pick = |name: &'static str| {
            let labels = labels.clone();
            move |into: &mut Vec<u8>| labels.filter_into(into, |n| n == name.as_bytes())
        };
        let a = Labels::from_pairs([("a", "1")]);
        assert_eq!(sets.number_picked(pick("a")), (0, Some(a.clone())));
        assert_eq!(sets.number_picked(pick("b")), (1, Some(Labels::from_pairs([("b", "2")]))));
        assert_eq!(sets.number(&a), (0, false));
        assert_eq!(sets.number(&labels), (2, true));
        assert_eq!((sets.number_picked(pick("a")), sets.find_picked(pick("c"))), ((0, None), None));
        assert_eq!(sets.len(), 3);
    }
}
