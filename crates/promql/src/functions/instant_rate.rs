//! `irate` and `idelta`: from the last but one sample to the last, of whatever kind.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;
use thanoxide_model::histogram::CounterResetHint;
use thanoxide_model::series::Columns;

use super::histogram_rate;
use super::range::{Output, SeriesNote, SeriesNotes};
use super::start_time::{Started, is_reset};
use super::sweep::Windows;
use crate::exec::arithmetic::copy;
use crate::exec::column::Column;
use crate::exec::samples::Window;

#[derive(Clone, Copy)]
enum Kind<'a> {
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

#[derive(Clone, Copy)]
struct Sample<'a> {
    at: Started,
    kind: Kind<'a>,
}

/// The last two samples, older first.
fn last_two<'a>(window: &Window<'a>) -> Option<(Sample<'a>, Sample<'a>)> {
    let start = |starts: &[i64], i: usize| starts.get(i).copied().unwrap_or(0);
    let floats = (0..window.times_ms.len()).rev().take(2).map(|i| Sample {
        at: Started { start_ms: start(window.starts_ms, i), time_ms: window.times_ms[i] },
        kind: Kind::Float(window.values[i]),
    });
    let histograms = (0..window.histogram_times_ms.len()).rev().take(2).map(|i| Sample {
        at: Started { start_ms: start(window.histogram_starts_ms, i), time_ms: window.histogram_times_ms[i] },
        kind: Kind::Histogram(&window.histograms[i]),
    });
    let mut newest: Vec<Sample<'a>> = floats.chain(histograms).collect();
    newest.sort_by_key(|s| std::cmp::Reverse(s.at.time_ms));
    (newest.len() >= 2).then(|| (newest[1], newest[0]))
}

/// All windows of a series that has nothing but floats without start times.
pub(crate) fn sweep(is_rate: bool, columns: &Columns, windows: &Windows<'_>, column: &mut Column) {
    for (step, (low, high)) in windows.filled() {
        if high - low < 2 {
            continue;
        }
        let (old, new) = (columns.values[high - 2], columns.values[high - 1]);
        let interval_ms = columns.timestamps_ms[high - 1] - columns.timestamps_ms[high - 2];
        if interval_ms != 0 {
            let change = if is_rate && new < old { new } else { new - old };
            column.set_float(step, if is_rate { change / (interval_ms as f64 / 1000.0) } else { change });
        }
    }
}

/// The change, per second if it is a rate.
pub(crate) fn between_last_two(is_rate: bool, window: &Window<'_>, notes: &mut SeriesNotes<'_>) -> Option<Output> {
    let (before, after) = last_two(window)?;
    let interval_ms = after.at.time_ms - before.at.time_ms;
    if interval_ms == 0 {
        return None;
    }
    let seconds = interval_ms as f64 / 1000.0;
    let started_anew = is_reset(before.at, after.at);
    match (before.kind, after.kind) {
        (Kind::Float(old), Kind::Float(new)) => {
            let change = if is_rate && (new < old || started_anew) { new } else { new - old };
            Some(Output::Float(if is_rate { change / seconds } else { change }))
        }
        (Kind::Histogram(old), Kind::Histogram(new)) => {
            let mut change = histogram_change(is_rate, old, new, started_anew, notes)?;
            if is_rate {
                change.div(seconds);
            }
            Some(Output::from(change))
        }
        _ => {
            notes.about_metric(SeriesNote::MixedFloatsHistograms);
            None
        }
    }
}

fn histogram_change(
    is_rate: bool,
    old: &FloatHistogram,
    new: &FloatHistogram,
    started_anew: bool,
    notes: &mut SeriesNotes<'_>,
) -> Option<FloatHistogram> {
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    if is_rate && (is_gauge(old) || is_gauge(new)) {
        notes.about_metric(SeriesNote::NotCounter);
    }
    if !(is_rate || is_gauge(old) && is_gauge(new)) {
        notes.about_metric(SeriesNote::NotGauge);
    }
    let mut change = copy(new);
    if !is_rate || !(started_anew || new.detect_reset(old)) {
        histogram_rate::sub(&mut change, old, notes)?;
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    change.compact(0);
    Some(change)
}
