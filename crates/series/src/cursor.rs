//! A place in the samples of one replica, floats and histograms in one order of time.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;
use thanoxide_model::histogram::CounterResetHint;
use thanoxide_model::series::Columns;

/// Stands on a sample, or behind the last one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    columns: &'a Columns,
    float: usize,
    histogram: usize,
}

impl<'a> Cursor<'a> {
    /// On the first sample.
    pub(crate) fn new(columns: &'a Columns) -> Self {
        Cursor { columns, float: 0, histogram: 0 }
    }

    /// How many samples lie before.
    pub(crate) fn position(&self) -> usize {
        self.float + self.histogram
    }

    fn float_time_ms(&self) -> Option<i64> {
        self.columns.timestamps_ms.get(self.float).copied()
    }

    fn histogram_time_ms(&self) -> Option<i64> {
        self.columns.histogram_timestamps_ms.get(self.histogram).copied()
    }

    pub(crate) fn time_ms(&self) -> Option<i64> {
        match (self.float_time_ms(), self.histogram_time_ms()) {
            (Some(float), Some(histogram)) => Some(float.min(histogram)),
            (float, histogram) => float.or(histogram),
        }
    }

    /// The float stood on; none at a histogram or at the end.
    pub(crate) fn value(&self) -> Option<f64> {
        let float = self.float_time_ms()?;
        match self.histogram_time_ms() {
            Some(histogram) if histogram < float => None,
            _ => Some(self.columns.values[self.float]),
        }
    }

    /// To the next sample, passing one of the other kind at the same time (which valid columns do not have).
    pub(crate) fn advance(&mut self) {
        if let Some(time_ms) = self.time_ms() {
            self.float += usize::from(self.float_time_ms() == Some(time_ms));
            self.histogram += usize::from(self.histogram_time_ms() == Some(time_ms));
        }
    }

    /// To the first sample at or after a time; never back.
    pub(crate) fn seek(&mut self, time_ms: i64) {
        let before = |t: &&i64| **t < time_ms;
        self.float += self.columns.timestamps_ms[self.float..].iter().take_while(before).count();
        self.histogram += self.columns.histogram_timestamps_ms[self.histogram..].iter().take_while(before).count();
    }

    /// Appends the sample stood on, a float as `value`. A histogram that does not follow its own neighbour cannot tell
    /// of resets any more.
    pub(crate) fn push_to(&self, into: &mut Columns, value: f64, follows_neighbour: bool) {
        let columns = self.columns;
        if self.value().is_some() {
            into.push(columns.timestamps_ms[self.float], value);
            push_start(
                &mut into.start_timestamps_ms,
                into.timestamps_ms.len(),
                &columns.start_timestamps_ms,
                self.float,
            );
        } else if let Some(time_ms) = self.histogram_time_ms() {
            let histogram = &columns.histograms[self.histogram];
            let histogram = if follows_neighbour { Arc::clone(histogram) } else { without_hint(histogram) };
            into.push_histogram(time_ms, histogram);
            push_start(
                &mut into.histogram_start_timestamps_ms,
                into.histogram_timestamps_ms.len(),
                &columns.histogram_start_timestamps_ms,
                self.histogram,
            );
        }
    }
}

/// Keeps the column of start times empty as long as none is known, and complete from then on.
fn push_start(to: &mut Vec<i64>, samples: usize, from: &[i64], at: usize) {
    let start_ms = from.get(at).copied().unwrap_or(0);
    if start_ms != 0 || !to.is_empty() {
        to.resize(samples - 1, 0);
        to.push(start_ms);
    }
}

fn without_hint(histogram: &Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    match histogram.counter_reset_hint {
        CounterResetHint::Unknown | CounterResetHint::Gauge => Arc::clone(histogram),
        CounterResetHint::CounterReset | CounterResetHint::NotCounterReset => {
            let counter_reset_hint = CounterResetHint::Unknown;
            Arc::new(FloatHistogram { counter_reset_hint, ..FloatHistogram::clone(histogram) })
        }
    }
}
