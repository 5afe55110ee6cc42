//! Numbers by a hash of what they stand for.
//!
//! Cells of hash and number in one array, at the hash's share of its length or in the first free cell behind that. So a look-up
//! reads one line of memory, two at most, and an array of any length grows or shrinks in one pass over both, without a look
//! at what the numbers stand for.

const FREE: u32 = u32::MAX;
/// So much of an array may be in use: 4 of 5 cells.
const FULL: (usize, usize) = (4, 5);
/// A smaller array is not made smaller.
const LEAST_CELLS: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Cell {
    hash: u32,
    number: u32,
}

/// Numbers below [`u32::MAX`], several of which may have one hash.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    cells: Vec<Cell>,
    len: usize,
}

impl Numbers {
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.cells.len() as u64) >> 32) as usize
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.cells.len() { 0 } else { at + 1 }
    }

    /// The cells of a hash and those between, up to a free one.
    #[inline]
    fn run(&self, hash: u32) -> impl Iterator<Item = (usize, Cell)> {
        let mut at = self.home(hash);
        std::iter::from_fn(move || {
            let cell = *self.cells.get(at).filter(|cell| cell.number != FREE)?;
            let here = at;
            at = self.next(at);
            Some((here, cell))
        })
    }

    /// The number that is meant among those of a hash.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_meant: impl FnMut(u32) -> bool) -> Option<u32> {
        self.run(hash).find(|(_, cell)| cell.hash == hash && is_meant(cell.number)).map(|(_, cell)| cell.number)
    }

    /// Something of where a hash is looked for.
    #[inline]
    pub(crate) fn glance(&self, hash: u32) -> u32 {
        self.cells.get(self.home(hash)).map_or(0, |cell| cell.hash)
    }

    /// Adds a number that is not there.
    pub(crate) fn insert(&mut self, hash: u32, number: u32) {
        if (self.len + 1) * FULL.1 > self.cells.len() * FULL.0 {
            self.resize(self.cells.len() / 2 * 3 + 4);
        }
        self.put(Cell { hash, number });
        self.len += 1;
    }

    fn put(&mut self, cell: Cell) {
        let mut at = self.home(cell.hash);
        while self.cells[at].number != FREE {
            at = self.next(at);
        }
        self.cells[at] = cell;
    }

    fn resize(&mut self, cells: usize) {
        let free = Cell { hash: 0, number: FREE };
        let before = std::mem::replace(&mut self.cells, vec![free; cells]);
        before.into_iter().filter(|cell| cell.number != FREE).for_each(|cell| self.put(cell));
    }

    /// Forgets a number. Those behind move up, so that no run has a gap.
    pub(crate) fn remove(&mut self, hash: u32, number: u32) {
        let Some((mut gap, _)) = self.run(hash).find(|(_, cell)| cell.number == number) else { return };
        self.len -= 1;
        let mut at = self.next(gap);
        while self.cells[at].number != FREE {
            let home = self.home(self.cells[at].hash);
            // Cells are in a ring: it may move to the gap if its home is not between that and where it is.
            let stays = if gap < at { gap < home && home <= at } else { gap < home || home <= at };
            if !stays {
                self.cells[gap] = self.cells[at];
                gap = at;
            }
            at = self.next(at);
        }
        self.cells[gap].number = FREE;
    }

    /// Gives back memory, where most is not in use.
    pub(crate) fn shrink(&mut self) {
        if self.cells.len() > LEAST_CELLS.max(self.len * 4) {
            self.resize(self.len * 2 + 2);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.cells.iter().map(|cell| cell.number).filter(|number| *number != FREE)
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_that_came_and_did_not_go_is_found(
            // Few hashes, near both ends: runs are long and wrap.
            steps in proptest::collection::vec((any::<bool>(), 0u32..60, prop_oneof![0u32..4, (u32::MAX - 3)..=u32::MAX, any::<u32>()]), 0..200),
        ) {
            let (mut numbers, mut model) = (Numbers::default(), BTreeMap::new());
            for (comes, number, hash) in steps {
                match model.get(&number).copied() {
                    None if comes => {
                        numbers.insert(hash, number);
                        model.insert(number, hash);
                    }
                    Some(known) if !comes => {
                        numbers.remove(known, number);
                        numbers.shrink();
                        model.remove(&number);
                    }
                    _ => {}
                }
                prop_assert_eq!(numbers.len(), model.len());
                for number in 0..60 {
                    let found = model.get(&number).and_then(|hash| numbers.find(*hash, |other| other == number));
                    prop_assert_eq!(found.is_some(), model.contains_key(&number));
                }
                let mut all: Vec<u32> = numbers.iter().collect();
                all.sort_unstable();
                prop_assert!(all.iter().eq(model.keys()));
            }
            prop_assert_eq!(numbers.find(5, |_| false), None);
        }
    }
}
