//! Sums, means and the like over a window.

use std::sync::Arc;

use thanoxide_model::kahan;

use super::fixed_point::FixedPoint;
use super::histogram_over_time;
use super::lanes::{self, LANES};
use super::range::{Output, SeriesNote, SeriesNotes};
use super::sweep::Windows;
use crate::exec::column::Column;
use crate::exec::samples::Window;

/// Values in all windows for each sample from which on it pays to work out running sums.
const WORTH_RUNNING_SUMS: usize = 8;

/// `sum_over_time` or `avg_over_time` of a series that has nothing but floats.
pub(crate) fn sweep_sums(is_avg: bool, values: &[f64], windows: &Windows<'_>, column: &mut Column) {
    let worth = windows.samples > WORTH_RUNNING_SUMS * values.len();
    let fixed = if worth { FixedPoint::new(values) } else { None };
    let count = |low: usize, high: usize| (high - low) as f64;
    match fixed {
        Some(fixed) if !is_avg => windows.fill(column, |low, high| fixed.sum(low, high)),
        Some(fixed) if fixed.is_exact() => {
            windows.fill(column, |low, high| fixed.sum(low, high) / count(low, high) + 0.0);
        }
        Some(fixed) => by_lanes(windows, column, |bounds| {
            let plain = lanes::plain(values, bounds);
            std::array::from_fn(|lane| {
                let (low, high) = bounds[lane];
                plain[lane] / count(low, high) + fixed.lost(low, high, plain[lane]) / count(low, high)
            })
        }),
        None if is_avg => by_lanes(windows, column, |bounds| {
            or_else(lanes::avg(values, bounds), |lane| float_avg(&values[bounds[lane].0..bounds[lane].1]))
        }),
        None => by_lanes(windows, column, |bounds| {
            or_else(lanes::sum(values, bounds), |lane| float_sum(&values[bounds[lane].0..bounds[lane].1]))
        }),
    }
}

/// `stdvar_over_time`, or the root of it, of a series that has nothing but floats.
pub(crate) fn sweep_variances(root: bool, values: &[f64], windows: &Windows<'_>, column: &mut Column) {
    by_lanes(windows, column, |bounds| {
        let float_variance = |lane: usize| float_variance(&values[bounds[lane].0..bounds[lane].1]);
        or_else(lanes::variance(values, bounds), float_variance).map(|v| if root { v.sqrt() } else { v })
    });
}

/// Fills in what of some windows at a time there is.
fn by_lanes(windows: &Windows<'_>, column: &mut Column, compute: impl Fn(&lanes::Bounds) -> [f64; LANES]) {
    let mut filled = windows.filled().peekable();
    while let Some((_, first)) = filled.peek().copied() {
        // Lanes without a window of their own repeat the first one.
        let (mut bounds, mut steps) = ([first; LANES], [None; LANES]);
        for ((bounds, at), (step, window)) in bounds.iter_mut().zip(&mut steps).zip(&mut filled) {
            (*bounds, *at) = (window, Some(step));
        }
        for (step, value) in steps.into_iter().zip(compute(&bounds)) {
            if let Some(step) = step {
                column.set_float(step, value);
            }
        }
    }
}

fn or_else(results: [Option<f64>; LANES], one: impl Fn(usize) -> f64) -> [f64; LANES] {
    std::array::from_fn(|lane| results[lane].unwrap_or_else(|| one(lane)))
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
    floats_only(window, notes).map(float_variance)
}

pub(super) fn float_variance(values: &[f64]) -> f64 {
    let (mut mean, mut mean_rest, mut squares, mut squares_rest) = (0.0, 0.0, 0.0, 0.0);
    for (i, value) in values.iter().enumerate() {
        let delta = value - (mean + mean_rest);
        (mean, mean_rest) = kahan::add(delta / (i + 1) as f64, mean, mean_rest);
        (squares, squares_rest) = kahan::add(delta * (value - (mean + mean_rest)), squares, squares_rest);
    }
    (squares + squares_rest) / values.len() as f64
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
