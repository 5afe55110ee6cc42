//! `double_exponential_smoothing`.

use super::range::{Output, SeriesNote, SeriesNotes};
use crate::engine::QueryError;
use crate::exec::samples::Window;

fn check(factor: f64, which: &str) -> Result<(), QueryError> {
    if factor <= 0.0 || factor >= 1.0 {
        let text = format!("invalid {which} factor. Expected: 0 < {}f < 1, got: {factor:.6}", &which[..1]);
        return Err(QueryError::Execution(text));
    }
    Ok(())
}

/// Each value is smoothed by `smoothing`, its trend by `trend`.
pub(crate) fn double_exponential(
    window: &Window<'_>,
    smoothing: f64,
    trend: f64,
    notes: &mut SeriesNotes<'_>,
) -> Result<Option<Output>, QueryError> {
    check(smoothing, "smoothing")?;
    check(trend, "trend")?;
    let values = window.values;
    if window.is_mixed() {
        notes.about_metric(SeriesNote::IgnoredInMixedRange);
    }
    if values.len() < 2 {
        return Ok(None);
    }
    let (mut before, mut level, mut slope) = (0.0, values[0], values[1] - values[0]);
    for (i, value) in values.iter().enumerate().skip(1) {
        if i > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    Ok(Some(Output::Float(level)))
}
