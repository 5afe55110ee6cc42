//! `topk`, `bottomk`, `limitk`, `limit_ratio`: which series of a group stay at a step.

use crate::engine::QueryError;
use crate::exec::sort::merge_sort;
use crate::limits::Deadline;

/// A candidate: its value and the index of its series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) value: f64,
    pub(crate) series: u32,
}

/// At most k candidates, the worst of them first. A binary heap that breaks ties exactly as Go's `container/heap` does
/// with Prometheus's comparison, in which NaN is less than anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Best {
    heap: Vec<Candidate>,
}

/// Whether low or high values are bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worst {
    Lowest,
    Highest,
}

impl Worst {
    fn less(self, a: f64, b: f64) -> bool {
        a.is_nan() || (if self == Worst::Lowest { a < b } else { a > b })
    }
}

impl Best {
    /// Offers a candidate for one of `k` places.
    pub(crate) fn offer(&mut self, candidate: Candidate, k: usize, worst: Worst) {
        if self.heap.len() < k {
            self.heap.push(candidate);
            self.sift_up(worst);
            return;
        }
        let Some(first) = self.heap.first_mut() else { return };
        let (old, new) = (first.value, candidate.value);
        let better = if worst == Worst::Lowest { old < new } else { old > new };
        if better || (old.is_nan() && !new.is_nan()) {
            *first = candidate;
            self.sift_down(worst);
        }
    }

    fn sift_up(&mut self, worst: Worst) {
        let mut child = self.heap.len() - 1;
        while child > 0 {
            let parent = (child - 1) / 2;
            if !worst.less(self.heap[child].value, self.heap[parent].value) {
                break;
            }
            self.heap.swap(parent, child);
            child = parent;
        }
    }

    fn sift_down(&mut self, worst: Worst) {
        let mut parent = 0;
        loop {
            let left = 2 * parent + 1;
            if left >= self.heap.len() {
                break;
            }
            let right = left + 1;
            let take_right = right < self.heap.len() && worst.less(self.heap[right].value, self.heap[left].value);
            let child = if take_right { right } else { left };
            if !worst.less(self.heap[child].value, self.heap[parent].value) {
                break;
            }
            self.heap.swap(parent, child);
            parent = child;
        }
    }

    /// The candidates as they stand in the heap.
    pub(crate) fn into_heap(self) -> Vec<Candidate> {
        self.heap
    }

    /// The candidates, best first.
    pub(crate) fn into_sorted(self, worst: Worst, deadline: &Deadline) -> Result<Vec<Candidate>, QueryError> {
        // The reversed comparison: ties end where Go's sort leaves them for few elements.
        merge_sort(self.heap, &|a, b| worst.less(b.value, a.value), deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thanoxide_env::SystemClock;

    use super::*;
    use crate::limits::Interrupt;

    #[test]
    fn keeps_the_best() {
        let mut best = Best::default();
        for (i, value) in [3.0, f64::NAN, 1.0, 5.0, 4.0].into_iter().enumerate() {
            best.offer(Candidate { value, series: i as u32 }, 3, Worst::Lowest);
        }
        let deadline = Deadline::new(Interrupt::default(), Arc::new(SystemClock::default()), None);
        let sorted = best.into_sorted(Worst::Lowest, &deadline).expect("nobody interrupts");
        let kept: Vec<u32> = sorted.iter().map(|c| c.series).collect();
        assert_eq!(kept, [3, 4, 0]);
    }
}
