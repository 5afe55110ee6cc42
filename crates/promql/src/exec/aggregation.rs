//! Aggregations: series find their groups; memory is that of groups times steps.

pub(crate) mod count_values;
pub(crate) mod top;

use thanoxide_model::Labels;

use super::label_sets::LabelSets;
use super::scalar::{ScalarArg, ScalarColumn};
use super::{Batch, Context, SeriesColumn, Stream};
use crate::aggregate::{Accumulator, Remarks};
use crate::annotations::{Annotations, Note, Place};
use crate::ast::AggregateOp;
use crate::engine::QueryError;

/// `by` or `without`.
#[derive(Clone, Debug)]
pub(crate) struct Grouping {
    pub(crate) labels: Vec<String>,
    pub(crate) without: bool,
}

impl Grouping {
    /// The labels of the group that a series belongs to.
    pub(crate) fn group(&self, labels: &Labels) -> Labels {
        labels.filter(|name| self.keeps(name))
    }

    /// The same, packed.
    pub(crate) fn pick(&self, labels: &Labels, into: &mut Vec<u8>) {
        let is_one_group = self.labels.is_empty() && !self.without;
        if !is_one_group {
            labels.filter_into(into, |name| self.keeps(name));
        }
    }

    fn keeps(&self, name: &[u8]) -> bool {
        let listed = self.labels.iter().any(|l| l.as_bytes() == name);
        if self.without { !listed && name != b"__name__" } else { listed }
    }
}

/// An aggregation that gives one series a group.
pub(crate) struct Aggregation {
    pub(crate) inner: Option<Box<dyn Stream>>,
    pub(crate) op: AggregateOp,
    pub(crate) grouping: Grouping,
    pub(crate) param: Option<ScalarArg>,
    pub(crate) steps: usize,
    /// Of the aggregated expression.
    pub(crate) position: Place,
    /// Of the parameter.
    pub(crate) param_position: Place,
}

struct Group {
    labels: Labels,
    drop_name: bool,
    accumulator: Accumulator,
}

impl Aggregation {
    fn check_quantile(&self, q: &ScalarColumn, cx: &Context<'_>) {
        if self.op != AggregateOp::Quantile {
            return;
        }
        let bounds = Bounds::of(q, self.steps);
        let nan = bounds.has_nan.then_some(f64::NAN);
        let high = (bounds.max > 1.0).then_some(bounds.max);
        let low = (bounds.min < 0.0).then_some(bounds.min);
        for q in nan.into_iter().chain(high).chain(low) {
            cx.note(Note::invalid_quantile(q, self.param_position));
        }
    }
}

impl Stream for Aggregation {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(mut inner) = self.inner.take() else { return Ok(None) };
        let param = match &mut self.param {
            Some(param) => param.column(cx)?.clone(),
            None => ScalarColumn::Constant(0.0),
        };
        let mut index = LabelSets::default();
        let mut groups: Vec<Group> = Vec::new();
        let mut notes = Annotations::default();
        let mut charge = cx.budget.charge(0)?;
        while let Some(batch) = inner.next(cx)? {
            if self.op == AggregateOp::Quantile {
                charge.absorb(batch.charge);
            }
            for series in batch.series {
                let (number, new) = index.number_picked(|into| self.grouping.pick(&series.labels, into));
                if let Some(labels) = new {
                    charge.add(Accumulator::bytes(self.op, self.steps))?;
                    let accumulator = Accumulator::new(self.op, self.steps)
                        .ok_or_else(|| QueryError::Internal(format!("{} has no groups", self.op.as_str())))?;
                    groups.push(Group { labels, drop_name: false, accumulator });
                }
                let group = &mut groups[number];
                group.drop_name |= series.drop_name;
                let metric_name = series.labels.metric_name();
                let mut remarks = Remarks { notes: &mut notes, position: self.position, metric_name };
                group.accumulator.add(series.column, &mut remarks);
            }
            cx.deadline.check()?;
        }
        self.check_quantile(&param, cx);
        let mut remarks = Remarks { notes: &mut notes, position: self.position, metric_name: b"" };
        let finish = |group: Group| SeriesColumn {
            labels: group.labels,
            drop_name: group.drop_name,
            column: group.accumulator.finish(&param, &mut remarks, self.steps),
        };
        let series: Vec<_> = groups.into_iter().map(finish).filter(|s| !s.column.is_empty()).collect();
        cx.notes(notes);
        Batch::new(series, cx).map(Some)
    }
}

/// The extremes of a parameter over all steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) has_nan: bool,
}

impl Bounds {
    pub(crate) fn of(param: &ScalarColumn, steps: usize) -> Self {
        let mut bounds = Bounds { min: f64::MAX, max: -f64::MAX, has_nan: false };
        match param {
            ScalarColumn::Constant(value) => bounds = Bounds { min: *value, max: *value, has_nan: value.is_nan() },
            ScalarColumn::PerStep(values) => {
                for value in values.iter().take(steps) {
                    bounds.min = crate::functions::math::min(bounds.min, *value);
                    bounds.max = crate::functions::math::max(bounds.max, *value);
                    bounds.has_nan |= value.is_nan();
                }
            }
        }
        bounds
    }
}
