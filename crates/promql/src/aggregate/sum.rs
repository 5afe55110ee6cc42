//! `sum`

use thanoxide_model::FloatHistogram;
use thanoxide_model::kahan;

use super::Remarks;
use crate::annotations::Note;
use crate::exec::column::{Bits, Column};
use crate::functions::histogram_over_time::{HistogramMean, HistogramSum, Met};

/// A compensated sum at each step.
pub(crate) struct Sum {
    totals: Vec<f64>,
    /// Empty as long as there was one series of nothing but floats: it is the sum, and takes half the memory.
    compensations: Vec<f64>,
    floats: Bits,
    histograms: Histograms<HistogramSum>,
    steps: usize,
}

impl Sum {
    pub(crate) fn new(steps: usize) -> Self {
        Sum {
            totals: Vec::new(),
            compensations: Vec::new(),
            floats: Bits::none(steps),
            histograms: Histograms::new(),
            steps,
        }
    }

    pub(crate) fn add(&mut self, column: Column, remarks: &mut Remarks<'_>) {
        if self.totals.is_empty() && column.histograms.is_empty() {
            (self.totals, self.floats) = (column.values, column.floats);
            return;
        }
        self.compensate();
        if self.histograms.is_unused() && column.floats.is_full() {
            self.add_full(&column.values);
        } else {
            for step in column.floats.ones() {
                if !self.histograms.is_broken(step) {
                    self.add_float(step, column.values[step]);
                }
            }
        }
        let mut floats = column.floats.clone();
        self.histograms.exclude_broken(&mut floats);
        self.floats.union(&floats);
        self.histograms.add(&column, &self.floats, remarks);
    }

    /// From now on sums are compensated: nothing was lost so far.
    fn compensate(&mut self) {
        if !self.compensations.is_empty() {
            return;
        }
        self.totals.resize(self.steps, 0.0);
        // -0 is the only number that changes nothing, not even the sign of a zero.
        let without = self.totals.iter_mut().enumerate().filter(|(step, _)| !self.floats.get(*step));
        without.for_each(|(_, total)| *total = -0.0);
        self.compensations = vec![0.0; self.steps];
    }

    fn add_full(&mut self, values: &[f64]) {
        for ((total, compensation), value) in self.totals.iter_mut().zip(&mut self.compensations).zip(values) {
            (*total, *compensation) = kahan::add(*value, *total, *compensation);
        }
    }

    fn add_float(&mut self, step: usize, value: f64) {
        (self.totals[step], self.compensations[step]) = kahan::add(value, self.totals[step], self.compensations[step]);
    }

    pub(crate) fn finish(mut self, remarks: &mut Remarks<'_>) -> Column {
        if self.compensations.is_empty() {
            // As with a compensation of nothing: a negative zero becomes zero.
            self.totals.iter_mut().for_each(|total| *total += 0.0);
        }
        for (total, compensation) in self.totals.iter_mut().zip(&self.compensations) {
            *total += compensation;
        }
        self.totals.resize(self.steps, 0.0);
        let mut column = Column { values: self.totals, floats: self.floats, histograms: Vec::new() };
        self.histograms.finish(&mut column, remarks);
        column
    }
}

/// What histograms are gathered into.
pub(crate) trait HistogramTotal {
    fn start(first: &FloatHistogram) -> Self;
    /// False where the layouts do not fit.
    fn add(&mut self, histogram: &FloatHistogram) -> bool;
    fn met(&mut self) -> &mut Met;
    fn value(self) -> FloatHistogram;
}

impl HistogramTotal for HistogramSum {
    fn start(first: &FloatHistogram) -> Self {
        HistogramSum::new(first)
    }

    fn add(&mut self, histogram: &FloatHistogram) -> bool {
        HistogramSum::add(self, histogram).is_ok()
    }

    fn met(&mut self) -> &mut Met {
        &mut self.met
    }

    fn value(self) -> FloatHistogram {
        HistogramSum::value(self)
    }
}

impl HistogramTotal for HistogramMean {
    fn start(first: &FloatHistogram) -> Self {
        HistogramMean::new(first)
    }

    fn add(&mut self, histogram: &FloatHistogram) -> bool {
        HistogramMean::add(self, histogram).is_ok()
    }

    fn met(&mut self) -> &mut Met {
        &mut self.met
    }

    fn value(self) -> FloatHistogram {
        HistogramMean::value(self)
    }
}

/// The histograms of a group at each step.
pub(crate) struct Histograms<T> {
    totals: Vec<State<T>>,
}

enum State<T> {
    None,
    /// A histogram met a float; nothing will come of it.
    Mixed,
    Total(Box<T>),
    /// Exponential met custom buckets; the rest of the group is not even looked at.
    Broken,
}

impl<T: HistogramTotal> Histograms<T> {
    pub(crate) fn new() -> Self {
        Histograms { totals: Vec::new() }
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.totals.is_empty()
    }

    pub(crate) fn is_broken(&self, step: usize) -> bool {
        matches!(self.totals.get(step), Some(State::Broken))
    }

    pub(crate) fn exclude_broken(&self, floats: &mut Bits) {
        for (step, state) in self.totals.iter().enumerate() {
            if matches!(state, State::Broken) {
                floats.clear(step);
            }
        }
    }

    /// Adds the histograms of a series; `floats` is where the group has floats.
    pub(crate) fn add(&mut self, column: &Column, floats: &Bits, remarks: &mut Remarks<'_>) {
        if column.histograms.is_empty() {
            return;
        }
        if self.totals.is_empty() {
            self.totals.resize_with(column.steps(), || State::None);
        }
        for (step, histogram) in column.histograms.iter().enumerate() {
            let Some(histogram) = histogram else { continue };
            let state = &mut self.totals[step];
            match state {
                State::None if floats.get(step) => *state = State::Mixed,
                State::None => *state = State::Total(Box::new(T::start(histogram))),
                State::Mixed | State::Broken => {}
                State::Total(total) => {
                    if !total.add(histogram) {
                        let note = Note::mixed_exponential_custom(remarks.metric_name, remarks.position);
                        remarks.notes.add(note);
                        Self::tell(total.met(), remarks, Note::is_info);
                        *state = State::Broken;
                    }
                }
            }
        }
    }

    fn tell(met: &mut Met, remarks: &mut Remarks<'_>, which: impl Fn(&Note) -> bool) {
        for note in met.notes(remarks.position).filter(which) {
            remarks.notes.add(note);
        }
    }

    /// Puts the histograms into a column of floats; where both are, neither stays.
    pub(crate) fn finish(self, column: &mut Column, remarks: &mut Remarks<'_>) {
        for (step, state) in self.totals.into_iter().enumerate() {
            match state {
                State::None => {}
                State::Broken if !column.floats.get(step) => {}
                State::Mixed | State::Broken => {
                    remarks.notes.add(Note::mixed_in_aggregation(remarks.position));
                    column.remove(step);
                }
                State::Total(mut total) => {
                    if column.floats.get(step) {
                        Self::tell(total.met(), remarks, Note::is_info);
                        remarks.notes.add(Note::mixed_in_aggregation(remarks.position));
                        column.remove(step);
                        continue;
                    }
                    Self::tell(total.met(), remarks, |_| true);
                    let mut histogram = total.value();
                    histogram.compact(0);
                    column.set_histogram(step, std::sync::Arc::new(histogram));
                }
            }
        }
    }
}
