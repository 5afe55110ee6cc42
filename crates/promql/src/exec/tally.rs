//! How many samples a query looks at, as Prometheus counts them: a float is one, a histogram as many as fit its memory.
//!
//! A step counts what an instant query at its time would look at, so ranges that overlap count anew at each step, and
//! what is evaluated once for all steps counts at each. What a subquery looks at does not count; what it gives does.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::column::{Column, histogram_bytes};
use super::samples::Window;
use crate::value::MatrixSeries;

/// Bytes that Prometheus counts as one sample.
const SAMPLE_BYTES: usize = 16;

/// The counts of one query.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    total: AtomicU64,
    /// A count for each step of the query, or none if nobody asks for them.
    by_step: Vec<AtomicU64>,
    /// How many subqueries are around what is evaluated now.
    muted: AtomicU32,
}

/// What a part of a query looked at.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    total: u64,
    /// Empty where steps are not counted.
    by_step: Vec<u64>,
}

impl Tally {
    /// `steps` is 0 where only the total is wanted.
    pub(crate) fn new(steps: usize) -> Self {
        Tally { by_step: (0..steps).map(|_| AtomicU64::new(0)).collect(), ..Tally::default() }
    }

    fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed) > 0
    }

    /// Whether samples are counted for each step.
    pub(crate) fn is_by_step(&self) -> bool {
        !self.by_step.is_empty() && !self.is_muted()
    }

    /// Counts samples, of whatever steps.
    pub(crate) fn add(&self, samples: u64) {
        if !self.is_muted() {
            self.total.fetch_add(samples, Ordering::Relaxed);
        }
    }

    /// Says at which step samples are that [`Tally::add`] counts. Steps within a bare subquery belong to the last one.
    pub(crate) fn place(&self, step: usize, samples: u64) {
        if let Some(count) = self.by_step.get(step).or(self.by_step.last()).filter(|_| !self.is_muted()) {
            count.fetch_add(samples, Ordering::Relaxed);
        }
    }

    /// Counts what an instant selector found.
    pub(crate) fn add_column(&self, column: &Column) {
        let histograms: usize = column.histograms.iter().flatten().map(|h| histogram_bytes(h) / SAMPLE_BYTES).sum();
        self.add((column.floats.count() + histograms) as u64);
        if self.is_by_step() {
            column.floats.ones().for_each(|step| self.place(step, 1));
            for (step, histogram) in column.histograms.iter().enumerate() {
                histogram.iter().for_each(|h| self.place(step, (histogram_bytes(h) / SAMPLE_BYTES) as u64));
            }
        }
    }

    /// Evaluates what is inside of a subquery.
    pub(crate) fn muted<T>(&self, inside: impl FnOnce() -> T) -> T {
        self.muted.fetch_add(1, Ordering::Relaxed);
        let result = inside();
        self.muted.fetch_sub(1, Ordering::Relaxed);
        result
    }

    /// Evaluates at the first step what holds for all of these.
    pub(crate) fn repeated<T>(&self, steps: usize, once: impl FnOnce() -> T) -> T {
        let first = || self.by_step.first().map_or(0, |count| count.load(Ordering::Relaxed));
        let (total_before, first_before) = (self.total(), first());
        let result = once();
        let repeats = (steps as u64).saturating_sub(1);
        self.add((self.total() - total_before).saturating_mul(repeats));
        let samples = first() - first_before;
        if samples > 0 {
            (1..steps).for_each(|step| self.place(step, samples));
        }
        result
    }

    /// Counts what is evaluated, and says what that was.
    pub(crate) fn counted<T>(&self, inside: impl FnOnce() -> T) -> (T, Counted) {
        let before = self.snapshot();
        let result = inside();
        let after = self.snapshot();
        let by_step = after.by_step.iter().zip(&before.by_step).map(|(after, before)| after - before).collect();
        (result, Counted { total: after.total - before.total, by_step })
    }

    fn snapshot(&self) -> Counted {
        let by_step = if self.is_by_step() { self.by_step.as_slice() } else { &[] };
        let by_step = by_step.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Counted { total: self.total(), by_step }
    }

    /// Counts the same once more.
    pub(crate) fn add_again(&self, counted: &Counted) {
        self.add(counted.total);
        counted.by_step.iter().enumerate().for_each(|(step, samples)| self.place(step, *samples));
    }

    /// All samples.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The samples of each step.
    pub(crate) fn into_steps(self) -> Vec<u64> {
        self.by_step.into_iter().map(AtomicU64::into_inner).collect()
    }
}

/// The samples of a range.
pub(crate) fn window_samples(window: &Window<'_>) -> usize {
    window.times_ms.len() + window.histograms.iter().map(|h| histogram_bytes(h) / SAMPLE_BYTES).sum::<usize>()
}

/// The samples of what a bare range gives.
pub(crate) fn points_samples(series: &MatrixSeries) -> usize {
    series.floats.len() + series.histograms.iter().map(|(_, h)| histogram_bytes(h) / SAMPLE_BYTES).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_for_all_steps_counts_at_each() {
        let tally = Tally::new(3);
        tally.add(2);
        tally.place(1, 2);
        tally.repeated(3, || {
            tally.add(5);
            tally.place(0, 5);
        });
        assert_eq!((tally.total(), tally.into_steps()), (17, vec![5, 7, 5]));
    }

    #[test]
    fn what_was_counted_counts_again() {
        let tally = Tally::new(2);
        tally.add(1);
        let ((), counted) = tally.counted(|| {
            tally.add(5);
            tally.place(1, 5);
        });
        tally.add_again(&counted);
        assert_eq!((tally.total(), tally.into_steps()), (11, vec![0, 10]));
    }

    #[test]
    fn what_is_inside_of_a_subquery_does_not_count() {
        let tally = Tally::new(1);
        tally.muted(|| {
            tally.add(5);
            tally.repeated(4, || tally.add(1));
        });
        tally.add(1);
        assert_eq!((tally.total(), tally.into_steps()), (1, vec![0]));
    }
}
