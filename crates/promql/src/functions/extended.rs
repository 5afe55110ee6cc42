//! `rate`, `increase` and `delta` over anchored and smoothed ranges: no extrapolation, but values at the very edges.

use super::extended_histogram;
use super::range::{Edges, Output, RangeCall, RangeFunction, SeriesNote, SeriesNotes};
use crate::exec::samples::Window;

/// The value at `time_ms` on the line between two samples; a counter that falls is taken to rise from 0.
pub(crate) fn interpolate(left: (i64, f64), right: (i64, f64), time_ms: i64, is_counter: bool) -> f64 {
    let from = if is_counter && right.1 < left.1 { 0.0 } else { left.1 };
    from + (right.1 - from) * (time_ms - left.0) as f64 / (right.0 - left.0) as f64
}

/// Indexes of the samples that stand for the two edges of a window; `None` where the window holds nothing to measure.
pub(crate) fn edge_indexes(times_ms: &[i64], smoothed: bool, start_ms: i64, end_ms: i64) -> Option<(usize, usize)> {
    let last = times_ms.len().checked_sub(1)?;
    let first = times_ms[..last].partition_point(|t| *t <= start_ms).saturating_sub(1);
    let last = if smoothed { times_ms[..last].partition_point(|t| *t < end_ms) } else { last };
    let nothing = times_ms[last] <= start_ms || (smoothed && times_ms[first] > end_ms);
    (!nothing).then_some((first, last))
}

/// The values at both edges.
fn edge_values(window: &Window<'_>, edges: (usize, usize), smoothed: bool, is_counter: bool) -> (f64, f64) {
    let sample = |i: usize| (window.times_ms[i], window.values[i]);
    let (first, last) = edges;
    let left = if smoothed && window.times_ms[first] < window.range_start_ms {
        interpolate(sample(first), sample(first + 1), window.range_start_ms, is_counter)
    } else {
        window.values[first]
    };
    let right = if smoothed && last > 0 && window.times_ms[last] > window.range_end_ms {
        interpolate(sample(last - 1), sample(last), window.range_end_ms, is_counter)
    } else {
        window.values[last]
    };
    (left, right)
}

/// Indexes of the samples strictly inside the edges.
fn inside(window: &Window<'_>, (first, last): (usize, usize)) -> std::ops::Range<usize> {
    let start = if window.times_ms[first] <= window.range_start_ms { first + 1 } else { first };
    let end = if window.times_ms[last] >= window.range_end_ms { last } else { last + 1 };
    start..end.max(start)
}

pub(crate) fn rate(call: &RangeCall<'_>, window: &Window<'_>, notes: &mut SeriesNotes<'_>) -> Option<Output> {
    if window.is_mixed() {
        notes.about_metric(SeriesNote::MixedFloatsHistograms);
        return None;
    }
    if window.values.is_empty() {
        return extended_histogram::rate(call, window, notes);
    }
    let (smoothed, is_counter) = (call.edges == Edges::Smoothed, call.function != RangeFunction::Delta);
    let edges = edge_indexes(window.times_ms, smoothed, window.range_start_ms, window.range_end_ms)?;
    let (left, right) = edge_values(window, edges, smoothed, is_counter);
    let mut change = right - left;
    if is_counter {
        change += lost_to_resets(left, right, &window.values[inside(window, edges)]);
    }
    if call.function == RangeFunction::Rate {
        change /= call.range_seconds();
    }
    Some(Output::Float(change))
}

fn lost_to_resets(left: f64, right: f64, between: &[f64]) -> f64 {
    let mut lost = 0.0;
    let mut before = left;
    for value in between.iter().chain([&right]) {
        if *value < before {
            lost += before;
        }
        before = *value;
    }
    lost
}

/// The samples of a bare anchored or smoothed range: those inside, and one at each edge.
pub(crate) fn bare_range(window: &Window<'_>, smoothed: bool) -> Vec<(i64, f64)> {
    let (start_ms, end_ms) = (window.range_start_ms, window.range_end_ms);
    let Some(last) = window.times_ms.len().checked_sub(1) else { return Vec::new() };
    let first = window.times_ms[..last].partition_point(|t| *t <= start_ms).saturating_sub(1);
    let last = if smoothed { window.times_ms[..last].partition_point(|t| *t < end_ms) } else { last };
    if window.times_ms[last] <= start_ms {
        return Vec::new();
    }
    let (left, right) = edge_values(window, (first, last), smoothed, false);
    let between = inside(window, (first, last)).map(|i| (window.times_ms[i], window.values[i]));
    std::iter::once((start_ms, left)).chain(between).chain([(end_ms, right)]).collect()
}
