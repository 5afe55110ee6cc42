//! `deriv` and `predict_linear`: least squares.

use thanoxide_model::kahan;

use super::range::{Output, SeriesNote, SeriesNotes};
use crate::exec::samples::Window;

/// Slope per second, and the value at `zero_ms`.
fn least_squares(times_ms: &[i64], values: &[f64], zero_ms: i64) -> (f64, f64) {
    if values.iter().all(|v| *v == values[0]) {
        return if values[0].is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, values[0]) };
    }
    let (mut x, mut y, mut xy, mut xx) = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0));
    for (time_ms, value) in times_ms.iter().zip(values) {
        let seconds = (time_ms - zero_ms) as f64 / 1e3;
        x = kahan::add(seconds, x.0, x.1);
        y = kahan::add(*value, y.0, y.1);
        xy = kahan::add(seconds * value, xy.0, xy.1);
        xx = kahan::add(seconds * seconds, xx.0, xx.1);
    }
    let n = values.len() as f64;
    let (x, y, xy, xx) = (x.0 + x.1, y.0 + y.1, xy.0 + xy.1, xx.0 + xx.1);
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

fn enough_floats(window: &Window<'_>, notes: &mut SeriesNotes<'_>) -> bool {
    if window.is_mixed() {
        notes.about_metric(SeriesNote::IgnoredInMixedRange);
    }
    window.values.len() >= 2
}

/// `deriv`: time is counted from the first sample, which keeps the numbers small.
pub(crate) fn deriv(window: &Window<'_>, notes: &mut SeriesNotes<'_>) -> Option<Output> {
    enough_floats(window, notes)
        .then(|| Output::Float(least_squares(window.times_ms, window.values, window.times_ms[0]).0))
}

/// `predict_linear`: time is counted from the evaluation.
pub(crate) fn predict(window: &Window<'_>, seconds: f64, notes: &mut SeriesNotes<'_>) -> Option<Output> {
    enough_floats(window, notes).then(|| {
        let (slope, intercept) = least_squares(window.times_ms, window.values, window.time_ms);
        Output::Float(slope * seconds + intercept)
    })
}
