//! Which series have a label value.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use roaring::RoaringBitmap;

use super::Slot;
use super::symbols::Symbol;

/// Most values of a label that names instances belong to one series, which needs no bitmap.
#[derive(Debug)]
enum Slots {
    One(Slot),
    Many(Box<RoaringBitmap>),
}

/// Slots by (name, value), and values by name.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    slots: HashMap<(Symbol, Symbol), Slots, FixedState>,
    values: HashMap<Symbol, RoaringBitmap, FixedState>,
}

impl Postings {
    pub(crate) fn insert(&mut self, name: Symbol, value: Symbol, slot: Slot) {
        let Some(slots) = self.slots.get_mut(&(name, value)) else {
            self.slots.insert((name, value), Slots::One(slot));
            self.values.entry(name).or_default().insert(value);
            return;
        };
        match slots {
            Slots::One(one) => *slots = Slots::Many(Box::new(RoaringBitmap::from_iter([*one, slot]))),
            Slots::Many(many) => {
                many.insert(slot);
            }
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
            Some(Slots::Many(many)) => *into |= many.as_ref(),
        }
    }

    /// Whether any of some series has a label value.
    pub(crate) fn intersects(&self, name: Symbol, value: Symbol, among: &RoaringBitmap) -> bool {
        match self.slots.get(&(name, value)) {
            None => false,
            Some(Slots::One(slot)) => among.contains(*slot),
            Some(Slots::Many(many)) => !many.is_disjoint(among),
        }
    }

    /// Forgets series that had some of `pairs`.
    pub(crate) fn remove(&mut self, dead: &RoaringBitmap, pairs: &HashSet<(Symbol, Symbol), FixedState>) {
        for pair in pairs {
            let Some(slots) = self.slots.get_mut(pair) else { continue };
            let emptied = match slots {
                Slots::One(slot) => dead.contains(*slot),
                Slots::Many(many) => {
                    **many -= dead;
                    many.is_empty()
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
