//! Sums and means of native histograms, over a window or over series.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;
use thanoxide_model::histogram::{Combined, CounterResetHint, HistogramError};

use super::range::{SeriesNote, SeriesNotes};
use crate::annotations::{HistogramOperation, Note, Place};
use crate::exec::arithmetic::copy;

/// What sums of histograms meet on their way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Met {
    reset: bool,
    no_reset: bool,
    pub(crate) bounds_reconciled: bool,
}

impl Met {
    fn histogram(&mut self, histogram: &FloatHistogram) {
        self.reset |= histogram.counter_reset_hint == CounterResetHint::CounterReset;
        self.no_reset |= histogram.counter_reset_hint == CounterResetHint::NotCounterReset;
    }

    fn combined(&mut self, combined: Combined) {
        self.bounds_reconciled |= combined.bounds_reconciled;
    }

    /// Whether some histograms said "reset" and others "no reset".
    pub(crate) fn reset_collision(&self) -> bool {
        self.reset && self.no_reset
    }

    /// Notes of all that.
    pub(crate) fn notes(&self, position: Place) -> impl Iterator<Item = Note> {
        let collision = self.reset_collision().then(|| Note::reset_collision(HistogramOperation::Aggregate, position));
        let reconciled =
            self.bounds_reconciled.then(|| Note::reconciled_custom_buckets(HistogramOperation::Aggregate, position));
        collision.into_iter().chain(reconciled)
    }
}

/// A sum of histograms, compensated.
#[derive(Clone, Debug)]
pub(crate) struct HistogramSum {
    total: FloatHistogram,
    compensation: Option<FloatHistogram>,
    pub(crate) met: Met,
}

impl HistogramSum {
    pub(crate) fn new(first: &FloatHistogram) -> Self {
        let mut met = Met::default();
        met.histogram(first);
        HistogramSum { total: copy(first), compensation: None, met }
    }

    pub(crate) fn add(&mut self, histogram: &FloatHistogram) -> Result<(), HistogramError> {
        self.met.histogram(histogram);
        let combined = self.total.add_compensated(histogram, &mut self.compensation)?;
        self.met.combined(combined);
        Ok(())
    }

    pub(crate) fn value(mut self) -> FloatHistogram {
        if let Some(compensation) = &self.compensation {
            // Has the layout of the sum, so it always fits.
            let _ = self.total.add(compensation);
        }
        self.total
    }
}

/// A mean of histograms: the sum over the count, or kept as a mean once the sum would overflow.
#[derive(Clone, Debug)]
pub(crate) struct HistogramMean {
    /// The sum, or once `incremental` the mean.
    total: FloatHistogram,
    compensation: Option<FloatHistogram>,
    count: f64,
    incremental: bool,
    pub(crate) met: Met,
}

impl HistogramMean {
    pub(crate) fn new(first: &FloatHistogram) -> Self {
        let mut met = Met::default();
        met.histogram(first);
        HistogramMean { total: copy(first), compensation: None, count: 1.0, incremental: false, met }
    }

    pub(crate) fn add(&mut self, histogram: &FloatHistogram) -> Result<(), HistogramError> {
        self.met.histogram(histogram);
        self.count += 1.0;
        if !self.incremental {
            let (mut total, mut compensation) = (self.total.clone(), self.compensation.clone());
            let combined = total.add_compensated(histogram, &mut compensation)?;
            self.met.combined(combined);
            if !total.has_overflow() {
                (self.total, self.compensation) = (total, compensation);
                return Ok(());
            }
            self.incremental = true;
            self.total.div(self.count - 1.0);
            if let Some(compensation) = &mut self.compensation {
                compensation.div(self.count - 1.0);
            }
        }
        let weight = (self.count - 1.0) / self.count;
        if let Some(compensation) = &mut self.compensation {
            compensation.mul(weight);
        }
        let mut part = histogram.clone();
        part.div(self.count);
        self.total.mul(weight);
        let combined = self.total.add_compensated(&part, &mut self.compensation)?;
        self.met.combined(combined);
        Ok(())
    }

    pub(crate) fn value(mut self) -> FloatHistogram {
        if !self.incremental {
            self.total.div(self.count);
            if let Some(compensation) = &mut self.compensation {
                compensation.div(self.count);
            }
        }
        if let Some(compensation) = &self.compensation {
            // Has the layout of the mean, so it always fits.
            let _ = self.total.add(compensation);
        }
        self.total
    }
}

/// `sum_over_time`
pub(crate) fn sum(histograms: &[Arc<FloatHistogram>], notes: &mut SeriesNotes<'_>) -> Option<FloatHistogram> {
    let mut sum = HistogramSum::new(&histograms[0]);
    for histogram in &histograms[1..] {
        if sum.add(histogram).is_err() {
            notes.about_metric(SeriesNote::MixedExponentialCustom);
            return None;
        }
    }
    tell(sum.met, notes);
    Some(sum.value())
}

/// `avg_over_time`
pub(crate) fn avg(histograms: &[Arc<FloatHistogram>], notes: &mut SeriesNotes<'_>) -> Option<FloatHistogram> {
    let mut mean = HistogramMean::new(&histograms[0]);
    for histogram in &histograms[1..] {
        if mean.add(histogram).is_err() {
            notes.about_metric(SeriesNote::MixedExponentialCustom);
            return None;
        }
    }
    tell(mean.met, notes);
    Some(mean.value())
}

fn tell(met: Met, notes: &mut SeriesNotes<'_>) {
    if met.reset_collision() {
        notes.add(|position| Note::reset_collision(HistogramOperation::Aggregate, position));
    }
    if met.bounds_reconciled {
        notes.add(|position| Note::reconciled_custom_buckets(HistogramOperation::Aggregate, position));
    }
}
