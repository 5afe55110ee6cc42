//! `count_values`: how often each value occurs in a group, at each step.

use thanoxide_model::float::format_f;

use super::Grouping;
use crate::engine::QueryError;
use crate::exec::column::{Cell, Column};
use crate::exec::label_sets::LabelSets;
use crate::exec::{Batch, Context, SeriesColumn, Stream};

/// `count_values("label", v)`
pub(crate) struct CountValues {
    pub(crate) inner: Option<Box<dyn Stream>>,
    pub(crate) label: Vec<u8>,
    pub(crate) grouping: Grouping,
    pub(crate) steps: usize,
}

impl Stream for CountValues {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(mut inner) = self.inner.take() else { return Ok(None) };
        let mut index = LabelSets::default();
        let mut all = Batch { series: Vec::new(), charge: cx.budget.charge(0)? };
        while let Some(batch) = inner.next(cx)? {
            for series in &batch.series {
                self.count(series, &mut index, &mut all)?;
            }
            cx.deadline.check()?;
        }
        Ok(Some(all))
    }
}

impl CountValues {
    fn count(&self, series: &SeriesColumn, index: &mut LabelSets, all: &mut Batch) -> Result<(), QueryError> {
        let mut last: Option<(u64, usize)> = None;
        for step in series.column.present().ones() {
            let Some(cell) = series.column.cell(step) else { continue };
            let number = match (cell, last) {
                (Cell::Float(value), Some((bits, number))) if value.to_bits() == bits => number,
                _ => self.number(series, cell, index, all)?,
            };
            if let Cell::Float(value) = cell {
                last = Some((value.to_bits(), number));
            }
            let column = &mut all.series[number].column;
            let count = if column.floats.get(step) { column.values[step] } else { 0.0 };
            column.set_float(step, count + 1.0);
        }
        Ok(())
    }

    fn number(
        &self,
        series: &SeriesColumn,
        cell: Cell<'_>,
        index: &mut LabelSets,
        all: &mut Batch,
    ) -> Result<usize, QueryError> {
        let text = match cell {
            Cell::Float(value) => format_f(value),
            Cell::Histogram(histogram) => histogram.to_string(),
        };
        let labels = self.grouping.group(&series.labels.with(&self.label, text.as_bytes()));
        let (number, is_new) = index.number(&labels);
        if is_new {
            all.charge.add(self.steps.saturating_mul(8))?;
            all.series.push(SeriesColumn { labels, drop_name: false, column: Column::empty(self.steps) });
        }
        Ok(number)
    }
}
