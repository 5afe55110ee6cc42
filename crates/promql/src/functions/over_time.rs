//! Sums, means and the like over a window.

use std::sync::Arc;

use thanoxide_model::kahan;

use super::histogram_over_time;
use super::range::{Output, SeriesNote, SeriesNotes};
use crate::exec::samples::Window;

/// `sum_over_time`
pub(crate) fn sum(window: &Window<'_>, notes: &mut SeriesNotes<'_>) -> Option<Output> {
    if window.is_mixed() {
        notes.about_metric(SeriesNote::MixedFloatsHistograms);
        return None;
    }
    if window.values.is_empty() {
        return histogram_over_time::sum(window.histograms, notes).map(Output::from);
    }
    let (sum, compensation) = window.values.iter().fold((0.0, 0.0), |(s, c), v| kahan::add(*v, s, c));
    Some(Output::Float(if sum.is_infinite() { sum } else { sum + compensation }))
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
    let mut mean = Mean::new(window.values[0]);
    for value in &window.values[1..] {
        mean.add(*value);
    }
    Some(Output::Float(mean.value()))
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
