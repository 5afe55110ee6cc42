//! The samples of one series, and the windows that range functions see of them.

use std::sync::Arc;

use thanoxide_model::series::Columns;
use thanoxide_model::{FloatHistogram, is_stale_nan};

use super::column::{Cell, Column};
use super::grid::Grid;

/// Removes stale markers, which range functions never see.
pub(crate) fn remove_stale(columns: &mut Columns) {
    if columns.values.iter().any(|v| is_stale_nan(*v)) {
        let keep: Vec<bool> = columns.values.iter().map(|v| !is_stale_nan(*v)).collect();
        retain(&mut columns.timestamps_ms, &keep);
        retain(&mut columns.start_timestamps_ms, &keep);
        retain(&mut columns.values, &keep);
    }
    if columns.histograms.iter().any(|h| is_stale_nan(h.sum)) {
        let keep: Vec<bool> = columns.histograms.iter().map(|h| !is_stale_nan(h.sum)).collect();
        retain(&mut columns.histogram_timestamps_ms, &keep);
        retain(&mut columns.histogram_start_timestamps_ms, &keep);
        retain(&mut columns.histograms, &keep);
    }
}

fn retain<T>(items: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    items.retain(|_| *keep.next().unwrap_or(&true));
}

/// The values that a subquery gave, as samples at its steps.
pub(crate) fn from_column(column: &Column, grid: Grid, into: &mut Columns) {
    into.clear();
    for step in 0..column.steps() {
        match column.cell(step) {
            Some(Cell::Float(value)) => into.push(grid.time_ms(step), value),
            Some(Cell::Histogram(histogram)) => into.push_histogram(grid.time_ms(step), Arc::clone(histogram)),
            None => {}
        }
    }
}

/// The samples in a range, and the range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    pub(crate) times_ms: &'a [i64],
    pub(crate) values: &'a [f64],
    /// Start times, as many as values or none at all.
    pub(crate) starts_ms: &'a [i64],
    pub(crate) histogram_times_ms: &'a [i64],
    pub(crate) histograms: &'a [Arc<FloatHistogram>],
    /// Start times, as many as histograms or none at all.
    pub(crate) histogram_starts_ms: &'a [i64],
    /// Index of the first float in its series.
    pub(crate) first: usize,
    /// Exclusive, but for anchored and smoothed ranges, whose samples reach beyond.
    pub(crate) range_start_ms: i64,
    /// Inclusive.
    pub(crate) range_end_ms: i64,
    /// When the function is evaluated.
    pub(crate) time_ms: i64,
}

impl Window<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.times_ms.is_empty() && self.histogram_times_ms.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.times_ms.len() + self.histogram_times_ms.len()
    }

    pub(crate) fn is_mixed(&self) -> bool {
        !self.times_ms.is_empty() && !self.histogram_times_ms.is_empty()
    }
}

/// Cuts windows that move forward out of the samples of one series.
pub(crate) struct WindowCutter<'a> {
    columns: &'a Columns,
    floats: Bounds,
    histograms: Bounds,
}

/// A moving half-open range of indexes.
#[derive(Clone, Copy, Default)]
struct Bounds {
    low: usize,
    high: usize,
}

impl Bounds {
    /// Moves to the samples of `after < t <= until`; the low bound never goes back.
    fn advance(&mut self, times_ms: &[i64], after_ms: i64, until_ms: i64) {
        while self.low < times_ms.len() && times_ms[self.low] <= after_ms {
            self.low += 1;
        }
        self.high = self.high.max(self.low);
        while self.high < times_ms.len() && times_ms[self.high] <= until_ms {
            self.high += 1;
        }
    }
}

impl<'a> WindowCutter<'a> {
    pub(crate) fn new(columns: &'a Columns) -> Self {
        WindowCutter { columns, floats: Bounds::default(), histograms: Bounds::default() }
    }

    /// The samples of `after < t <= until`. Neither bound may be lower than in the call before.
    pub(crate) fn cut(&mut self, after_ms: i64, until_ms: i64) -> Window<'a> {
        let c = self.columns;
        self.floats.advance(&c.timestamps_ms, after_ms, until_ms);
        self.histograms.advance(&c.histogram_timestamps_ms, after_ms, until_ms);
        let (floats, histograms) = (self.floats.low..self.floats.high, self.histograms.low..self.histograms.high);
        Window {
            times_ms: &c.timestamps_ms[floats.clone()],
            values: &c.values[floats.clone()],
            starts_ms: c.start_timestamps_ms.get(floats.clone()).unwrap_or_default(),
            histogram_times_ms: &c.histogram_timestamps_ms[histograms.clone()],
            histograms: &c.histograms[histograms.clone()],
            histogram_starts_ms: c.histogram_start_timestamps_ms.get(histograms).unwrap_or_default(),
            first: floats.start,
            range_start_ms: after_ms,
            range_end_ms: until_ms,
            time_ms: until_ms,
        }
    }
}
