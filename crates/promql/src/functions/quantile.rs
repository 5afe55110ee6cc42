//! Quantiles of plain values.

use std::cmp::Ordering;

use super::over_time::floats_only;
use super::range::{Output, RangeCall, SeriesNotes};
use super::sweep::Windows;
use crate::annotations::{Note, Place};
use crate::exec::column::Column;
use crate::exec::samples::Window;

/// Interpolates at rank `q * (n - 1)`. Reorders the values; NaN comes first.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if values.len() > FEW {
        let lower = (q * (values.len() - 1) as f64).floor() as usize;
        let (_, _, rest) = values.select_nth_unstable_by(lower, nan_first);
        if let Some(next) = (0..rest.len()).min_by(|a, b| nan_first(&rest[*a], &rest[*b])) {
            rest.swap(0, next);
        }
    } else {
        values.sort_unstable_by(nan_first);
    }
    of_sorted(q, values)
}

/// More values than these are not sorted for the sake of one or two of them.
const FEW: usize = 32;

/// Interpolates in values of which at least those around the rank are in their sorted places.
fn of_sorted(q: f64, values: &[f64]) -> f64 {
    let last = (values.len() - 1) as f64;
    let rank = q * last;
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(last);
    let weight = rank - rank.floor();
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

/// Ascending, NaN before all.
pub(crate) fn nan_first(a: &f64, b: &f64) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// Whether q is a quantile at all.
pub(crate) fn is_valid(q: f64) -> bool {
    (0.0..=1.0).contains(&q)
}

/// `quantile_over_time`
pub(crate) fn over_time(
    window: &Window<'_>,
    q: f64,
    buffer: &mut Vec<f64>,
    notes: &mut SeriesNotes<'_>,
) -> Option<Output> {
    let values = floats_only(window, notes)?;
    if !is_valid(q) {
        notes.add(|position| Note::invalid_quantile(q, position));
    }
    buffer.clear();
    buffer.extend_from_slice(values);
    Some(Output::Float(quantile(q, buffer)))
}

/// Whether all values have one place when sorted.
pub(crate) fn is_ordered(values: &[f64]) -> bool {
    values.iter().all(|v| !v.is_nan() && v.to_bits() != (-0.0_f64).to_bits())
}

/// `quantile_over_time` of a series of ordered values: what is in the window is kept sorted.
pub(crate) fn sweep(
    call: &RangeCall<'_>,
    values: &[f64],
    windows: &Windows<'_>,
    column: &mut Column,
    notes: &mut SeriesNotes<'_>,
) {
    let mut sorted = Vec::with_capacity(windows.longest + 1);
    let (mut from, mut to) = (0, 0);
    for (step, (low, high)) in windows.filled() {
        if low >= to {
            sorted.clear();
            sorted.extend_from_slice(&values[low..high]);
            sorted.sort_unstable_by(f64::total_cmp);
        } else {
            slide(&mut sorted, &values[from..low], &values[to..high]);
        }
        (from, to) = (low, high);
        let q = call.scalar(0, step);
        if !is_valid(q) {
            notes.add(|position| Note::invalid_quantile(q, position));
        }
        column.set_float(step, if is_valid(q) { of_sorted(q, &sorted) } else { quantile(q, &mut [0.0]) });
    }
}

/// Takes out and puts in, so that values stay sorted.
fn slide(sorted: &mut Vec<f64>, out: &[f64], new: &[f64]) {
    let shared = out.len().min(new.len());
    for (out, new) in out.iter().zip(new) {
        let (hole, place) = (sorted.partition_point(|v| v < out), sorted.partition_point(|v| v < new));
        if place > hole {
            sorted.copy_within(hole + 1..place, hole);
            sorted[place - 1] = *new;
        } else {
            sorted.copy_within(place..hole, place + 1);
            sorted[place] = *new;
        }
    }
    for out in &out[shared..] {
        sorted.remove(sorted.partition_point(|v| v < out));
    }
    for new in &new[shared..] {
        sorted.insert(sorted.partition_point(|v| v < new), *new);
    }
}

/// The warning for a quantile outside of 0..=1.
pub(crate) fn check(q: f64, position: Place) -> Option<Note> {
    (!is_valid(q)).then(|| Note::invalid_quantile(q, position))
}

/// `mad_over_time`: the median distance from the median.
pub(crate) fn median_deviation(
    window: &Window<'_>,
    buffer: &mut Vec<f64>,
    notes: &mut SeriesNotes<'_>,
) -> Option<Output> {
    let values = floats_only(window, notes)?;
    if values.iter().any(|v| v.is_nan()) {
        return Some(Output::Float(f64::NAN));
    }
    buffer.clear();
    buffer.extend_from_slice(values);
    let median = quantile(0.5, buffer);
    for value in buffer.iter_mut() {
        *value = (*value - median).abs();
    }
    Some(Output::Float(quantile(0.5, buffer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(0.75, &mut [1.0, 2.0]), 1.75);
        assert_eq!(quantile(-1.0, &mut [1.0]), f64::NEG_INFINITY);
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan());
    }
}
