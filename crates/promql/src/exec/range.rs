//! Functions over range selectors and subqueries: each series' samples once, then a window per step.

use hashbrown::HashSet;
use thanoxide_model::Labels;
use thanoxide_model::series::Columns;

use super::column::Column;
use super::grid::{Grid, Modifiers};
use super::merge::{same_labelset, without_name};
use super::samples::{self, Window, WindowCutter};
use super::scalar::{ScalarArg, ScalarColumn};
use super::selection::{Selected, SelectionReader, Span};
use super::tally::window_samples;
use super::{Batch, BatchLen, Context, SeriesColumn, Stream, for_each_series};
use crate::annotations::{Annotations, Note, Place};
use crate::engine::QueryError;
use crate::functions::range::{Edges, Evaluator, RangeCall, RangeFunction, SeriesNotes, store};
use crate::functions::sweep;

/// Where the samples come from.
pub(crate) enum RangeInput {
    Selector(SelectionReader),
    Subquery(Box<dyn Stream>),
}

/// A range of samples at each step.
pub(crate) struct Range {
    pub(crate) input: RangeInput,
    pub(crate) shape: RangeShape,
    /// Whether all series have the same name, so that without it they still differ.
    pub(crate) name_pinned: bool,
}

/// How samples are found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RangeSamples {
    /// In storage, in that span.
    Stored(Span),
    /// At the steps of that grid.
    Computed(Grid),
}

/// Which samples a step sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RangeShape {
    pub(crate) samples: RangeSamples,
    pub(crate) range_ms: i64,
    pub(crate) modifiers: Modifiers,
    pub(crate) edges: Edges,
}

/// One series to work on.
pub(crate) enum RangeSeries {
    Selected(Selected),
    Computed(SeriesColumn),
}

impl RangeSeries {
    pub(crate) fn labels(&self) -> &Labels {
        match self {
            RangeSeries::Selected(selected) => &selected.series().labels,
            RangeSeries::Computed(series) => &series.labels,
        }
    }

    pub(crate) fn drop_name(&self) -> bool {
        matches!(self, RangeSeries::Computed(series) if series.drop_name)
    }
}

impl Range {
    /// The next at most `limit` series, or what a subquery gives; empty at the end.
    pub(crate) fn read(&mut self, limit: usize, cx: &Context<'_>) -> Result<Vec<RangeSeries>, QueryError> {
        match &mut self.input {
            RangeInput::Selector(reader) => {
                Ok(reader.read(limit, cx)?.into_iter().map(RangeSeries::Selected).collect())
            }
            RangeInput::Subquery(inner) => loop {
                match inner.next(cx)? {
                    None => return Ok(Vec::new()),
                    Some(batch) if batch.series.is_empty() => {}
                    Some(batch) => return Ok(batch.series.into_iter().map(RangeSeries::Computed).collect()),
                }
            },
        }
    }
}

impl RangeShape {
    /// The samples of a series without stale markers.
    pub(crate) fn decode(&self, series: &RangeSeries, into: &mut Columns) -> Result<(), QueryError> {
        match (&self.samples, series) {
            (RangeSamples::Stored(span), RangeSeries::Selected(selected)) => {
                span.decode(selected, into)?;
                samples::remove_stale(into);
            }
            (RangeSamples::Computed(grid), RangeSeries::Computed(series)) => {
                samples::from_column(&series.column, *grid, into);
            }
            _ => return Err(QueryError::Internal("series of another range".into())),
        }
        Ok(())
    }

    /// The window of a step. Steps must not go back.
    pub(crate) fn window<'a>(
        &self,
        cutter: &mut WindowCutter<'a>,
        grid: Grid,
        step: usize,
        lookback_ms: i64,
    ) -> Window<'a> {
        let end_ms = self.modifiers.reference_ms(grid, step);
        let start_ms = end_ms.saturating_sub(self.range_ms);
        let (after_ms, until_ms) = match self.edges {
            Edges::Plain => (start_ms, end_ms),
            Edges::Anchored => (start_ms.saturating_sub(lookback_ms), end_ms),
            Edges::Smoothed => (start_ms.saturating_sub(lookback_ms), end_ms.saturating_add(lookback_ms)),
        };
        let window = cutter.cut(after_ms, until_ms);
        Window { range_start_ms: start_ms, range_end_ms: end_ms, time_ms: grid.time_ms(step), ..window }
    }
}

/// `rate(x[5m])` and its like.
pub(crate) struct RangeCallStream {
    range: Range,
    scalars: Vec<ScalarArg>,
    work: RangeWork,
    batch_len: BatchLen,
    seen: HashSet<Labels, foldhash::fast::RandomState>,
}

impl RangeCallStream {
    pub(crate) fn new(
        range: Range,
        function: RangeFunction,
        scalars: Vec<ScalarArg>,
        grid: Grid,
        position: Place,
    ) -> Self {
        let work = RangeWork { shape: range.shape, function, grid, position };
        RangeCallStream { range, scalars, work, batch_len: BatchLen::new(grid.steps), seen: HashSet::default() }
    }

    /// Without delayed name removal series must differ even before it is known whether they meet in time.
    fn check_unique(&mut self, series: &[SeriesColumn], cx: &Context<'_>) -> Result<(), QueryError> {
        if cx.settings.delayed_name_removal || self.range.name_pinned {
            return Ok(());
        }
        if series.iter().all(|s| self.seen.insert(s.labels.clone())) { Ok(()) } else { Err(same_labelset()) }
    }
}

/// So many samples may go by without a look at the deadline.
const CHECK_SAMPLES: usize = 1 << 15;

/// What is done with each series.
#[derive(Clone, Copy)]
struct RangeWork {
    shape: RangeShape,
    function: RangeFunction,
    grid: Grid,
    position: Place,
}

impl RangeWork {
    fn evaluate(
        &self,
        series: &RangeSeries,
        columns: &mut Columns,
        scalars: &[ScalarColumn],
        cx: &Context<'_>,
    ) -> Result<(Option<SeriesColumn>, Annotations), QueryError> {
        self.shape.decode(series, columns)?;
        let _charge = cx.budget.charge(columns.len() * 16)?;
        if !(cx.settings.use_start_timestamps && self.function.uses_start_times()) {
            columns.start_timestamps_ms.clear();
            columns.histogram_start_timestamps_ms.clear();
        }
        let call = RangeCall {
            function: self.function,
            edges: self.shape.edges,
            range_ms: self.shape.range_ms,
            scalars,
            position: self.position,
        };
        let mut notes = SeriesNotes::new(series.labels(), call.position);
        let column = self.sweep(&call, columns, &mut notes, cx)?;
        if self.function.expects_counter() && column.floats.any() {
            check_counter(series.labels(), cx.settings.type_and_unit_labels, &mut notes);
        }
        let notes = notes.notes;
        Ok(((!column.is_empty()).then(|| self.name(series, column, cx)), notes))
    }

    fn sweep(
        &self,
        call: &RangeCall<'_>,
        columns: &Columns,
        notes: &mut SeriesNotes<'_>,
        cx: &Context<'_>,
    ) -> Result<Column, QueryError> {
        let mut column = Column::empty(self.grid.steps);
        if columns.is_empty() {
            return Ok(column);
        }
        if sweep::is_open(call, columns) {
            let (grid, modifiers) = (self.grid, self.shape.modifiers);
            let ends_ms = (0..grid.steps).map(move |step| modifiers.reference_ms(grid, step));
            cx.tally.add(sweep::sweep(&cx.deadline, call, columns, ends_ms, &mut column, notes));
            self.place_windows(columns, cx);
            cx.deadline.check()?;
            return Ok(column);
        }
        let mut evaluator = Evaluator::new(call, columns);
        let mut cutter = WindowCutter::new(columns);
        let (mut looked_at, mut unchecked) = (0, 0);
        for step in 0..self.grid.steps {
            let window = self.shape.window(&mut cutter, self.grid, step, cx.settings.lookback_ms);
            if window.is_empty() {
                continue;
            }
            looked_at += window_samples(&window);
            if let Some(output) = evaluator.evaluate(&window, step, notes)? {
                store(&mut column, step, output);
            }
            unchecked += 1 + window.len();
            if unchecked > CHECK_SAMPLES {
                cx.deadline.check()?;
                unchecked = 0;
            }
        }
        cx.tally.add(looked_at as u64);
        self.place_windows(columns, cx);
        Ok(column)
    }

    /// Tells at which steps the samples were, if that is asked for.
    fn place_windows(&self, columns: &Columns, cx: &Context<'_>) {
        if !cx.tally.is_by_step() {
            return;
        }
        let mut cutter = WindowCutter::new(columns);
        for step in 0..self.grid.steps {
            let window = self.shape.window(&mut cutter, self.grid, step, cx.settings.lookback_ms);
            cx.tally.place(step, window_samples(&window) as u64);
        }
    }

    fn name(&self, series: &RangeSeries, column: Column, cx: &Context<'_>) -> SeriesColumn {
        let drop_name = series.drop_name() || !self.function.keeps_name();
        let delayed = cx.settings.delayed_name_removal;
        let labels = if drop_name && !delayed { without_name(series.labels()) } else { series.labels().clone() };
        SeriesColumn { labels, drop_name: drop_name && delayed, column }
    }
}

fn check_counter(labels: &Labels, by_type: bool, notes: &mut SeriesNotes<'_>) {
    const SUFFIXES: [&[u8]; 4] = [b"_total", b"_sum", b"_count", b"_bucket"];
    let name = labels.metric_name();
    if name.is_empty() {
        return;
    }
    if by_type {
        let kind = labels.value("__type__");
        if kind != b"counter" && kind != b"histogram" {
            notes.add(|position| Note::possible_non_counter_label(name, kind, position));
        }
    } else if !SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        notes.add(|position| Note::possible_non_counter(name, position));
    }
}

impl Stream for RangeCallStream {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let scalars: Vec<ScalarColumn> =
            self.scalars.iter_mut().map(|s| s.column(cx).cloned()).collect::<Result<_, _>>()?;
        let work = self.work;
        let steps = work.grid.steps;
        loop {
            let input = cx.tally.muted(|| self.range.read(self.batch_len.get(), cx))?;
            if input.is_empty() {
                return Ok(None);
            }
            let mut charge = cx.budget.charge(input.len().saturating_mul(steps.saturating_mul(8)))?;
            let evaluated = for_each_series(cx, input, |scratch, series| {
                work.evaluate(&series, &mut scratch.columns, &scalars, cx)
            })?;
            let mut series = Vec::with_capacity(evaluated.len());
            for (one, notes) in evaluated {
                series.extend(one);
                cx.notes(notes);
            }
            self.batch_len.learn(&series);
            self.check_unique(&series, cx)?;
            charge.add(series.iter().map(|s| s.column.bytes() - s.column.values.len() * 8).sum())?;
            if !series.is_empty() {
                return Ok(Some(Batch { series, charge }));
            }
        }
    }
}
