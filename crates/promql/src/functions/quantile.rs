//! Quantiles of plain values.

use std::cmp::Ordering;

use super::over_time::floats_only;
use super::range::{Output, SeriesNotes};
use crate::annotations::Note;
use crate::exec::samples::Window;

/// Interpolates at rank `q * (n - 1)`. Sorts the values; NaN comes first.
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
    values.sort_unstable_by(nan_first);
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

/// The warning for a quantile outside of 0..=1.
pub(crate) fn check(q: f64, position: usize) -> Option<Note> {
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
