//! Sums, means and the like over a window.

use std::sync::Arc;

use thanoxide_model::kahan;
use thanoxide_model::series::Columns;

use super::histogram_over_time;
use super::lanes::{self, LANES};
use super::range::{Output, RangeCall, RangeFunction, SeriesNote, SeriesNotes};
use crate::exec::column::Column;
use crate::exec::samples::Window;

/// `sum_over_time` or `avg_over_time` of a series that has nothing but floats, eight windows at a time.
pub(crate) fn sweep_floats(
    call: &RangeCall<'_>,
    columns: &Columns,
    ends_ms: impl Iterator<Item = i64>,
    column: &mut Column,
) -> u64 {
    let is_avg = call.function == RangeFunction::AvgOverTime;
    let (times_ms, values) = (columns.timestamps_ms.as_slice(), columns.values.as_slice());
    let (mut low, mut high, mut looked_at) = (0, 0, 0);
    let mut waiting = Vec::with_capacity(LANES);
    for (step, end_ms) in ends_ms.enumerate() {
        let start_ms = end_ms.saturating_sub(call.range_ms);
        while low < times_ms.len() && times_ms[low] <= start_ms {
            low += 1;
        }
        high = high.max(low);
        while high < times_ms.len() && times_ms[high] <= end_ms {
            high += 1;
        }
        looked_at += (high - low) as u64;
        if high > low {
            waiting.push((step, (low, high)));
        }
        if waiting.len() == LANES {
            settle(&waiting, is_avg, values, column);
            waiting.clear();
        }
    }
    settle(&waiting, is_avg, values, column);
    looked_at
}

/// Computes the windows that wait, at most [`LANES`].
fn settle(waiting: &[(usize, (usize, usize))], is_avg: bool, values: &[f64], column: &mut Column) {
    let Some((_, first)) = waiting.first() else { return };
    // Lanes without a window of their own repeat the first one.
    let windows = std::array::from_fn(|lane| waiting.get(lane).map_or(*first, |w| w.1));
    let results = if is_avg { lanes::avg(values, &windows) } else { lanes::sum(values, &windows) };
    for ((step, (start, end)), result) in waiting.iter().zip(results) {
        let window = &values[*start..*end];
        let value = result.unwrap_or_else(|| if is_avg { float_avg(window) } else { float_sum(window) });
        column.set_float(*step, value);
    }
}

fn float_sum(values: &[f64]) -> f64 {
    let (sum, compensation) = values.iter().fold((0.0, 0.0), |(s, c), v| kahan::add(*v, s, c));
    if sum.is_infinite() { sum } else { sum + compensation }
}

fn float_avg(values: &[f64]) -> f64 {
    let mut mean = Mean::new(values[0]);
    values[1..].iter().for_each(|value| mean.add(*value));
    mean.value()
}

/// `sum_over_time`
pub(crate) fn sum(window: &Window<'_>, notes: &mut SeriesNotes<'_>) -> Option<Output> {
    if window.is_mixed() {
        notes.about_metric(SeriesNote::MixedFloatsHistograms);
        return None;
    }
    if window.values.is_empty() {
        return histogram_over_time::sum(window.histograms, notes).map(Output::from);
    }
    Some(Output::Float(float_sum(window.values)))
}

/// `avg_over_time`
pub(crate) fn avg(window: &Window<'_>, notes: &mut SeriesNotes<'_>) -> Option<Output> {
    if window.is_mixed() {
        notes.about_metric(SeriesNote::MixedFloatsHistograms);
        return None;
    }
    if window.values.is_empty() {
        return histogram_over_time::avg(window.histograms, notes).map(Output::from);
    }
    Some(Output::Float(float_avg(window.values)))
}

/// A mean: the sum over the count, or kept as a mean once the sum would overflow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    /// The sum, or once `incremental` the mean.
    total: f64,
    compensation: f64,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) fn new(first: f64) -> Self {
        Mean { total: first, compensation: 0.0, count: 1.0, incremental: false }
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let (total, compensation) = kahan::add(value, self.total, self.compensation);
            if !total.is_infinite() {
                (self.total, self.compensation) = (total, compensation);
                return;
            }
            self.incremental = true;
            self.total /= self.count - 1.0;
            self.compensation /= self.count - 1.0;
        }
        let weight = (self.count - 1.0) / self.count;
        (self.total, self.compensation) =
            kahan::add(value / self.count, weight * self.total, weight * self.compensation);
    }

    pub(crate) fn value(&self) -> f64 {
        if self.incremental {
            self.total + self.compensation
        } else {
            self.total / self.count + self.compensation / self.count
        }
    }
}

/// `stdvar_over_time`, by Welford's method.
pub(crate) fn variance(window: &Window<'_>, notes: &mut SeriesNotes<'_>) -> Option<f64> {
    let values = floats_only(window, notes)?;
    let (mut mean, mut mean_rest, mut squares, mut squares_rest) = (0.0, 0.0, 0.0, 0.0);
    for (i, value) in values.iter().enumerate() {
        let delta = value - (mean + mean_rest);
        (mean, mean_rest) = kahan::add(delta / (i + 1) as f64, mean, mean_rest);
        (squares, squares_rest) = kahan::add(delta * (value - (mean + mean_rest)), squares, squares_rest);
    }
    Some((squares + squares_rest) / values.len() as f64)
}

/// The floats of a window; says so where histograms are passed over.
pub(crate) fn floats_only<'a>(window: &Window<'a>, notes: &mut SeriesNotes<'_>) -> Option<&'a [f64]> {
    if window.values.is_empty() {
        return None;
    }
    if window.is_mixed() {
        notes.about_metric(SeriesNote::IgnoredInMixedRange);
    }
    Some(window.values)
}

/// `last_over_time`
pub(crate) fn last(window: &Window<'_>) -> Option<Output> {
    match (window.times_ms.last(), window.histogram_times_ms.last()) {
        (None, None) => None,
        (float, histogram) if float > histogram => window.values.last().map(|v| Output::Float(*v)),
        _ => window.histograms.last().map(|h| Output::Histogram(Arc::clone(h))),
    }
}

/// `first_over_time`
pub(crate) fn first(window: &Window<'_>) -> Option<Output> {
    match (window.times_ms.first(), window.histogram_times_ms.first()) {
        (None, None) => None,
        (Some(float), histogram) if histogram.is_none_or(|h| float < h) => Some(Output::Float(window.values[0])),
        _ => window.histograms.first().map(|h| Output::Histogram(Arc::clone(h))),
    }
}

/// `ts_of_first_over_time`
pub(crate) fn first_time(window: &Window<'_>) -> Option<Output> {
    let first = window.times_ms.first().into_iter().chain(window.histogram_times_ms.first()).min();
    first.map(|t| Output::Float(*t as f64 / 1000.0))
}

/// `ts_of_last_over_time`
pub(crate) fn last_time(window: &Window<'_>) -> Option<Output> {
    // Prometheus starts from 0 here, so that times before 1970 come out as 0 unless both kinds are there.
    let last = |times: &[i64]| times.last().copied().unwrap_or(0);
    let newest = last(window.times_ms).max(last(window.histogram_times_ms));
    Some(Output::Float(newest as f64 / 1000.0))
}
