//! Smoothed instant selectors: values between the samples before and after.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;
use thanoxide_model::histogram::CounterResetHint;

use super::column::Column;
use super::grid::{Grid, Modifiers};
use super::samples::{Window, WindowCutter, remove_stale};
use super::selection::{Selected, SelectionReader, Span};
use super::{Batch, BatchLen, Context, Scratch, SeriesColumn, Stream, for_each_series};
use crate::annotations::{Annotations, Place};
use crate::engine::QueryError;
use crate::functions::extended::interpolate;
use crate::functions::extended_histogram;
use crate::functions::range::{SeriesNote, SeriesNotes};

/// `x smoothed`
pub(crate) struct SmoothedSelector {
    reader: SelectionReader,
    smoother: Smoother,
    batch_len: BatchLen,
}

/// How each series is looked at.
#[derive(Clone, Copy)]
struct Smoother {
    span: Span,
    grid: Grid,
    modifiers: Modifiers,
    position: Place,
}

impl SmoothedSelector {
    pub(crate) fn new(reader: SelectionReader, grid: Grid, modifiers: Modifiers, position: Place) -> Self {
        let smoother = Smoother { span: reader.span(), grid, modifiers, position };
        SmoothedSelector { reader, smoother, batch_len: BatchLen::new(grid.steps) }
    }
}

impl Stream for SmoothedSelector {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let smoother = self.smoother;
        let steps = smoother.grid.steps;
        let selected = self.reader.read(self.batch_len.get(), cx)?;
        if selected.is_empty() {
            return Ok(None);
        }
        let _room = cx.budget.charge(selected.len().saturating_mul(steps.saturating_mul(8)))?;
        let smoothed = for_each_series(cx, selected, |scratch, one| smoother.smooth(scratch, &one, cx))?;
        let mut series = Vec::with_capacity(smoothed.len());
        for (one, notes) in smoothed {
            series.extend(one);
            cx.notes(notes);
        }
        self.batch_len.learn(&series);
        Batch::new(series, cx).map(Some)
    }
}

impl Smoother {
    fn smooth(
        self,
        scratch: &mut Scratch,
        selected: &Selected,
        cx: &Context<'_>,
    ) -> Result<(Option<SeriesColumn>, Annotations), QueryError> {
        self.span.decode(selected, &mut scratch.columns)?;
        remove_stale(&mut scratch.columns);
        let labels = &selected.series().labels;
        let mut notes = SeriesNotes::new(labels, self.position);
        let mut cutter = WindowCutter::new(&scratch.columns);
        let mut column = Column::empty(self.grid.steps);
        let lookback_ms = cx.settings.lookback_ms;
        for step in 0..self.grid.steps {
            let time_ms = self.modifiers.reference_ms(self.grid, step);
            let window = cutter.cut(time_ms.saturating_sub(lookback_ms), time_ms.saturating_add(lookback_ms));
            if window.is_mixed() {
                notes.about_metric(SeriesNote::MixedFloatsHistograms);
            } else if window.histograms.is_empty() {
                if let Some(value) = float_at(&window, time_ms) {
                    column.set_float(step, value);
                }
            } else if let Some(histogram) = histogram_at(&window, time_ms, &mut notes) {
                column.set_histogram(step, histogram);
            }
        }
        let series = SeriesColumn { labels: labels.clone(), drop_name: false, column };
        Ok(((!series.column.is_empty()).then_some(series), notes.notes))
    }
}

fn float_at(window: &Window<'_>, time_ms: i64) -> Option<f64> {
    let (times_ms, values) = (window.times_ms, window.values);
    let next = times_ms.partition_point(|t| *t < time_ms);
    if times_ms.get(next) == Some(&time_ms) {
        return Some(values[next]);
    }
    let before = next.checked_sub(1)?;
    match times_ms.get(next) {
        Some(after_ms) => {
            let (left, right) = ((times_ms[before], values[before]), (*after_ms, values[next]));
            Some(interpolate(left, right, time_ms, false))
        }
        None => Some(values[before]),
    }
}

fn histogram_at(window: &Window<'_>, time_ms: i64, notes: &mut SeriesNotes<'_>) -> Option<Arc<FloatHistogram>> {
    let (times_ms, all) = (window.histogram_times_ms, window.histograms);
    let next = times_ms.partition_point(|t| *t < time_ms);
    if times_ms.get(next) == Some(&time_ms) {
        return Some(Arc::clone(&all[next]));
    }
    let before = next.checked_sub(1)?;
    let left = &all[before];
    let Some(after_ms) = times_ms.get(next) else {
        // The hint speaks of neighbours, and this one has another now.
        let histogram = FloatHistogram { counter_reset_hint: CounterResetHint::Unknown, ..FloatHistogram::clone(left) };
        return Some(Arc::new(histogram));
    };
    let right = &all[next];
    if left.uses_custom_buckets() != right.uses_custom_buckets() {
        notes.about_metric(SeriesNote::MixedExponentialCustom);
        return None;
    }
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let is_counter = !(is_gauge(left) && is_gauge(right));
    let (left, right) = ((times_ms[before], &**left), (*after_ms, &**right));
    extended_histogram::interpolate(left, right, time_ms, is_counter, notes).map(Arc::new)
}
