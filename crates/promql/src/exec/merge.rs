//! What happens to series that come to have the same labels: merged where they share no step, an error where they do.

use hashbrown::HashMap;
use thanoxide_model::Labels;

use super::column::Column;
use super::{Batch, Context, SeriesColumn, Stream, collect};
use crate::engine::QueryError;

/// Labels without those that name and describe the metric.
pub(crate) fn without_name(labels: &Labels) -> Labels {
    labels.without(&["__name__", "__type__", "__unit__"])
}

/// The error of two series with the same labels at the same time.
pub(crate) fn same_labelset() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".into())
}

/// Merges series with the same labels. Needs all of them at once, so it is used only where names may collide.
pub(crate) struct MergeSameLabels {
    pub(crate) inner: Option<Box<dyn Stream>>,
}

impl MergeSameLabels {
    pub(crate) fn new(inner: Box<dyn Stream>) -> Self {
        MergeSameLabels { inner: Some(inner) }
    }
}

impl Stream for MergeSameLabels {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(mut inner) = self.inner.take() else { return Ok(None) };
        let mut batch = collect(&mut *inner, cx)?;
        batch.series = merge(batch.series, cx)?;
        Ok(Some(batch))
    }
}

/// Merges, in the order of first appearance.
pub(crate) fn merge(series: Vec<SeriesColumn>, cx: &Context<'_>) -> Result<Vec<SeriesColumn>, QueryError> {
    let mut merger = Merger::default();
    for one in series {
        cx.deadline.check()?;
        merger.add(one)?;
    }
    Ok(merger.merged)
}

/// Collects series, merging those with the same labels.
#[derive(Default)]
pub(crate) struct Merger {
    pub(crate) merged: Vec<SeriesColumn>,
    index: HashMap<Labels, usize, foldhash::fast::RandomState>,
}

impl Merger {
    pub(crate) fn add(&mut self, series: SeriesColumn) -> Result<(), QueryError> {
        match self.index.get(&series.labels) {
            Some(known) => {
                let merged = &mut self.merged[*known];
                // Whether the name is to go is what the earliest of them says.
                let first = |column: &Column| column.present().ones().next();
                if first(&series.column) < first(&merged.column) {
                    merged.drop_name = series.drop_name;
                }
                add_column(&mut merged.column, &series.column)
            }
            None => {
                self.index.insert(series.labels.clone(), self.merged.len());
                self.merged.push(series);
                Ok(())
            }
        }
    }
}

fn add_column(into: &mut Column, from: &Column) -> Result<(), QueryError> {
    for step in from.present().ones() {
        if into.is_present(step) {
            return Err(same_labelset());
        }
        if let Some(cell) = from.cell(step) {
            into.set(step, cell);
        }
    }
    Ok(())
}
