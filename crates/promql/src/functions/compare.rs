//! `min_over_time`, `max_over_time` and when they were.

use super::over_time::floats_only;
use super::range::{Output, RangeFunction, SeriesNotes};
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
