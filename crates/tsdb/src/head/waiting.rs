//! Samples that wait for their series, by pages of these.
//!
//! They lie in blocks of 4 KiB, which go from page to page: what waits takes as much memory as it is, wherever it belongs.

use super::Slot;
use super::slab::PAGE_SLOTS;
use crate::wal::record::RefSample;

/// Samples in a block.
const BLOCK: usize = 256;
/// So many blocks of a page are put in order at a time.
const BLOCKS_AT_ONCE: usize = 32;

/// A sample that waits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waiting {
    value: f64,
    /// Its time, less that of all that wait.
    after_ms: u32,
    /// Its series' place in the page.
    place: u16,
}

impl Waiting {
    /// Time and value.
    #[inline]
    pub(super) fn sample(&self, base_ms: i64) -> (i64, f64) {
        (base_ms.wrapping_add(i64::from(self.after_ms)), self.value)
    }
}

/// Samples of one page, in the order in which they came.
pub(super) type Blocks = Vec<Vec<Waiting>>;

/// All samples that wait.
#[derive(Debug, Default)]
pub(super) struct WaitingPages {
    pages: Vec<Blocks>,
    spare: Blocks,
    base_ms: i64,
    len: usize,
}

impl WaitingPages {
    /// What the times of samples are counted from.
    pub(super) fn base_ms(&self) -> i64 {
        self.base_ms
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Keeps a sample. False where its time does not fit to those that wait.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot, sample: &RefSample) -> bool {
        if self.len == 0 {
            self.base_ms = sample.timestamp_ms.saturating_sub(1 << 30);
        }
        let after_ms = sample.timestamp_ms.checked_sub(self.base_ms).and_then(|after| u32::try_from(after).ok());
        let Some(after_ms) = after_ms else { return false };
        let waiting = Waiting { value: sample.value, after_ms, place: (slot as usize % PAGE_SLOTS) as u16 };
        match self.pages.get_mut(slot as usize / PAGE_SLOTS).and_then(|blocks| blocks.last_mut()) {
            Some(block) if block.len() < BLOCK => block.push(waiting),
            _ => self.push_block(slot as usize / PAGE_SLOTS, waiting),
        }
        self.len += 1;
        true
    }

    #[cold]
    fn push_block(&mut self, page: usize, first: Waiting) {
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, Vec::new);
        }
        let mut block = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK));
        block.push(first);
        self.pages[page].push(block);
    }

    /// The pages.
    pub(super) fn pages_mut(&mut self) -> impl Iterator<Item = &mut Blocks> {
        self.pages.iter_mut()
    }

    /// Forgets all samples. Of the memory as much is kept as so many take.
    pub(super) fn clear(&mut self, kept: usize) {
        let used = self.pages.iter_mut().flat_map(|blocks| blocks.drain(..));
        self.spare.extend(used.map(|mut block| {
            block.clear();
            block
        }));
        self.spare.truncate(kept.div_ceil(BLOCK));
        self.len = 0;
    }
}

/// Samples of a page in the order of their series. Those of one series keep their order.
#[derive(Debug)]
pub(super) struct InOrder {
    samples: Vec<Waiting>,
    /// Where the samples of each place end.
    ends: Box<[u32; PAGE_SLOTS]>,
}

impl Default for InOrder {
    fn default() -> Self {
        InOrder { samples: Vec::new(), ends: Box::new([0; PAGE_SLOTS]) }
    }
}

impl InOrder {
    /// Puts a page's samples in order, some at a time.
    pub(super) fn each(&mut self, blocks: &Blocks, mut visit: impl FnMut(&InOrder)) {
        for some in blocks.chunks(BLOCKS_AT_ONCE) {
            self.sort(some);
            visit(self);
        }
    }

    /// The samples of a place.
    #[inline]
    pub(super) fn of(&self, place: usize) -> &[Waiting] {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.samples[start as usize..self.ends[place] as usize]
    }

    fn sort(&mut self, blocks: &[Vec<Waiting>]) {
        self.ends.fill(0);
        let mut all = 0;
        for waiting in blocks.iter().flatten() {
            self.ends[usize::from(waiting.place) % PAGE_SLOTS] += 1;
        }
        for end in self.ends.iter_mut() {
            all += std::mem::replace(end, all);
        }
        self.samples.resize(all as usize, Waiting::default());
        for waiting in blocks.iter().flatten() {
            // The start of the next one of the place, and its end after the last.
            let next = &mut self.ends[usize::from(waiting.place) % PAGE_SLOTS];
            self.samples[*next as usize] = *waiting;
            *next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn samples_come_by_series_in_the_order_of_each(slots in proptest::collection::vec(0u32..3000, 0..2000)) {
            let (mut pages, mut in_order) = (WaitingPages::default(), InOrder::default());
            for round in 0..2 {
                for (i, slot) in slots.iter().enumerate() {
                    let sample = RefSample { series: 1, timestamp_ms: 7_000 + i as i64, value: f64::from(*slot) };
                    prop_assert!(pages.push(*slot, &sample));
                }
                prop_assert_eq!(pages.len(), slots.len());
                let base_ms = pages.base_ms();
                let mut seen = 0;
                for (page, blocks) in pages.pages_mut().enumerate() {
                    let mut last_ms = vec![0; PAGE_SLOTS];
                    in_order.each(blocks, |in_order| for (place, last_ms) in last_ms.iter_mut().enumerate() {
                        for (timestamp_ms, value) in in_order.of(place).iter().map(|waiting| waiting.sample(base_ms)) {
                            assert!(timestamp_ms > *last_ms && value == (page * PAGE_SLOTS + place) as f64);
                            (*last_ms, seen) = (timestamp_ms, seen + 1);
                        }
                    });
                }
                prop_assert_eq!(seen, slots.len());
                pages.clear(slots.len() * (1 - round));
            }
            prop_assert_eq!((pages.len(), pages.spare.len()), (0, 0));
        }
    }

    #[test]
    fn times_too_far_apart_do_not_wait_together() {
        let mut pages = WaitingPages::default();
        let sample = |timestamp_ms| RefSample { series: 1, timestamp_ms, value: 0.0 };
        assert!(pages.push(5, &sample(i64::MIN)) && pages.push(5, &sample(i64::MIN + 1)));
        assert!(!pages.push(5, &sample(0)) && pages.len() == 2);
        pages.clear(0);
        assert!(pages.push(5, &sample(i64::MAX)) && !pages.push(5, &sample(0)));
    }
}
