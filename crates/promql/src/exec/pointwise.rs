//! Functions that look at one value at a time.

use thanoxide_model::FloatHistogram;

use super::column::Column;
use super::grid::Grid;
use super::merge::without_name;
use super::scalar::{ScalarArg, ScalarColumn};
use super::{Batch, Context, SeriesColumn, Stream, first_error};
use crate::engine::QueryError;
use crate::functions::date::DatePart;
use crate::functions::float::FloatFunction;
use crate::functions::math;

/// What is done to each value.
pub(crate) enum Pointwise {
    /// `abs(v)`: floats only.
    Float(FloatFunction),
    /// `clamp(v, min, max)`; either may be missing.
    Clamp { min: Option<ScalarArg>, max: Option<ScalarArg> },
    /// `round(v, to)`
    Round { to: Option<ScalarArg> },
    /// `histogram_count(v)`: histograms only.
    OfHistogram(fn(&FloatHistogram) -> f64),
    /// `timestamp(v)` of anything but a selector: the time of the step.
    StepTime,
    /// `-v`
    Negate,
}

/// A pointwise function over a vector; drops the name.
pub(crate) struct PointwiseStream {
    pub(crate) inner: Box<dyn Stream>,
    pub(crate) function: Pointwise,
    pub(crate) grid: Grid,
}

impl Stream for PointwiseStream {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let batch = self.inner.next(cx)?;
        // Even if there is no series: the arguments may fail, or have something to tell.
        let work = match self.function.prepare(cx) {
            Err(error) if batch.is_some() => return Err(first_error(&mut *self.inner, error, cx)),
            work => work?,
        };
        let Some(mut batch) = batch else { return Ok(None) };
        for series in &mut batch.series {
            work.apply(&mut series.column, self.grid);
            drop_name(series, cx);
        }
        batch.series.retain(|s| !s.column.is_empty());
        Ok(Some(batch))
    }
}

/// Drops the name, now or at the end.
pub(crate) fn drop_name(series: &mut SeriesColumn, cx: &Context<'_>) {
    if cx.settings.delayed_name_removal {
        series.drop_name = true;
    } else {
        series.labels = without_name(&series.labels);
    }
}

/// A function with its arguments at hand.
enum Work<'a> {
    Float(FloatFunction),
    Clamp { min: Option<&'a ScalarColumn>, max: Option<&'a ScalarColumn> },
    Round { to: Option<&'a ScalarColumn> },
    OfHistogram(fn(&FloatHistogram) -> f64),
    StepTime,
    Negate,
}

impl Pointwise {
    fn prepare(&mut self, cx: &Context<'_>) -> Result<Work<'_>, QueryError> {
        fn column<'a>(
            arg: &'a mut Option<ScalarArg>,
            cx: &Context<'_>,
        ) -> Result<Option<&'a ScalarColumn>, QueryError> {
            arg.as_mut().map(|a| a.column(cx)).transpose()
        }
        Ok(match self {
            Pointwise::Float(function) => Work::Float(*function),
            Pointwise::Clamp { min, max } => Work::Clamp { min: column(min, cx)?, max: column(max, cx)? },
            Pointwise::Round { to } => Work::Round { to: column(to, cx)? },
            Pointwise::OfHistogram(function) => Work::OfHistogram(*function),
            Pointwise::StepTime => Work::StepTime,
            Pointwise::Negate => Work::Negate,
        })
    }
}

impl Work<'_> {
    fn apply(&self, column: &mut Column, grid: Grid) {
        match self {
            Work::Float(function) => map_floats(column, |_, v| function(v)),
            Work::Round { to } => map_floats(column, |i, v| math::round_to(v, to.map_or(1.0, |t| t.get(i)))),
            Work::Clamp { min, max } => clamp(column, *min, *max),
            Work::OfHistogram(function) => of_histograms(column, *function),
            Work::StepTime => step_times(column, grid),
            Work::Negate => negate(column),
        }
    }
}

fn map_floats(column: &mut Column, function: impl Fn(usize, f64) -> f64) {
    column.keep_floats();
    if column.floats.is_full() {
        column.values.iter_mut().enumerate().for_each(|(i, v)| *v = function(i, *v));
        return;
    }
    for step in column.floats.ones() {
        column.values[step] = function(step, column.values[step]);
    }
}

fn clamp(column: &mut Column, min: Option<&ScalarColumn>, max: Option<&ScalarColumn>) {
    column.keep_floats();
    for step in 0..column.steps() {
        let low = min.map_or(f64::NEG_INFINITY, |m| m.get(step));
        let high = max.map_or(f64::INFINITY, |m| m.get(step));
        if high < low {
            column.remove(step);
        } else if column.floats.get(step) {
            column.values[step] = math::max(low, math::min(high, column.values[step]));
        }
    }
}

fn of_histograms(column: &mut Column, function: fn(&FloatHistogram) -> f64) {
    let mut floats = Column::empty(column.steps());
    for (step, histogram) in column.histograms.iter().enumerate() {
        if let Some(histogram) = histogram {
            floats.set_float(step, function(histogram));
        }
    }
    *column = floats;
}

fn step_times(column: &mut Column, grid: Grid) {
    let present = column.present();
    column.keep_floats();
    for step in present.ones() {
        column.set_float(step, grid.time_ms(step) as f64 / 1000.0);
    }
}

fn negate(column: &mut Column) {
    column.values.iter_mut().for_each(|v| *v = -*v);
    for histogram in column.histograms.iter_mut().flatten() {
        let mut negated = super::arithmetic::copy(histogram);
        negated.mul(-1.0);
        *histogram = std::sync::Arc::new(negated);
    }
}

/// `vector(s)`, and date functions without argument: one series without labels.
pub(crate) struct OfScalar {
    pub(crate) scalar: Option<ScalarArg>,
    pub(crate) part: Option<DatePart>,
    pub(crate) grid: Grid,
}

impl Stream for OfScalar {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(mut scalar) = self.scalar.take() else { return Ok(None) };
        let _room = cx.budget.charge(self.grid.steps.saturating_mul(8))?;
        let mut values = scalar.column(cx)?.clone().into_values(self.grid.steps);
        if let Some(part) = self.part {
            values = self.grid.times_ms().map(|t| part.of(t / 1000)).collect();
        }
        let series =
            SeriesColumn { labels: thanoxide_model::Labels::empty(), drop_name: false, column: Column::full(values) };
        Batch::new(vec![series], cx).map(Some)
    }
}
