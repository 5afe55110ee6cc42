//! Each label once, a name with a value, under a number; and which series have it.

mod ahead;

use hashbrown::HashTable;
use roaring::RoaringBitmap;
use std::cmp::Ordering;
use std::num::NonZeroU32;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) use ahead::{Ahead, LabelsAhead};

use super::Slot;
use super::numbers::Numbers;
use super::postings::{Lists, Slots};
use super::slab::Slab;
use super::texts::{Place, Texts};

/// The number of a label. Numbers of labels without series are given again only to labels made after
/// [`LabelPairs::remove`] ended.
pub(crate) type Pair = u32;

/// The number of a label name, from 1.
pub(crate) type Name = NonZeroU32;

#[derive(Debug)]
struct Entry {
    name: Name,
    value: Place,
    slots: Slots,
}

#[derive(Debug)]
struct NameEntry {
    text: Box<[u8]>,
    hash: u32,
    values: Texts,
}

/// All labels of a head.
#[derive(Debug)]
pub(crate) struct LabelPairs {
    key: u64,
    pairs: Slab<Entry>,
    by_label: Numbers,
    names: Slab<NameEntry>,
    by_name: HashTable<Slot>,
    lists: Lists,
}

/// A name's number and its place in the slab.
fn name_of(slot: Slot) -> Name {
    NonZeroU32::MIN.saturating_add(slot)
}

fn slot_of(name: Name) -> Slot {
    name.get() - 1
}

impl LabelPairs {
    pub(crate) fn new(key: u64) -> Self {
        LabelPairs {
            key,
            pairs: Slab::default(),
            by_label: Numbers::default(),
            names: Slab::default(),
            by_name: HashTable::new(),
            lists: Lists::default(),
        }
    }

    /// Name and value of a label.
    pub(crate) fn text(&self, pair: Pair) -> (&[u8], &[u8]) {
        let entry = self.pairs.get(pair);
        let texts =
            entry.and_then(|e| self.names.get(slot_of(e.name)).map(|name| (&*name.text, name.values.get(e.value))));
        texts.unwrap_or_default()
    }

    pub(crate) fn name_of(&self, pair: Pair) -> Option<Name> {
        self.pairs.get(pair).map(|entry| entry.name)
    }

    pub(crate) fn value(&self, pair: Pair) -> &[u8] {
        self.text(pair).1
    }

    /// The names in use.
    pub(crate) fn names(&self) -> impl Iterator<Item = Name> {
        self.by_name.iter().map(|slot| name_of(*slot))
    }

    pub(crate) fn name_text(&self, name: Name) -> &[u8] {
        self.names.get(slot_of(name)).map_or(&[], |entry| &entry.text)
    }

    /// The values of a name.
    pub(crate) fn values(&self, name: Name) -> &Texts {
        static NONE: Texts = Texts::new();
        self.names.get(slot_of(name)).map_or(&NONE, |entry| &entry.values)
    }

    pub(crate) fn find_name(&self, text: &[u8]) -> Option<Name> {
        self.find_name_hashed(text, self.hash(text, None))
    }

    fn find_name_hashed(&self, text: &[u8], hash: u32) -> Option<Name> {
        let same = |slot: &Slot| self.names.get(*slot).is_some_and(|known| known.hash == hash && *known.text == *text);
        self.by_name.find(spread(hash), same).map(|slot| name_of(*slot))
    }

    pub(crate) fn find(&self, name: Name, value: &[u8]) -> Option<Pair> {
        self.find_hashed(name, value, self.hash(value, Some(name)))
    }

    fn find_hashed(&self, name: Name, value: &[u8], hash: u32) -> Option<Pair> {
        let texts = self.values(name);
        self.by_label.find(hash, |pair| {
            self.pairs.get(pair).is_some_and(|known| known.name == name && texts.get(known.value) == value)
        })
    }

    fn hash(&self, text: &[u8], name: Option<Name>) -> u32 {
        let salt = name.map_or(0, |name| u64::from(name.get()).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        xxh3_64_with_seed(text, self.key ^ salt) as u32
    }

    /// Notes that a series has a label. `hint` is the label that the series beside it has at the same place: likely the
    /// same, or one of the same name.
    pub(crate) fn insert(&mut self, name: &[u8], value: &[u8], hint: Option<Pair>, slot: Slot) -> Pair {
        let beside = hint.and_then(|hint| self.pairs.get(hint).map(|entry| (hint, entry.name, entry.value)));
        let beside = beside.filter(|(_, known, _)| self.name_text(*known) == name);
        let known = match beside {
            Some((hint, known, at)) if self.values(known).get(at) == value => Some(hint),
            _ => None,
        };
        if let Some(pair) = known {
            self.add(pair, slot);
            return pair;
        }
        let name = beside.map_or_else(|| self.intern_name(name), |(_, known, _)| known);
        self.insert_hashed(name, value, self.hash(value, Some(name)), slot)
    }

    fn insert_hashed(&mut self, name: Name, value: &[u8], hash: u32, slot: Slot) -> Pair {
        match self.find_hashed(name, value, hash) {
            Some(pair) => {
                self.add(pair, slot);
                pair
            }
            None => self.create(name, value, hash, slot),
        }
    }

    fn add(&mut self, pair: Pair, slot: Slot) {
        if let Some(entry) = self.pairs.get_mut(pair) {
            self.lists.insert(&mut entry.slots, slot);
        }
    }

    fn create(&mut self, name: Name, value: &[u8], hash: u32, slot: Slot) -> Pair {
        let pair = self.pairs.insert(Entry { name, value: Place::default(), slots: Slots::one(slot) });
        if let (Some(entry), Some(name)) = (self.pairs.get_mut(pair), self.names.get_mut(slot_of(name))) {
            entry.value = name.values.push(pair, value);
        }
        self.by_label.insert(hash, pair);
        pair
    }

    fn intern_name(&mut self, text: &[u8]) -> Name {
        let hash = self.hash(text, None);
        if let Some(name) = self.find_name_hashed(text, hash) {
            return name;
        }
        let slot = self.names.insert(NameEntry { text: Box::from(text), hash, values: Texts::new() });
        let LabelPairs { names, by_name, .. } = self;
        by_name.insert_unique(spread(hash), slot, |slot| spread(names.get(*slot).map_or(0, |entry| entry.hash)));
        name_of(slot)
    }

    /// All labels, in no order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = Pair> {
        self.by_label.iter()
    }

    /// Bytes of labels and names, with their texts.
    pub(crate) fn text_bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.text.len() + name.values.bytes()).sum();
        let by_name = self.by_name.capacity() * 8 / 7 * (size_of::<Slot>() + 1);
        names + self.pairs.bytes() + self.names.bytes() + self.by_label.bytes() + by_name
    }

    /// Bytes of the lists of series.
    pub(crate) fn list_bytes(&self) -> usize {
        self.lists.bytes()
    }

    /// How many series have a label.
    pub(crate) fn count(&self, pair: Pair) -> u64 {
        self.pairs.get(pair).map_or(0, |entry| self.lists.count(&entry.slots))
    }

    /// The series that have any of some labels.
    pub(crate) fn union(&self, pairs: impl Iterator<Item = Pair>) -> RoaringBitmap {
        self.lists.union(pairs.filter_map(|pair| self.pairs.get(pair)).map(|entry| &entry.slots))
    }

    /// Whether any of some series has a label.
    pub(crate) fn intersects(&self, pair: Pair, among: &RoaringBitmap) -> bool {
        self.pairs.get(pair).is_some_and(|entry| self.lists.intersects(&entry.slots, among))
    }

    /// Forgets series that had some of `pairs`. Returns the labels that are gone with them.
    pub(crate) fn remove(&mut self, dead: &RoaringBitmap, pairs: &RoaringBitmap) -> RoaringBitmap {
        let gone: RoaringBitmap = pairs.iter().filter(|pair| self.subtract(*pair, dead)).collect();
        let mut names = RoaringBitmap::new();
        for pair in &gone {
            names.extend(self.forget(pair));
        }
        for name in names {
            self.shrink_name(name);
        }
        self.by_label.shrink();
        gone
    }

    /// Says whether none is left.
    fn subtract(&mut self, pair: Pair, dead: &RoaringBitmap) -> bool {
        self.pairs.get_mut(pair).is_some_and(|entry| self.lists.subtract(&mut entry.slots, dead))
    }

    /// Forgets a label without series; its name's slot.
    fn forget(&mut self, pair: Pair) -> Option<Slot> {
        let entry = self.pairs.remove(pair)?;
        let hash = self.hash(self.values(entry.name).get(entry.value), Some(entry.name));
        self.by_label.remove(hash, pair);
        self.names.get_mut(slot_of(entry.name))?.values.remove(entry.value);
        Some(slot_of(entry.name))
    }

    fn shrink_name(&mut self, slot: Slot) {
        let LabelPairs { pairs, names, by_name, .. } = self;
        let Some(name) = names.get_mut(slot) else { return };
        if name.values.len() > 0 {
            return name.values.shrink(&mut |pair, place| {
                if let Some(entry) = pairs.get_mut(pair) {
                    entry.value = place;
                }
            });
        }
        if let Ok(found) = by_name.find_entry(spread(name.hash), |s| *s == slot) {
            found.remove();
        }
        names.remove(slot);
    }

    /// Prometheus's order of two series, by their sorted labels.
    pub(crate) fn compare(&self, left: &[Pair], right: &[Pair]) -> Ordering {
        let common = left.iter().zip(right).take_while(|(l, r)| l == r).count();
        match (left.get(common), right.get(common)) {
            (Some(l), Some(r)) => self.text(*l).cmp(&self.text(*r)),
            _ => left.len().cmp(&right.len()),
        }
    }
}

/// The table looks at the lowest and at the highest bits of a hash.
fn spread(hash: u32) -> u64 {
    u64::from(hash) | u64::from(hash) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_lives_as_long_as_its_series() {
        let mut labels = LabelPairs::new(7);
        let ax = labels.insert(b"a", b"x", None, 0);
        assert_eq!(labels.insert(b"a", b"x", None, 1), ax);
        assert_eq!(labels.insert(b"a", b"x", Some(ax), 2), ax);
        let ay = labels.insert(b"a", b"y", Some(ax), 3);
        let bx = labels.insert(b"b", b"x", Some(ax), 3);
        assert!(ax != ay && ay != bx && labels.count(ax) == 3);
        assert_eq!(labels.union([ax, bx].into_iter()).iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        let (dead, had) = (RoaringBitmap::from_iter([0, 3]), RoaringBitmap::from_iter([ax, ay, bx]));
        assert_eq!(labels.remove(&dead, &had), RoaringBitmap::from_iter([ay, bx]));
        assert_eq!((labels.count(ax), labels.find_name(b"b")), (2, None));
        let a = labels.find_name(b"a").unwrap();
        assert_eq!((labels.find(a, b"x"), labels.find(a, b"y")), (Some(ax), None));
        let cz = labels.insert(b"c", b"z", Some(ax), 0);
        assert_eq!(
            (labels.text(cz), labels.text(ax)),
            ((b"c".as_slice(), b"z".as_slice()), (b"a".as_slice(), b"x".as_slice()))
        );
    }
}
