//! Binary operators on values.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;
use thanoxide_model::histogram::{CounterResetHint, Keep};

use super::column::Cell;
use crate::annotations::{Annotations, HistogramOperation, Note, Place};
use crate::ast::BinaryOp;
use crate::functions::go_math;

/// `a op b` of two scalars; comparisons give 0 or 1.
pub(crate) fn scalar_binary(op: BinaryOp, a: f64, b: f64) -> f64 {
    if op.is_comparison() { f64::from(u8::from(compare(op, a, b))) } else { arithmetic(op, a, b) }
}

/// The arithmetic operators on floats.
#[inline]
pub(crate) fn arithmetic(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => go_math::pow(a, b),
        BinaryOp::Atan2 => go_math::atan2(a, b),
        _ => f64::NAN,
    }
}

/// `value op other` for each pair, or `other op value`, into the values. The usual operators are chosen once and not for
/// each pair.
pub(crate) fn arithmetic_columns(op: BinaryOp, values: &mut [f64], others: &[f64], other_first: bool) {
    fn each(values: &mut [f64], others: &[f64], of: impl Fn(f64, f64) -> f64) {
        values.iter_mut().zip(others).for_each(|(value, other)| *value = of(*value, *other));
    }
    match (op, other_first) {
        (BinaryOp::Add, false) => each(values, others, |v, o| v + o),
        (BinaryOp::Sub, false) => each(values, others, |v, o| v - o),
        (BinaryOp::Mul, false) => each(values, others, |v, o| v * o),
        (BinaryOp::Div, false) => each(values, others, |v, o| v / o),
        (BinaryOp::Div, true) => each(values, others, |v, o| o / v),
        (other, false) => each(values, others, |v, o| arithmetic(other, v, o)),
        (other, true) => each(values, others, |v, o| arithmetic(other, o, v)),
    }
}

/// `value op number` for each value, or `number op value`.
pub(crate) fn arithmetic_with(op: BinaryOp, values: &mut [f64], number: f64, number_first: bool) {
    fn each(values: &mut [f64], of: impl Fn(f64) -> f64) {
        values.iter_mut().for_each(|value| *value = of(*value));
    }
    match (op, number_first) {
        (BinaryOp::Add, false) => each(values, |v| v + number),
        (BinaryOp::Sub, false) => each(values, |v| v - number),
        (BinaryOp::Sub, true) => each(values, |v| number - v),
        (BinaryOp::Mul, false) => each(values, |v| v * number),
        (BinaryOp::Div, false) => each(values, |v| v / number),
        (other, false) => each(values, |v| arithmetic(other, v, number)),
        (other, true) => each(values, |v| arithmetic(other, number, v)),
    }
}

/// The comparisons on floats.
#[inline]
pub(crate) fn compare(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::LessOrEqual => a <= b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterOrEqual => a >= b,
        _ => false,
    }
}

/// Whether the result is no longer the metric of the operand.
pub(crate) fn changes_metric(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Div | Mul | Pow | Mod | Atan2)
}

/// A value made by an operator.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Made {
    pub(crate) fn cell(&self) -> Cell<'_> {
        match self {
            Made::Float(value) => Cell::Float(*value),
            Made::Histogram(histogram) => Cell::Histogram(histogram),
        }
    }
}

/// What an operator gives for two values.
pub(crate) struct Outcome {
    pub(crate) value: Made,
    /// False where a comparison does not hold.
    pub(crate) keep: bool,
}

/// Where operators complain.
pub(crate) struct Complaints<'a> {
    pub(crate) op: BinaryOp,
    pub(crate) position: Place,
    pub(crate) notes: &'a mut Annotations,
}

impl Complaints<'_> {
    fn types(&mut self, left: &str, right: &str) -> Option<Outcome> {
        self.notes.add(Note::incompatible_types(left, self.op.as_str(), right, self.position));
        None
    }
}

/// Applies an operator; `None` where the element is dropped, with a note of why.
pub(crate) fn apply(a: Cell<'_>, b: Cell<'_>, complaints: &mut Complaints<'_>) -> Option<Outcome> {
    let op = complaints.op;
    match (a, b) {
        (Cell::Float(a), Cell::Float(b)) => match op {
            BinaryOp::TrimLower | BinaryOp::TrimUpper => complaints.types("float", "float"),
            _ if op.is_comparison() => Some(Outcome { value: Made::Float(a), keep: compare(op, a, b) }),
            _ => Some(made(Made::Float(arithmetic(op, a, b)))),
        },
        (Cell::Float(a), Cell::Histogram(b)) => match op {
            BinaryOp::Mul => Some(scaled(b, |h| h.mul(a))),
            _ => complaints.types("float", "histogram"),
        },
        (Cell::Histogram(a), Cell::Float(b)) => match op {
            BinaryOp::Mul => Some(scaled(a, |h| h.mul(b))),
            BinaryOp::Div => Some(scaled(a, |h| h.div(b))),
            BinaryOp::TrimUpper => Some(trimmed(a, b, Keep::Below)),
            BinaryOp::TrimLower => Some(trimmed(a, b, Keep::Above)),
            _ => complaints.types("histogram", "float"),
        },
        (Cell::Histogram(a), Cell::Histogram(b)) => match op {
            BinaryOp::Add | BinaryOp::Sub => combine(a, b, complaints),
            BinaryOp::Equal => Some(Outcome { value: Made::Histogram(Arc::clone(a)), keep: a == b }),
            BinaryOp::NotEqual => Some(Outcome { value: Made::Histogram(Arc::clone(a)), keep: a != b }),
            _ => complaints.types("histogram", "histogram"),
        },
    }
}

fn made(value: Made) -> Outcome {
    Outcome { value, keep: true }
}

/// A copy to compute with. Custom buckets have no zero bucket: whatever stands there, such as a negative zero, is gone.
pub(crate) fn copy(histogram: &FloatHistogram) -> FloatHistogram {
    let mut copy = histogram.clone();
    if copy.uses_custom_buckets() {
        (copy.zero_threshold, copy.zero_count) = (0.0, 0.0);
    }
    copy
}

fn scaled(histogram: &FloatHistogram, scale: impl Fn(&mut FloatHistogram)) -> Outcome {
    let mut result = copy(histogram);
    scale(&mut result);
    result.compact(0);
    made(Made::Histogram(Arc::new(result)))
}

fn trimmed(histogram: &FloatHistogram, value: f64, keep: Keep) -> Outcome {
    let mut result = copy(histogram);
    result.trim(value, keep);
    made(Made::Histogram(Arc::new(result)))
}

fn combine(a: &FloatHistogram, b: &FloatHistogram, complaints: &mut Complaints<'_>) -> Option<Outcome> {
    let mut result = copy(a);
    let (combined, operation) = if complaints.op == BinaryOp::Add {
        (result.add(b), HistogramOperation::Add)
    } else {
        (result.sub(b), HistogramOperation::Sub)
    };
    let position = complaints.position;
    let Ok(combined) = combined else {
        complaints.notes.add(Note::incompatible_bucket_layout(complaints.op.as_str(), position));
        return None;
    };
    if combined.reset_collision {
        // Unlike in aggregations, the element does not survive this.
        complaints.notes.add(Note::reset_collision(operation, position));
        return None;
    }
    if combined.bounds_reconciled {
        complaints.notes.add(Note::reconciled_custom_buckets(operation, position));
    }
    if operation == HistogramOperation::Sub {
        result.counter_reset_hint = CounterResetHint::Gauge;
    }
    result.compact(0);
    Some(made(Made::Histogram(Arc::new(result))))
}
