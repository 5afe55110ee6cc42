//! Records in pages, found by slot number.

use super::Slot;

const PAGE_BITS: u32 = 10;
const PAGE_SLOTS: usize = 1 << PAGE_BITS;

/// Grows by a page at a time, so that nothing is ever moved.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    pages: Vec<Vec<Option<T>>>,
    free: Vec<Slot>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { pages: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(crate) fn get(&self, slot: Slot) -> Option<&T> {
        self.pages.get((slot >> PAGE_BITS) as usize)?.get(slot as usize % PAGE_SLOTS)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.pages.get_mut((slot >> PAGE_BITS) as usize)?.get_mut(slot as usize % PAGE_SLOTS)?.as_mut()
    }

    pub(crate) fn insert(&mut self, value: T) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.pages[(slot >> PAGE_BITS) as usize][slot as usize % PAGE_SLOTS] = Some(value);
            return slot;
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE_SLOTS) {
            // The first page grows as needed: a tenant of few series stays small.
            let capacity = if self.pages.is_empty() { 0 } else { PAGE_SLOTS };
            self.pages.push(Vec::with_capacity(capacity));
        }
        let page_index = self.pages.len() - 1;
        let page = &mut self.pages[page_index];
        page.push(Some(value));
        ((page_index << PAGE_BITS) + page.len() - 1) as Slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<T> {
        let page = self.pages.get_mut((slot >> PAGE_BITS) as usize)?;
        let value = page.get_mut(slot as usize % PAGE_SLOTS)?.take()?;
        self.free.push(slot);
        Some(value)
    }

    /// One more than the greatest slot ever used.
    pub(crate) fn end(&self) -> Slot {
        let full = self.pages.len().saturating_sub(1) << PAGE_BITS;
        (full + self.pages.last().map_or(0, Vec::len)) as Slot
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut T)> {
        let pages = self.pages.iter_mut().enumerate();
        pages.flat_map(|(p, page)| {
            let values = page.iter_mut().enumerate();
            values.filter_map(move |(i, value)| Some((((p << PAGE_BITS) + i) as Slot, value.as_mut()?)))
        })
    }
}
