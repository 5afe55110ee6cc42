//! What aggregations compute for one group: an accumulator takes columns one after another, and gives one at the end.
//!
//! Order matters to the last bit, so columns come in the order of the input.

pub(crate) mod count;
pub(crate) mod extreme;
pub(crate) mod mean;
pub(crate) mod quantile;
pub(crate) mod sum;
pub(crate) mod top;
pub(crate) mod variance;

use crate::annotations::{Annotations, Note, Place};
use crate::ast::AggregateOp;
use crate::exec::column::{Bits, Column};
use crate::exec::scalar::ScalarColumn;
use count::Count;
use extreme::Extreme;
use mean::Mean;
use quantile::Quantile;
use sum::Sum;
use variance::Variance;

/// Where an accumulator complains, and of what.
pub(crate) struct Remarks<'a> {
    pub(crate) notes: &'a mut Annotations,
    /// The aggregated expression.
    pub(crate) position: Place,
    /// The metric of the series being added.
    pub(crate) metric_name: &'a [u8],
}

/// The state of one group.
pub(crate) enum Accumulator {
    Sum(Sum),
    Mean(Mean),
    Extreme(Extreme),
    Count(Count),
    /// 1 where there is anything.
    Group(Bits),
    Variance {
        op: AggregateOp,
        variance: Variance,
    },
    Quantile(Quantile),
}

impl Accumulator {
    /// For an operator that gives one series a group.
    pub(crate) fn new(op: AggregateOp, steps: usize) -> Option<Self> {
        Some(match op {
            AggregateOp::Sum => Accumulator::Sum(Sum::new(steps)),
            AggregateOp::Avg => Accumulator::Mean(Mean::new(steps)),
            AggregateOp::Min => Accumulator::Extreme(Extreme::new(false, steps)),
            AggregateOp::Max => Accumulator::Extreme(Extreme::new(true, steps)),
            AggregateOp::Count => Accumulator::Count(Count::new(steps)),
            AggregateOp::Group => Accumulator::Group(Bits::none(steps)),
            AggregateOp::StdDev | AggregateOp::StdVar => Accumulator::Variance { op, variance: Variance::new(steps) },
            AggregateOp::Quantile => Accumulator::Quantile(Quantile::default()),
            _ => return None,
        })
    }

    /// Memory of a fresh one, for the budget.
    pub(crate) fn bytes(op: AggregateOp, steps: usize) -> usize {
        let per_step = match op {
            AggregateOp::Avg => 40,
            AggregateOp::StdDev | AggregateOp::StdVar => 24,
            AggregateOp::Sum => 16,
            _ => 8,
        };
        steps.saturating_mul(per_step)
    }

    pub(crate) fn add(&mut self, column: Column, remarks: &mut Remarks<'_>) {
        match self {
            Accumulator::Sum(sum) => sum.add(column, remarks),
            Accumulator::Mean(mean) => mean.add(&column, remarks),
            Accumulator::Extreme(extreme) => {
                ignore_histograms(&column, extreme.name(), remarks);
                extreme.add(&column);
            }
            Accumulator::Count(count) => count.add(&column),
            Accumulator::Group(seen) => seen.union(&column.present()),
            Accumulator::Variance { op, variance } => {
                ignore_histograms(&column, op.as_str(), remarks);
                variance.add(&column);
            }
            Accumulator::Quantile(quantile) => {
                ignore_histograms(&column, "quantile", remarks);
                quantile.add(column);
            }
        }
    }

    pub(crate) fn finish(self, param: &ScalarColumn, remarks: &mut Remarks<'_>, steps: usize) -> Column {
        match self {
            Accumulator::Sum(sum) => sum.finish(remarks),
            Accumulator::Mean(mean) => mean.finish(remarks),
            Accumulator::Extreme(extreme) => extreme.finish(),
            Accumulator::Count(count) => count.finish(),
            Accumulator::Group(seen) => Column { values: vec![1.0; steps], floats: seen, histograms: Vec::new() },
            Accumulator::Variance { op, variance } => variance.finish(op == AggregateOp::StdDev),
            Accumulator::Quantile(quantile) => quantile.finish(param, steps),
        }
    }
}

fn ignore_histograms(column: &Column, name: &str, remarks: &mut Remarks<'_>) {
    if column.histograms.iter().any(Option::is_some) {
        remarks.notes.add(Note::ignored_in_aggregation(name, remarks.position));
    }
}
