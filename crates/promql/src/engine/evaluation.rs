//! A planned query becomes its answer.

use std::sync::Arc;

use thanoxide_model::Labels;
use thanoxide_model::series::Columns;

use crate::exec::column::Cell;
use crate::exec::grid::Grid;
use crate::exec::merge::{merge, without_name};
use crate::exec::range::{Range, RangeSamples};
use crate::exec::samples::WindowCutter;
use crate::exec::tally::points_samples;
use crate::exec::{Batch, Context, SeriesColumn, Stream};
use crate::functions::extended::bare_range;
use crate::functions::range::Edges;
use crate::plan::Root;
use crate::points::Points;
use crate::types::ValueType;
use crate::value::{MatrixSeries, QueryValue, Value, VectorSample};

use super::QueryError;

/// Series of a bare range that are read at once.
const BARE_BATCH: usize = 64;

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Instant,
    Range { end_ms: i64 },
}

pub(super) struct Evaluation<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) grid: Grid,
    pub(super) kind: Kind,
}

impl Evaluation<'_> {
    /// The answer, whole.
    pub(super) fn evaluate(&self, root: Root, value_type: ValueType) -> Result<QueryValue, QueryError> {
        let timestamp_ms = self.grid.start_ms;
        match (root, self.kind) {
            (Root::Text(value), _) => Ok(QueryValue::String { timestamp_ms, value }),
            (Root::Scalar(scalar), Kind::Instant) => {
                let value = scalar.evaluate(self.grid, self.cx)?.get(0);
                Ok(QueryValue::Scalar { timestamp_ms, value })
            }
            (Root::Scalar(scalar), Kind::Range { .. }) => {
                let values = scalar.evaluate(self.grid, self.cx)?.into_values(self.grid.steps);
                let floats = Points::new(self.grid.times_ms().collect(), values);
                let series = MatrixSeries { floats, ..MatrixSeries::default() };
                Ok(QueryValue::Matrix(if self.grid.steps == 0 { Vec::new() } else { vec![series] }))
            }
            (Root::Range(range), _) => self.bare_range(range).map(QueryValue::Matrix),
            (Root::Vector(stream), Kind::Instant) => {
                debug_assert_eq!(value_type, ValueType::Vector);
                self.vector(stream).map(QueryValue::Vector)
            }
            (Root::Vector(stream), Kind::Range { .. }) => self.matrix(stream).map(QueryValue::Matrix),
        }
    }

    /// All series, with the names gone that are to go.
    fn series(&self, mut stream: Box<dyn Stream>) -> Result<Batch, QueryError> {
        let mut batch = crate::exec::collect(&mut *stream, self.cx)?;
        self.settle_names(&mut batch.series)?;
        Ok(batch)
    }

    fn settle_names(&self, series: &mut Vec<SeriesColumn>) -> Result<(), QueryError> {
        if !self.cx.settings.delayed_name_removal {
            return Ok(());
        }
        for one in series.iter_mut().filter(|s| s.drop_name) {
            one.labels = without_name(&one.labels);
        }
        *series = merge(std::mem::take(series), self.cx)?;
        Ok(())
    }

    fn vector(&self, stream: Box<dyn Stream>) -> Result<Vec<VectorSample>, QueryError> {
        let timestamp_ms = self.grid.start_ms;
        let sample = |series: SeriesColumn| {
            let value = match series.column.cell(0)? {
                Cell::Float(value) => Value::Float(value),
                Cell::Histogram(histogram) => Value::Histogram(Arc::clone(histogram)),
            };
            Some(VectorSample { labels: series.labels, timestamp_ms, value })
        };
        Ok(self.series(stream)?.series.into_iter().filter_map(sample).collect())
    }

    fn matrix(&self, mut stream: Box<dyn Stream>) -> Result<Vec<MatrixSeries>, QueryError> {
        let mut matrix = Vec::new();
        let mut charge = self.cx.budget.charge(0)?;
        let times_ms: Arc<[i64]> = self.grid.times_ms().collect();
        if self.cx.settings.delayed_name_removal {
            let batch = self.series(stream)?;
            matrix.extend(batch.series.into_iter().map(|s| self.points(s, &times_ms)));
        } else {
            while let Some(batch) = stream.next(self.cx)? {
                let points: usize = batch.series.iter().map(|s| s.column.floats.count()).sum();
                charge.add(points * 16)?;
                matrix.extend(batch.series.into_iter().map(|s| self.points(s, &times_ms)));
            }
        }
        matrix.retain(|s| !(s.floats.is_empty() && s.histograms.is_empty()));
        Ok(matrix)
    }

    fn points(&self, series: SeriesColumn, times_ms: &Arc<[i64]>) -> MatrixSeries {
        let column = series.column;
        let floats = match column.floats.is_full() {
            true => Points::new(Arc::clone(times_ms), column.values),
            false => column.floats.ones().map(|step| (times_ms[step], column.values[step])).collect(),
        };
        let histograms = column.histograms.into_iter().enumerate();
        let histograms = histograms.filter_map(|(step, h)| h.map(|h| (self.grid.time_ms(step), h))).collect();
        MatrixSeries { labels: series.labels, floats, histograms }
    }

    /// `x[5m]` on its own: the samples themselves.
    fn bare_range(&self, mut range: Range) -> Result<Vec<MatrixSeries>, QueryError> {
        let mut matrix: Vec<(MatrixSeries, bool)> = Vec::new();
        let mut columns = Columns::default();
        let mut charge = self.cx.budget.charge(0)?;
        loop {
            let input = range.read(BARE_BATCH, self.cx)?;
            if input.is_empty() {
                break;
            }
            for series in input {
                range.shape.decode(&series, &mut columns)?;
                charge.add(columns.len() * 16)?;
                let one = self.bare_series(&range, &columns, series.labels())?;
                if matches!(range.shape.samples, RangeSamples::Stored(_)) {
                    self.count_bare(&one);
                }
                if !(one.floats.is_empty() && one.histograms.is_empty()) {
                    matrix.push((one, series.drop_name()));
                }
            }
        }
        self.settle_bare(matrix)
    }

    fn count_bare(&self, series: &MatrixSeries) {
        let samples = points_samples(series) as u64;
        self.cx.tally.add(samples);
        self.cx.tally.place(0, samples);
    }

    fn bare_series(&self, range: &Range, columns: &Columns, labels: &Labels) -> Result<MatrixSeries, QueryError> {
        let mut cutter = WindowCutter::new(columns);
        let window = range.shape.window(&mut cutter, self.grid, 0, self.cx.settings.lookback_ms);
        let histograms = window.histogram_times_ms.iter().copied().zip(window.histograms.iter().cloned()).collect();
        let floats = match range.shape.edges {
            Edges::Plain => Points::new(window.times_ms.into(), window.values.to_vec()),
            edges if window.histograms.is_empty() => {
                bare_range(&window, edges == Edges::Smoothed).into_iter().collect()
            }
            edges => {
                let word = if edges == Edges::Smoothed { "smoothed" } else { "anchored" };
                let text = format!("{word} modifier is not supported with histograms");
                return Err(QueryError::Execution(text));
            }
        };
        Ok(MatrixSeries { labels: labels.clone(), floats, histograms })
    }

    /// Drops delayed names, merging series that share no time.
    fn settle_bare(&self, matrix: Vec<(MatrixSeries, bool)>) -> Result<Vec<MatrixSeries>, QueryError> {
        let mut settled: Vec<MatrixSeries> = Vec::with_capacity(matrix.len());
        for (mut series, drop_name) in matrix {
            if !drop_name {
                settled.push(series);
                continue;
            }
            series.labels = without_name(&series.labels);
            match settled.iter_mut().find(|s| s.labels == series.labels) {
                None => settled.push(series),
                Some(known) => merge_bare(known, series)?,
            }
        }
        Ok(settled)
    }
}

fn merge_bare(known: &mut MatrixSeries, other: MatrixSeries) -> Result<(), QueryError> {
    let mut floats: Vec<(i64, f64)> = known.floats.iter().chain(other.floats.iter()).collect();
    known.histograms.extend(other.histograms);
    floats.sort_by_key(|p| p.0);
    known.histograms.sort_by_key(|p| p.0);
    let twice = floats.windows(2).any(|w| w[0].0 == w[1].0);
    if twice || known.histograms.windows(2).any(|w| w[0].0 == w[1].0) {
        return Err(crate::exec::merge::same_labelset());
    }
    known.floats = floats.into_iter().collect();
    Ok(())
}
