//! Scalars: one number at every step.

use super::arithmetic::scalar_binary;
use super::grid::Grid;
use super::{Context, Stream};
use crate::ast::BinaryOp;
use crate::engine::QueryError;
use crate::functions::math;

/// A scalar expression.
pub(crate) enum ScalarNode {
    Constant(f64),
    /// `time()`
    Time,
    /// `scalar(v)`
    OfVector(Box<dyn Stream>),
    Negate(Box<ScalarNode>),
    Binary {
        op: BinaryOp,
        lhs: Box<ScalarNode>,
        rhs: Box<ScalarNode>,
    },
    /// `max_of(a, b)` and `min_of(a, b)`
    Extreme {
        max: bool,
        lhs: Box<ScalarNode>,
        rhs: Box<ScalarNode>,
    },
    /// Evaluated at the first step, repeated at the others.
    Invariant(Box<ScalarNode>),
}

/// The values of a scalar.
#[derive(Clone, Debug)]
pub(crate) enum ScalarColumn {
    Constant(f64),
    PerStep(Vec<f64>),
}

impl ScalarColumn {
    pub(crate) fn get(&self, step: usize) -> f64 {
        match self {
            ScalarColumn::Constant(value) => *value,
            ScalarColumn::PerStep(values) => values[step],
        }
    }

    /// The values at each step.
    pub(crate) fn into_values(self, steps: usize) -> Vec<f64> {
        match self {
            ScalarColumn::Constant(value) => vec![value; steps],
            ScalarColumn::PerStep(values) => values,
        }
    }

    fn zip(self, other: ScalarColumn, grid: Grid, combine: impl Fn(f64, f64) -> f64) -> ScalarColumn {
        match (self, other) {
            (ScalarColumn::Constant(a), ScalarColumn::Constant(b)) => ScalarColumn::Constant(combine(a, b)),
            (a, b) => ScalarColumn::PerStep((0..grid.steps).map(|i| combine(a.get(i), b.get(i))).collect()),
        }
    }
}

impl ScalarNode {
    /// The values over a grid.
    pub(crate) fn evaluate(self, grid: Grid, cx: &Context<'_>) -> Result<ScalarColumn, QueryError> {
        cx.deadline.check()?;
        Ok(match self {
            ScalarNode::Constant(value) => ScalarColumn::Constant(value),
            ScalarNode::Time => {
                let _room = cx.budget.charge(grid.steps.saturating_mul(8))?;
                ScalarColumn::PerStep(grid.times_ms().map(|t| t as f64 / 1000.0).collect())
            }
            ScalarNode::OfVector(vector) => ScalarColumn::PerStep(only_float(vector, grid, cx)?),
            ScalarNode::Negate(inner) => match inner.evaluate(grid, cx)? {
                ScalarColumn::Constant(value) => ScalarColumn::Constant(-value),
                ScalarColumn::PerStep(values) => ScalarColumn::PerStep(values.into_iter().map(|v| -v).collect()),
            },
            ScalarNode::Binary { op, lhs, rhs } => {
                let (lhs, rhs) = (lhs.evaluate(grid, cx)?, rhs.evaluate(grid, cx)?);
                lhs.zip(rhs, grid, |a, b| scalar_binary(op, a, b))
            }
            ScalarNode::Extreme { max, lhs, rhs } => {
                let (lhs, rhs) = (lhs.evaluate(grid, cx)?, rhs.evaluate(grid, cx)?);
                lhs.zip(rhs, grid, if max { math::max } else { math::min })
            }
            ScalarNode::Invariant(inner) => match cx.tally.repeated(grid.steps, || inner.evaluate(grid.first(), cx))? {
                ScalarColumn::PerStep(values) => ScalarColumn::Constant(values.first().copied().unwrap_or(f64::NAN)),
                constant => constant,
            },
        })
    }
}

/// At each step the float of the only series that has one, else NaN.
fn only_float(mut vector: Box<dyn Stream>, grid: Grid, cx: &Context<'_>) -> Result<Vec<f64>, QueryError> {
    let _room = cx.budget.charge(grid.steps.saturating_mul(9))?;
    let mut values = vec![f64::NAN; grid.steps];
    let mut found = vec![false; grid.steps];
    while let Some(batch) = vector.next(cx)? {
        for series in &batch.series {
            for step in series.column.floats.ones() {
                values[step] = if found[step] { f64::NAN } else { series.column.values[step] };
                found[step] = true;
            }
        }
    }
    Ok(values)
}

/// A scalar argument: evaluated when first needed.
pub(crate) enum ScalarArg {
    Pending(Option<ScalarNode>, Grid),
    Ready(ScalarColumn),
}

impl ScalarArg {
    pub(crate) fn new(node: ScalarNode, grid: Grid) -> Self {
        ScalarArg::Pending(Some(node), grid)
    }

    /// The values; evaluates them in the first call.
    pub(crate) fn column(&mut self, cx: &Context<'_>) -> Result<&ScalarColumn, QueryError> {
        if let ScalarArg::Pending(node, grid) = self {
            let node = node.take().ok_or_else(|| QueryError::Internal("scalar evaluated twice".into()))?;
            *self = ScalarArg::Ready(node.evaluate(*grid, cx)?);
        }
        match self {
            ScalarArg::Ready(column) => Ok(column),
            ScalarArg::Pending(..) => Err(QueryError::Internal("scalar not evaluated".into())),
        }
    }
}
