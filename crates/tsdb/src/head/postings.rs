//! Which series have a label value.

use foldhash::fast::FixedState;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use roaring::RoaringBitmap;

use super::Slot;
use super::symbols::Symbol;

/// Most values of a label that names instances belong to one series, which needs no bitmap.
#[derive(Debug)]
enum Slots {
    One(Slot),
    Many(Box<Many>),
}

/// The most values that a container of a bitmap keeps as a list.
const LIST_SLOTS: u32 = 4096;

/// A bitmap that mostly grows at its end.
#[derive(Debug)]
struct Many {
    slots: RoaringBitmap,
    /// The container that the newest slots went to, and how many: its list is appended to without a search.
    container: u32,
    pushed: u32,
}

impl Many {
    fn pair(first: Slot, second: Slot) -> Self {
        Many { slots: RoaringBitmap::from_iter([first, second]), container: second >> 16, pushed: 2 }
    }

    fn insert(&mut self, slot: Slot) {
        if slot >> 16 != self.container {
            (self.container, self.pushed) = (slot >> 16, 0);
        }
        self.pushed += 1;
        if self.pushed > LIST_SLOTS || self.slots.try_push(slot).is_err() {
            self.slots.insert(slot);
        }
    }
}

/// Slots by (name, value), and values by name.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    slots: HashMap<(Symbol, Symbol), Slots, FixedState>,
    values: HashMap<Symbol, RoaringBitmap, FixedState>,
}

impl Postings {
    pub(crate) fn insert(&mut self, name: Symbol, value: Symbol, slot: Slot) {
        match self.slots.entry((name, value)) {
            Entry::Vacant(vacant) => {
                vacant.insert(Slots::One(slot));
                self.values.entry(name).or_default().insert(value);
            }
            Entry::Occupied(mut occupied) => match occupied.get_mut() {
                Slots::Many(many) => many.insert(slot),
                Slots::One(one) => {
                    let both = Many::pair(*one, slot);
                    occupied.insert(Slots::Many(Box::new(both)));
                }
            },
        }
    }

    /// The names of all labels.
    pub(crate) fn names(&self) -> impl Iterator<Item = Symbol> {
        self.values.keys().copied()
    }

    /// The values of a label.
    pub(crate) fn values(&self, name: Symbol) -> impl Iterator<Item = Symbol> {
        self.values.get(&name).into_iter().flatten()
    }

    /// Adds the series that have a label value to `into`.
    pub(crate) fn union_into(&self, name: Symbol, value: Symbol, into: &mut RoaringBitmap) {
        match self.slots.get(&(name, value)) {
            None => {}
            Some(Slots::One(slot)) => {
                into.insert(*slot);
            }
            Some(Slots::Many(many)) => *into |= &many.slots,
        }
    }

    /// Whether any of some series has a label value.
    pub(crate) fn intersects(&self, name: Symbol, value: Symbol, among: &RoaringBitmap) -> bool {
        match self.slots.get(&(name, value)) {
            None => false,
            Some(Slots::One(slot)) => among.contains(*slot),
            Some(Slots::Many(many)) => !many.slots.is_disjoint(among),
        }
    }

    /// Forgets series that had some of `pairs`.
    pub(crate) fn remove(&mut self, dead: &RoaringBitmap, pairs: &HashSet<(Symbol, Symbol), FixedState>) {
        for pair in pairs {
            let Some(slots) = self.slots.get_mut(pair) else { continue };
            let emptied = match slots {
                Slots::One(slot) => dead.contains(*slot),
                Slots::Many(many) => {
                    many.slots -= dead;
                    many.slots.is_empty()
                }
            };
            if emptied {
                self.slots.remove(pair);
                self.remove_value(pair.0, pair.1);
            }
        }
        self.slots.shrink_to(self.slots.len() * 2);
    }

    fn remove_value(&mut self, name: Symbol, value: Symbol) {
        if let Some(values) = self.values.get_mut(&name) {
            values.remove(value);
            if values.is_empty() {
                self.values.remove(&name);
            }
        }
    }
}
