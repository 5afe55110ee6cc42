//! Lists of series: one, which most values of a label that names instances need; a few; or a bitmap.

use roaring::RoaringBitmap;

use super::Slot;
use super::slab::Slab;

/// A slot, or with the highest bit set the number of a longer list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots(u32);

const IS_LIST: u32 = 1 << 31;

impl Slots {
    /// A list of one.
    pub(crate) fn one(slot: Slot) -> Self {
        Slots(slot)
    }

    fn list(self) -> Option<Slot> {
        (self.0 & IS_LIST != 0).then_some(self.0 & !IS_LIST)
    }
}

/// Longer lists are bitmaps, which take some hundred bytes however few they hold.
const MOST_FEW: usize = 128;
/// The most values that a container of a bitmap keeps as a list.
const LIST_SLOTS: u32 = 4096;

/// Two series or more.
#[derive(Debug)]
enum Many {
    /// Ascending.
    Few(Vec<Slot>),
    Bitmap(Box<Growing>),
}

/// A bitmap that mostly grows at its end.
#[derive(Debug)]
struct Growing {
    slots: RoaringBitmap,
    /// The container that the newest slots went to, and how many: its list is appended to without a search.
    container: u32,
    pushed: u32,
}

impl Growing {
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

impl Many {
    fn bitmap(slots: impl IntoIterator<Item = Slot>) -> Self {
        let slots = RoaringBitmap::from_iter(slots);
        let container = slots.max().unwrap_or_default() >> 16;
        Many::Bitmap(Box::new(Growing { slots, container, pushed: MOST_FEW as u32 }))
    }

    fn insert(&mut self, slot: Slot) {
        match self {
            Many::Few(few) if few.len() == MOST_FEW => *self = Many::bitmap(few.iter().copied().chain([slot])),
            Many::Few(few) => insert_few(few, slot),
            Many::Bitmap(bitmap) => bitmap.insert(slot),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Many::Few(few) => few.len() as u64,
            Many::Bitmap(bitmap) => bitmap.slots.len(),
        }
    }

    /// Takes series off; what is left in another form where that is smaller.
    fn subtract(&mut self, dead: &RoaringBitmap) {
        match self {
            Many::Few(few) => {
                few.retain(|slot| !dead.contains(*slot));
                few.shrink_to(few.len() * 2);
            }
            Many::Bitmap(bitmap) => {
                bitmap.slots -= dead;
                if bitmap.slots.len() <= MOST_FEW as u64 / 2 {
                    *self = Many::Few(bitmap.slots.iter().collect());
                }
            }
        }
    }

    fn first(&self) -> Option<Slot> {
        match self {
            Many::Few(few) => few.first().copied(),
            Many::Bitmap(bitmap) => bitmap.slots.min(),
        }
    }
}

fn insert_few(few: &mut Vec<Slot>, slot: Slot) {
    if few.len() == few.capacity() {
        few.reserve_exact(few.len() / 2 + 1);
    }
    match few.last() {
        Some(last) if *last > slot => {
            let at = few.partition_point(|other| *other < slot);
            few.insert(at, slot);
        }
        _ => few.push(slot),
    }
}

/// All lists of more than one.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    lists: Slab<Many>,
}

impl Lists {
    /// Adds a series to a list that does not have it.
    pub(crate) fn insert(&mut self, slots: &mut Slots, slot: Slot) {
        match slots.list() {
            None => {
                let pair = vec![slots.0.min(slot), slots.0.max(slot)];
                *slots = Slots(IS_LIST | self.lists.insert(Many::Few(pair)));
            }
            Some(list) => {
                if let Some(many) = self.lists.get_mut(list) {
                    many.insert(slot);
                }
            }
        }
    }

    /// Something of the end of a list, where the next series goes.
    #[inline]
    pub(crate) fn glance(&self, slots: &Slots) -> Slot {
        match self.get(slots) {
            Ok(Many::Few(few)) => few.last().copied().unwrap_or_default(),
            Ok(Many::Bitmap(bitmap)) => bitmap.container,
            Err(slot) => slot,
        }
    }

    /// Bytes of memory, those of bitmaps about.
    pub(crate) fn bytes(&self) -> usize {
        let list = |many: &Many| match many {
            Many::Few(few) => few.capacity() * size_of::<Slot>(),
            Many::Bitmap(bitmap) => bitmap.slots.serialized_size() + size_of::<Growing>(),
        };
        self.lists.bytes() + self.lists.iter().map(list).sum::<usize>()
    }

    fn get(&self, slots: &Slots) -> Result<&Many, Slot> {
        slots.list().and_then(|list| self.lists.get(list)).ok_or(slots.0)
    }

    /// How many series a list has.
    pub(crate) fn count(&self, slots: &Slots) -> u64 {
        self.get(slots).map_or(1, Many::len)
    }

    /// All series of some lists.
    pub(crate) fn union<'a>(&self, lists: impl Iterator<Item = &'a Slots>) -> RoaringBitmap {
        let (mut all, mut single) = (RoaringBitmap::new(), Vec::new());
        for slots in lists {
            match self.get(slots) {
                Ok(Many::Bitmap(bitmap)) => all |= &bitmap.slots,
                Ok(Many::Few(few)) => single.extend_from_slice(few),
                Err(slot) => single.push(slot),
            }
        }
        // Sorted they are added a container at a time.
        single.sort_unstable();
        single.dedup();
        let single = RoaringBitmap::from_sorted_iter(single).unwrap_or_default();
        if all.is_empty() { single } else { all | single }
    }

    /// Whether any of some series is in a list.
    pub(crate) fn intersects(&self, slots: &Slots, among: &RoaringBitmap) -> bool {
        match self.get(slots) {
            Ok(Many::Bitmap(bitmap)) => !bitmap.slots.is_disjoint(among),
            Ok(Many::Few(few)) => few.iter().any(|slot| among.contains(*slot)),
            Err(slot) => among.contains(slot),
        }
    }

    /// Takes series off a list. Says whether none is left; the list is then forgotten.
    pub(crate) fn subtract(&mut self, slots: &mut Slots, dead: &RoaringBitmap) -> bool {
        let Some(list) = slots.list() else { return dead.contains(slots.0) };
        let Some(many) = self.lists.get_mut(list) else { return true };
        many.subtract(dead);
        let (len, first) = (many.len(), many.first());
        if len <= 1 {
            self.lists.remove(list);
        }
        match first {
            Some(slot) if len == 1 => *slots = Slots(slot),
            _ => {}
        }
        len == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_list_is_a_set_whatever_its_form(
            first in 0u32..400,
            steps in proptest::collection::vec((any::<bool>(), 0u32..400, 1u32..80), 1..60),
        ) {
            let mut lists = Lists::default();
            let (mut slots, mut set) = (Slots::one(first), RoaringBitmap::from_iter([first]));
            for (insert, from, count) in steps {
                let range = RoaringBitmap::from_iter(from..from + count);
                if insert {
                    for slot in &range - &set {
                        lists.insert(&mut slots, slot);
                    }
                    set |= &range;
                } else if !set.is_subset(&range) {
                    prop_assert!(!lists.subtract(&mut slots, &range));
                    set -= &range;
                }
                prop_assert_eq!(lists.count(&slots), set.len());
                prop_assert_eq!(&lists.union([slots].iter()), &set);
                prop_assert_eq!(lists.intersects(&slots, &range), !set.is_disjoint(&range));
            }
            prop_assert!(lists.subtract(&mut slots, &set));
        }
    }
}
