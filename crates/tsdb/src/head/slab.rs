//! Records in pages, found by slot number.

use super::Slot;
use crate::encoding::allocated_bytes;

const PAGE_BITS: u32 = 10;
/// Records in a page.
pub(super) const PAGE_SLOTS: usize = 1 << PAGE_BITS;

/// Grows by a page at a time, so that nothing is ever moved. A page in which nothing lives gives its memory back.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    pages: Vec<Page<T>>,
    free: Vec<Slot>,
}

#[derive(Debug)]
struct Page<T> {
    records: Vec<Option<T>>,
    live: u32,
}

impl<T> Page<T> {
    /// Makes room for a record, by small steps, of sizes that allocators have: a tenant of few series has one page, and stays small.
    fn reserve(&mut self, index: usize) {
        if index >= self.records.capacity() {
            let wanted = (index + 1 + index / 8) * size_of::<Option<T>>();
            let room = (allocated_bytes(wanted) / size_of::<Option<T>>()).min(PAGE_SLOTS);
            self.records.reserve_exact(room - self.records.len());
        }
    }

    fn put(&mut self, index: usize, value: T) {
        self.reserve(index);
        if index >= self.records.len() {
            self.records.resize_with(index + 1, || None);
        }
        self.records[index] = Some(value);
        self.live += 1;
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { pages: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&T> {
        self.pages.get((slot >> PAGE_BITS) as usize)?.records.get(slot as usize % PAGE_SLOTS)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.pages.get_mut((slot >> PAGE_BITS) as usize)?.records.get_mut(slot as usize % PAGE_SLOTS)?.as_mut()
    }

    pub(crate) fn insert(&mut self, value: T) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.pages[(slot >> PAGE_BITS) as usize].put(slot as usize % PAGE_SLOTS, value);
            return slot;
        }
        if self.pages.last().is_none_or(|page| page.records.len() == PAGE_SLOTS) {
            let capacity = if self.pages.is_empty() { 0 } else { PAGE_SLOTS };
            self.pages.push(Page { records: Vec::with_capacity(capacity), live: 0 });
        }
        let page_index = self.pages.len() - 1;
        let page = &mut self.pages[page_index];
        let index = page.records.len();
        page.put(index, value);
        ((page_index << PAGE_BITS) + index) as Slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<T> {
        let page = self.pages.get_mut((slot >> PAGE_BITS) as usize)?;
        let value = page.records.get_mut(slot as usize % PAGE_SLOTS)?.take()?;
        page.live -= 1;
        if page.live == 0 {
            page.records = Vec::new();
        }
        self.free.push(slot);
        Some(value)
    }

    /// Bytes of memory, without what the records refer to.
    pub(crate) fn bytes(&self) -> usize {
        let records: usize = self.pages.iter().map(|page| page.records.capacity()).sum();
        records * size_of::<Option<T>>() + self.free.capacity() * size_of::<Slot>()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.records.iter().flatten())
    }

    /// One more than the greatest slot ever used.
    pub(crate) fn end(&self) -> Slot {
        let full = self.pages.len().saturating_sub(1) << PAGE_BITS;
        (full + self.pages.last().map_or(0, |page| page.records.len())) as Slot
    }

    /// The pages, in order; only the last may be short.
    pub(crate) fn pages_mut(&mut self) -> impl Iterator<Item = &mut [Option<T>]> {
        self.pages.iter_mut().map(|page| page.records.as_mut_slice())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut T)> {
        let pages = self.pages.iter_mut().enumerate();
        pages.flat_map(|(p, page)| {
            let values = page.records.iter_mut().enumerate();
            values.filter_map(move |(i, value)| Some((((p << PAGE_BITS) + i) as Slot, value.as_mut()?)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_pages_give_memory_back_and_slots_are_used_again() {
        let record = |i: u32| [i; 16];
        let mut slab = Slab::default();
        let slots: Vec<Slot> = (0..5000).map(|i| slab.insert(record(i))).collect();
        let full = slab.bytes();
        slots[100..4800].iter().for_each(|slot| assert_eq!(slab.remove(*slot), Some(record(*slot))));
        assert!(slab.bytes() < full * 3 / 4 && slab.get(2000).is_none() && slab.get(50) == Some(&record(50)));
        slots[4800..].iter().for_each(|slot| _ = slab.remove(*slot));
        let again: Vec<Slot> = (0..4900).map(|i| slab.insert(record(10_000 + i))).collect();
        assert_eq!((slab.end(), slab.iter().count()), (5000, 5000));
        assert!(again.iter().zip(0..).all(|(slot, i)| slab.get(*slot) == Some(&record(10_000 + i))));
        assert_eq!(slab.insert(record(1)), 5000);
    }
}
