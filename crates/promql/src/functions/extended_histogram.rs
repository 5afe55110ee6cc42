//! Anchored and smoothed ranges of native histograms.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;
use thanoxide_model::histogram::CounterResetHint;

use super::extended::edge_indexes;
use super::histogram_rate::{add, sub};
use super::range::{Edges, Output, RangeCall, RangeFunction, SeriesNote, SeriesNotes};
use crate::exec::samples::Window;

/// A histogram and its time.
pub(crate) type Point<'a> = (i64, &'a FloatHistogram);

/// The histogram at `time_ms` between two; a counter that is reset is taken to rise from nothing.
pub(crate) fn interpolate(
    left: Point<'_>,
    right: Point<'_>,
    time_ms: i64,
    is_counter: bool,
    notes: &mut SeriesNotes<'_>,
) -> Option<FloatHistogram> {
    if time_ms == left.0 {
        return Some(left.1.clone());
    }
    let mut result = right.1.clone();
    if time_ms == right.0 {
        return Some(result);
    }
    let fraction = (time_ms - left.0) as f64 / (right.0 - left.0) as f64;
    if is_counter && right.1.detect_reset(left.1) {
        result.mul(fraction);
        return Some(result);
    }
    sub(&mut result, left.1, notes)?;
    result.mul(fraction);
    add(&mut result, left.1, notes)?;
    Some(result)
}

pub(crate) fn rate(call: &RangeCall<'_>, window: &Window<'_>, notes: &mut SeriesNotes<'_>) -> Option<Output> {
    let (smoothed, is_counter) = (call.edges == Edges::Smoothed, call.function != RangeFunction::Delta);
    let (start_ms, end_ms) = (window.range_start_ms, window.range_end_ms);
    let (first, last) = edge_indexes(window.histogram_times_ms, smoothed, start_ms, end_ms)?;
    check(&window.histograms[first..=last], is_counter, notes)?;
    let point = |i: usize| -> Point<'_> { (window.histogram_times_ms[i], &window.histograms[i]) };
    let left = if smoothed && point(first).0 < start_ms {
        interpolate(point(first), point(first + 1), start_ms, is_counter, notes)?
    } else {
        point(first).1.clone()
    };
    let right = if smoothed && last > 0 && point(last).0 > end_ms {
        interpolate(point(last - 1), point(last), end_ms, is_counter, notes)?
    } else {
        point(last).1.clone()
    };
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    if !(is_counter || is_gauge(&left) && is_gauge(&right)) {
        notes.about_metric(SeriesNote::NotGauge);
    }
    let mut change = right.clone();
    sub(&mut change, &left, notes)?;
    if is_counter {
        let skip_first = smoothed
            && point(first).0 < start_ms
            && window.histograms[first + 1].detect_reset(&window.histograms[first]);
        if let Some(lost) = lost_to_resets(&left, &right, &window.histograms[first..=last], skip_first, notes)? {
            add(&mut change, &lost, notes)?;
        }
    }
    if call.function == RangeFunction::Rate {
        change.div(call.range_seconds());
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    change.compact(0);
    Some(Output::from(change))
}

/// Refuses a mix of layouts; says so where a counter is a gauge.
fn check(histograms: &[Arc<FloatHistogram>], is_counter: bool, notes: &mut SeriesNotes<'_>) -> Option<()> {
    for histogram in histograms {
        if histogram.uses_custom_buckets() != histograms[0].uses_custom_buckets() {
            notes.about_metric(SeriesNote::MixedExponentialCustom);
            return None;
        }
        if is_counter && histogram.counter_reset_hint == CounterResetHint::Gauge {
            notes.about_metric(SeriesNote::NotCounter);
        }
    }
    Some(())
}

/// What resets between the edges took. The edges stand for the first and the last sample; `skip_first` says that the
/// left edge was interpolated across a reset, which is accounted for by that. `Some(None)` is nothing.
#[allow(clippy::option_option)]
fn lost_to_resets(
    left: &FloatHistogram,
    right: &FloatHistogram,
    histograms: &[Arc<FloatHistogram>],
    skip_first: bool,
    notes: &mut SeriesNotes<'_>,
) -> Option<Option<FloatHistogram>> {
    let mut before = left;
    let mut first = 1;
    if skip_first {
        before = &histograms[1];
        first = 2;
    }
    let last = histograms.len() - 1;
    if first > last {
        return Some(None);
    }
    let mut lost: Option<FloatHistogram> = None;
    let between = histograms[first..last].iter().map(|h| &**h);
    for histogram in between.chain([right]) {
        if histogram.detect_reset(before) {
            match &mut lost {
                Some(lost) => add(lost, before, notes)?,
                None => lost = Some(before.clone()),
            }
        }
        before = histogram;
    }
    Some(lost)
}
