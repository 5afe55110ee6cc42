//! `min_over_time`, `max_over_time` and when they were.

use super::over_time::floats_only;
use super::range::{Output, RangeFunction, SeriesNotes};
use super::sweep::Windows;
use crate::exec::column::Column;
use crate::exec::samples::Window;

/// The extreme value of a window, or its time; NaN only where all are NaN.
pub(crate) fn extreme(function: RangeFunction, window: &Window<'_>, notes: &mut SeriesNotes<'_>) -> Option<Output> {
    let values = floats_only(window, notes)?;
    let (index, value) = match function {
        RangeFunction::MaxOverTime => last_better(values, |new, old| new > old),
        RangeFunction::MinOverTime => last_better(values, |new, old| new < old),
        // The newest of equal ones.
        RangeFunction::TsOfMaxOverTime => last_better(values, |new, old| new >= old),
        _ => last_better(values, |new, old| new <= old),
    };
    Some(Output::Float(match function {
        RangeFunction::MaxOverTime | RangeFunction::MinOverTime => value,
        _ => window.times_ms[index] as f64 / 1000.0,
    }))
}

fn last_better(values: &[f64], better: impl Fn(f64, f64) -> bool) -> (usize, f64) {
    let mut best = (0, values[0]);
    for (i, value) in values.iter().enumerate() {
        if better(*value, best.1) || best.1.is_nan() {
            best = (i, *value);
        }
    }
    best
}

/// The extremes of all windows. The extreme of each stretch of 2, 4, 8... samples is found from those of half the length;
/// two stretches that may overlap make a window.
pub(crate) fn sweep(values: &[f64], windows: &Windows<'_>, column: &mut Column, better: impl Fn(f64, f64) -> bool) {
    // The first of equal ones; NaN gives way to anything, even to another NaN.
    let pick = |old: f64, new: f64| if better(new, old) || old.is_nan() { new } else { old };
    if windows.samples <= 2 * values.len() {
        return windows.fill(column, |low, high| values[low + 1..high].iter().copied().fold(values[low], pick));
    }
    let (mut stretches, mut next) = (values.to_vec(), Vec::with_capacity(values.len()));
    let mut length = 1;
    while length <= windows.longest {
        for (step, (low, high)) in windows.filled() {
            if (length..2 * length).contains(&(high - low)) {
                column.set_float(step, pick(stretches[low], stretches[high - length]));
            }
        }
        next.clear();
        next.extend(stretches.iter().zip(stretches.get(length..).unwrap_or_default()).map(|(a, b)| pick(*a, *b)));
        std::mem::swap(&mut stretches, &mut next);
        length *= 2;
    }
}
