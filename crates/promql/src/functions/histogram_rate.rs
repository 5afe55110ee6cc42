//! The change of a native histogram over a window.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;
use thanoxide_model::histogram::CounterResetHint;

use super::range::{SeriesNote, SeriesNotes};
use super::start_time;
use crate::annotations::{HistogramOperation, Note};
use crate::exec::samples::Window;

/// Adds in place; `None` where the layouts do not fit each other.
pub(crate) fn add(base: &mut FloatHistogram, other: &FloatHistogram, notes: &mut SeriesNotes<'_>) -> Option<()> {
    let combined = base.add(other);
    settle(combined, HistogramOperation::Add, notes)
}

/// Subtracts in place; `None` where the layouts do not fit each other.
pub(crate) fn sub(base: &mut FloatHistogram, other: &FloatHistogram, notes: &mut SeriesNotes<'_>) -> Option<()> {
    let combined = base.sub(other);
    settle(combined, HistogramOperation::Sub, notes)
}

fn settle<E>(
    combined: Result<thanoxide_model::histogram::Combined, E>,
    operation: HistogramOperation,
    notes: &mut SeriesNotes<'_>,
) -> Option<()> {
    let Ok(combined) = combined else {
        notes.about_metric(SeriesNote::MixedExponentialCustom);
        return None;
    };
    if combined.bounds_reconciled {
        notes.add(|position| Note::reconciled_custom_buckets(operation, position));
    }
    Some(())
}

/// Last minus first plus what resets took, of at least two histograms; a gauge. `None` where they do not fit.
pub(crate) fn change(
    is_counter: bool,
    window: &Window<'_>,
    notes: &mut SeriesNotes<'_>,
) -> Option<Arc<FloatHistogram>> {
    let all = window.histograms;
    let (times_ms, starts_ms) = (window.histogram_times_ms, window.histogram_starts_ms);
    let (first, last) = (&all[0], &all[all.len() - 1]);
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    if is_counter && (is_gauge(first) || is_gauge(last)) {
        notes.about_metric(SeriesNote::NotCounter);
    }
    let mut base = Arc::clone(first);
    if is_counter && (start_time::is_reset_at(times_ms, starts_ms, 1) || all[1].detect_reset(first)) {
        // The first sample does not count, and so must not spoil the layout.
        base = Arc::new(FloatHistogram {
            schema: all[1].schema,
            custom_values: Arc::clone(&all[1].custom_values),
            ..FloatHistogram::default()
        });
    }
    let custom = base.uses_custom_buckets();
    if last.uses_custom_buckets() != custom {
        notes.about_metric(SeriesNote::MixedExponentialCustom);
        return None;
    }
    let mut schema = last.schema.min(base.schema);
    for histogram in all[1..all.len() - 1].iter().filter(|_| is_counter) {
        if is_gauge(histogram) {
            notes.about_metric(SeriesNote::NotCounter);
        }
        schema = schema.min(histogram.schema);
        if histogram.uses_custom_buckets() != custom {
            notes.about_metric(SeriesNote::MixedExponentialCustom);
            return None;
        }
    }
    // Made where it stays: histograms are long to move about.
    let mut made = Arc::clone(last);
    let change = Arc::make_mut(&mut made);
    if schema != change.schema {
        change.counter_reset_hint = CounterResetHint::Unknown;
        change.reduce_resolution(schema).ok()?;
    }
    sub(change, &base, notes)?;
    if is_counter {
        add_resets(change, base, window, notes)?;
    } else if !is_gauge(first) || !is_gauge(last) {
        notes.about_metric(SeriesNote::NotGauge);
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    change.compact(0);
    Some(made)
}

fn add_resets(
    change: &mut FloatHistogram,
    base: Arc<FloatHistogram>,
    window: &Window<'_>,
    notes: &mut SeriesNotes<'_>,
) -> Option<()> {
    let (times_ms, starts_ms) = (window.histogram_times_ms, window.histogram_starts_ms);
    if start_time::pairs(times_ms, starts_ms).any(|(a, b)| start_time::overlaps(a, b.start_ms)) {
        notes.start_time_overlap();
    }
    let mut before = &base;
    for (i, histogram) in window.histograms.iter().enumerate().skip(1) {
        if start_time::is_reset_at(times_ms, starts_ms, i) || histogram.detect_reset(before) {
            add(change, before, notes)?;
        }
        before = histogram;
    }
    Some(())
}
