//! The values of one series on a grid of steps.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;

/// One bit per step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// `len` bits, none set.
    pub(crate) fn none(len: usize) -> Self {
        Bits { words: vec![0; len.div_ceil(64)], len }
    }

    /// `len` bits, all set.
    pub(crate) fn all(len: usize) -> Self {
        let mut bits = Bits { words: vec![u64::MAX; len.div_ceil(64)], len };
        if let (Some(last), rest @ 1..) = (bits.words.last_mut(), len % 64) {
            *last = (1 << rest) - 1;
        }
        bits
    }

    pub(crate) fn get(&self, i: usize) -> bool {
        self.words.get(i / 64).is_some_and(|w| w >> (i % 64) & 1 == 1)
    }

    pub(crate) fn set(&mut self, i: usize) {
        self.words[i / 64] |= 1 << (i % 64);
    }

    pub(crate) fn clear(&mut self, i: usize) {
        if let Some(word) = self.words.get_mut(i / 64) {
            *word &= !(1 << (i % 64));
        }
    }

    /// Clears the bits for which it does not hold; it is asked for all, set or not.
    pub(crate) fn retain(&mut self, holds: impl Fn(usize) -> bool) {
        for (i, word) in self.words.iter_mut().enumerate() {
            let bits = 0..64.min(self.len - i * 64);
            *word &= bits.fold(0, |mask, bit| mask | u64::from(holds(i * 64 + bit)) << bit);
        }
    }

    pub(crate) fn any(&self) -> bool {
        self.words.iter().any(|w| *w != 0)
    }

    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count() == self.len && self.len > 0
    }

    /// Indexes of the set bits, upwards.
    pub(crate) fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(i, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest.wrapping_sub(1);
                (bit < 64).then_some(i * 64 + bit)
            })
        })
    }

    pub(crate) fn union(&mut self, other: &Bits) {
        self.zip(other, |a, b| a | b);
    }

    pub(crate) fn intersect(&mut self, other: &Bits) {
        self.zip(other, |a, b| a & b);
    }

    pub(crate) fn subtract(&mut self, other: &Bits) {
        self.zip(other, |a, b| a & !b);
    }

    /// The lowest bit set in both.
    pub(crate) fn first_common(&self, other: &Bits) -> Option<usize> {
        self.words
            .iter()
            .zip(&other.words)
            .enumerate()
            .find_map(|(i, (a, b))| (a & b != 0).then(|| i * 64 + (a & b).trailing_zeros() as usize))
    }

    fn zip(&mut self, other: &Bits, combine: impl Fn(u64, u64) -> u64) {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        for (word, other) in self.words.iter_mut().zip(others) {
            *word = combine(*word, other);
        }
    }
}

/// A value at a step, borrowed from its column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

/// The values of one series. No step has both a float and a histogram.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    /// Meaningful only where `floats` is set.
    pub(crate) values: Vec<f64>,
    /// At which steps there is a float.
    pub(crate) floats: Bits,
    /// Histograms by step; empty where the series has none at all.
    pub(crate) histograms: Vec<Option<Arc<FloatHistogram>>>,
}

impl Column {
    /// No value at any of `steps`.
    pub(crate) fn empty(steps: usize) -> Self {
        Column { values: vec![0.0; steps], floats: Bits::none(steps), histograms: Vec::new() }
    }

    /// A float at every step.
    pub(crate) fn full(values: Vec<f64>) -> Self {
        Column { floats: Bits::all(values.len()), values, histograms: Vec::new() }
    }

    pub(crate) fn steps(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn cell(&self, step: usize) -> Option<Cell<'_>> {
        if self.floats.get(step) {
            return Some(Cell::Float(self.values[step]));
        }
        self.histogram(step).map(Cell::Histogram)
    }

    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<FloatHistogram>> {
        self.histograms.get(step).and_then(Option::as_ref)
    }

    pub(crate) fn set_float(&mut self, step: usize, value: f64) {
        self.values[step] = value;
        self.floats.set(step);
    }

    /// Asks for the float of each step in turn; there must be none yet.
    pub(crate) fn fill_floats(&mut self, mut next: impl FnMut() -> Option<f64>) {
        for (values, word) in self.values.chunks_mut(64).zip(&mut self.floats.words) {
            let mut mask = 0;
            for (bit, value) in values.iter_mut().enumerate() {
                if let Some(float) = next() {
                    *value = float;
                    mask |= 1 << bit;
                }
            }
            *word = mask;
        }
    }

    pub(crate) fn set_histogram(&mut self, step: usize, histogram: Arc<FloatHistogram>) {
        if self.histograms.is_empty() {
            self.histograms = vec![None; self.steps()];
        }
        self.histograms[step] = Some(histogram);
    }

    pub(crate) fn set(&mut self, step: usize, cell: Cell<'_>) {
        match cell {
            Cell::Float(value) => self.set_float(step, value),
            Cell::Histogram(histogram) => self.set_histogram(step, Arc::clone(histogram)),
        }
    }

    pub(crate) fn remove(&mut self, step: usize) {
        self.floats.clear(step);
        if let Some(slot) = self.histograms.get_mut(step) {
            *slot = None;
        }
    }

    /// Keeps only the steps of a mask.
    pub(crate) fn retain(&mut self, mask: &Bits) {
        self.floats.intersect(mask);
        for (step, slot) in self.histograms.iter_mut().enumerate() {
            if !mask.get(step) {
                *slot = None;
            }
        }
    }

    /// Drops all histograms.
    pub(crate) fn keep_floats(&mut self) {
        self.histograms = Vec::new();
    }

    /// At which steps there is a value of either kind.
    pub(crate) fn present(&self) -> Bits {
        let mut present = self.floats.clone();
        for (step, slot) in self.histograms.iter().enumerate() {
            if slot.is_some() {
                present.set(step);
            }
        }
        present
    }

    pub(crate) fn is_present(&self, step: usize) -> bool {
        self.floats.get(step) || self.histogram(step).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.floats.any() && self.histograms.iter().all(Option::is_none)
    }

    /// Memory taken, for the budget.
    pub(crate) fn bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().flatten().map(|h| histogram_bytes(h)).sum();
        self.values.len() * 8 + self.histograms.len() * 8 + histograms
    }
}

/// Memory of a histogram, as Prometheus reckons it for its count of samples.
pub(crate) fn histogram_bytes(histogram: &FloatHistogram) -> usize {
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    let buckets = histogram.positive_buckets.len() + histogram.negative_buckets.len();
    176 + spans * 8 + buckets * 8 + histogram.custom_values.len() * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits() {
        for len in [1, 63, 64, 65, 130] {
            let mut bits = Bits::none(len);
            assert!(!bits.any() && !bits.is_full());
            bits.set(len - 1);
            bits.set(0);
            assert_eq!(bits.ones().collect::<Vec<_>>(), if len == 1 { vec![0] } else { vec![0, len - 1] });
            assert!(Bits::all(len).is_full());
            assert_eq!(Bits::all(len).first_common(&bits), Some(0));
            let mut rest = Bits::all(len);
            rest.subtract(&bits);
            assert_eq!(rest.count(), len - bits.count());
            bits.retain(|i| i != 0);
            assert_eq!(bits.ones().collect::<Vec<_>>(), if len == 1 { vec![] } else { vec![len - 1] });
        }
    }

    #[test]
    fn cells() {
        let mut column = Column::empty(3);
        assert!(column.is_empty());
        column.set_float(1, 5.0);
        column.set_histogram(2, Arc::default());
        assert_eq!(column.present().ones().collect::<Vec<_>>(), [1, 2]);
        column.remove(2);
        assert!(matches!(column.cell(1), Some(Cell::Float(5.0))));
        assert!(column.cell(2).is_none());
    }
}
