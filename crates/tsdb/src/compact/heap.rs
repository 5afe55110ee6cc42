//! A binary heap with Go's order among equals.
//!
//! Which of several samples at one time survives a vertical merge depends on how stock's heap (`container/heap`) moves its
//! elements. So the standard library's heap will not do: this one sifts as Go's does, step for step.

/// A heap of small values; the least comes first.
#[derive(Debug, Default)]
pub(super) struct Heap<T> {
    items: Vec<T>,
}

impl<T: Copy> Heap<T> {
    pub(super) fn new() -> Self {
        Heap { items: Vec::new() }
    }

    pub(super) fn first(&self) -> Option<T> {
        self.items.first().copied()
    }

    pub(super) fn push(&mut self, item: T, less: impl Fn(T, T) -> bool) {
        self.items.push(item);
        let mut child = self.items.len() - 1;
        while child > 0 {
            let parent = (child - 1) / 2;
            if !less(self.items[child], self.items[parent]) {
                break;
            }
            self.items.swap(child, parent);
            child = parent;
        }
    }

    pub(super) fn pop(&mut self, less: impl Fn(T, T) -> bool) -> Option<T> {
        let last = self.items.len().checked_sub(1)?;
        self.items.swap(0, last);
        let mut parent = 0;
        loop {
            let left = 2 * parent + 1;
            if left >= last {
                break;
            }
            let right = left + 1;
            let least = if right < last && less(self.items[right], self.items[left]) { right } else { left };
            if !less(self.items[least], self.items[parent]) {
                break;
            }
            self.items.swap(parent, least);
            parent = least;
        }
        self.items.pop()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_sorts(values in proptest::collection::vec(0u32..50, 0..60)) {
            let mut heap = Heap::new();
            values.iter().for_each(|value| heap.push(*value, |a, b| a < b));
            let popped: Vec<u32> = std::iter::from_fn(|| heap.pop(|a, b| a < b)).collect();
            let mut sorted = values;
            sorted.sort_unstable();
            prop_assert_eq!(popped, sorted);
        }
    }
}
