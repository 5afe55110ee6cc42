//! Binary operators between a vector and a scalar.

use super::arithmetic::{self, Complaints, changes_metric};
use super::column::{Cell, Column};
use super::pointwise::drop_name;
use super::scalar::{ScalarArg, ScalarColumn};
use super::{Batch, Context, Stream, first_error};
use crate::annotations::{Annotations, Place};
use crate::ast::BinaryOp;
use crate::engine::QueryError;

/// `v op s`, or `s op v`.
pub(crate) struct VectorScalar {
    pub(crate) vector: Box<dyn Stream>,
    pub(crate) scalar: ScalarArg,
    /// Whether the scalar is on the left.
    pub(crate) scalar_first: bool,
    pub(crate) op: BinaryOp,
    pub(crate) return_bool: bool,
    pub(crate) position: Place,
}

impl Stream for VectorScalar {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        // Even if there is no series: the scalar may have something to tell.
        let scalar = match self.scalar.column(cx) {
            Err(error) if !self.scalar_first => return Err(first_error(&mut *self.vector, error, cx)),
            scalar => scalar?,
        };
        let Some(mut batch) = self.vector.next(cx)? else { return Ok(None) };
        let shape = Shape { op: self.op, scalar_first: self.scalar_first, return_bool: self.return_bool };
        let mut notes = Annotations::default();
        for series in &mut batch.series {
            let complaints = Complaints { op: self.op, position: self.position, notes: &mut notes };
            shape.apply(&mut series.column, scalar, complaints);
            if changes_metric(self.op) || self.return_bool {
                drop_name(series, cx);
            }
        }
        cx.notes(notes);
        batch.series.retain(|s| !s.column.is_empty());
        Ok(Some(batch))
    }
}

#[derive(Clone, Copy)]
struct Shape {
    op: BinaryOp,
    scalar_first: bool,
    return_bool: bool,
}

impl Shape {
    fn apply(self, column: &mut Column, scalar: &ScalarColumn, mut complaints: Complaints<'_>) {
        if column.histograms.is_empty() && changes_metric(self.op) {
            return self.arithmetic(column, scalar);
        }
        if column.histograms.is_empty() && self.op.is_comparison() {
            return self.comparison(column, scalar);
        }
        for step in 0..column.steps() {
            let Some(cell) = column.cell(step) else { continue };
            let number = Cell::Float(scalar.get(step));
            let (a, b) = if self.scalar_first { (number, cell) } else { (cell, number) };
            let Some(outcome) = arithmetic::apply(a, b, &mut complaints) else {
                column.remove(step);
                continue;
            };
            if self.return_bool {
                column.remove(step);
                column.set_float(step, f64::from(u8::from(outcome.keep)));
            } else if !outcome.keep {
                column.remove(step);
            } else if !self.op.is_comparison() {
                // A comparison keeps the vector's own value, whichever side it is on.
                column.remove(step);
                column.set(step, outcome.value.cell());
            }
        }
    }

    /// Floats only, all of one kind: those stay for which it holds, or all get 0 or 1.
    fn comparison(self, column: &mut Column, scalar: &ScalarColumn) {
        let holds = |step: usize, value: f64| {
            let number = scalar.get(step);
            let (a, b) = if self.scalar_first { (number, value) } else { (value, number) };
            arithmetic::compare(self.op, a, b)
        };
        if self.return_bool {
            let values = column.values.iter_mut().enumerate();
            values.for_each(|(step, value)| *value = f64::from(u8::from(holds(step, *value))));
        } else {
            column.floats.retain(|step| holds(step, column.values[step]));
        }
    }

    /// Floats only, without a look at each cell's kind.
    fn arithmetic(self, column: &mut Column, scalar: &ScalarColumn) {
        let op = self.op;
        if let ScalarColumn::Constant(number) = scalar {
            return arithmetic::arithmetic_with(op, &mut column.values, *number, self.scalar_first);
        }
        for (step, value) in column.values.iter_mut().enumerate() {
            let number = scalar.get(step);
            let (a, b) = if self.scalar_first { (number, *value) } else { (*value, number) };
            *value = arithmetic::arithmetic(op, a, b);
        }
    }
}
