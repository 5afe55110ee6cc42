//! Lists of series: one that most values of a label that names instances need, or a bitmap.

use roaring::RoaringBitmap;

use super::Slot;
use super::slab::Slab;

/// A slot, or with the highest bit set the number of a bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots(u32);

const IS_BITMAP: u32 = 1 << 31;

impl Slots {
    /// A list of one.
    pub(crate) fn one(slot: Slot) -> Self {
        Slots(slot)
    }

    fn bitmap(self) -> Option<Slot> {
        (self.0 & IS_BITMAP != 0).then_some(self.0 & !IS_BITMAP)
    }
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

/// The bitmaps of all lists that need one.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    bitmaps: Slab<Many>,
}

impl Lists {
    /// Adds a series to a list that does not have it.
    pub(crate) fn insert(&mut self, slots: &mut Slots, slot: Slot) {
        match slots.bitmap() {
            None => *slots = Slots(IS_BITMAP | self.bitmaps.insert(Many::pair(slots.0, slot))),
            Some(bitmap) => {
                if let Some(many) = self.bitmaps.get_mut(bitmap) {
                    many.insert(slot);
                }
            }
        }
    }

    fn get(&self, slots: &Slots) -> Result<&RoaringBitmap, Slot> {
        slots.bitmap().and_then(|bitmap| self.bitmaps.get(bitmap)).map(|many| &many.slots).ok_or(slots.0)
    }

    /// How many series a list has.
    pub(crate) fn count(&self, slots: &Slots) -> u64 {
        self.get(slots).map_or(1, RoaringBitmap::len)
    }

    /// All series of some lists.
    pub(crate) fn union<'a>(&self, lists: impl Iterator<Item = &'a Slots>) -> RoaringBitmap {
        let (mut all, mut single) = (RoaringBitmap::new(), Vec::new());
        for slots in lists {
            match self.get(slots) {
                Ok(many) => all |= many,
                Err(slot) => single.push(slot),
            }
        }
        // Sorted they are added a container at a time.
        single.sort_unstable();
        let single = RoaringBitmap::from_sorted_iter(single).unwrap_or_default();
        if all.is_empty() { single } else { all | single }
    }

    /// Whether any of some series is in a list.
    pub(crate) fn intersects(&self, slots: &Slots, among: &RoaringBitmap) -> bool {
        match self.get(slots) {
            Ok(many) => !many.is_disjoint(among),
            Err(slot) => among.contains(slot),
        }
    }

    /// Takes series off a list. Says whether none is left; the list is then forgotten.
    pub(crate) fn subtract(&mut self, slots: &mut Slots, dead: &RoaringBitmap) -> bool {
        let Some(bitmap) = slots.bitmap() else { return dead.contains(slots.0) };
        let Some(many) = self.bitmaps.get_mut(bitmap) else { return true };
        many.slots -= dead;
        match many.slots.len() {
            0 => {
                self.bitmaps.remove(bitmap);
                true
            }
            1 => {
                *slots = Slots(many.slots.min().unwrap_or_default());
                self.bitmaps.remove(bitmap);
                false
            }
            _ => false,
        }
    }
}
