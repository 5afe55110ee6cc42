//! Equal parts of a query, of which one is evaluated.
//!
//! Parts are equal if their text is, byte for byte, and they are asked for at the same times. Only what is no larger than
//! the groups of an aggregation is shared: all of it is held until the last one has read it.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{Lowering, Needed, Scope, Vector};
use crate::annotations::Shift;
use crate::ast::{AggregateOp, BinaryOp, Call, Expr};
use crate::engine::QueryError;
use crate::exec::grid::Grid;
use crate::exec::shared::Shared;
use crate::types::ValueType;

/// Longer parts are not looked for: no query that somebody writes repeats them, and each part holds its text.
const MOST_BYTES: usize = 4096;

/// What was lowered and may stand in the query once more, by its text.
pub(super) type KnownParts = HashMap<String, Vec<Known>>;

/// A part of the query.
pub(super) struct Known {
    printed: String,
    times: Times,
    /// Where it stands.
    start: usize,
    /// The turns before it and those of its own.
    turns_before: u32,
    turns: u32,
    shared: Arc<Shared>,
}

/// All that an expression's operators depend on, beside the expression.
#[derive(Clone, Copy, PartialEq)]
struct Times {
    grid: Grid,
    end_ms: i64,
    hint_step_ms: i64,
    histograms: Needed,
    in_subquery: bool,
}

impl Times {
    fn of(scope: &Scope) -> Self {
        let Scope { grid, end_ms, hint_step_ms, histograms, in_subquery, .. } = *scope;
        Times { grid, end_ms, hint_step_ms, histograms, in_subquery }
    }
}

impl Lowering {
    /// Operators for an expression, or a place at those of an equal one.
    pub(super) fn shared(&mut self, expr: &Expr, scope: &Scope) -> Result<Vector, QueryError> {
        let span = expr.span();
        let text = self.text.get(span.start..span.end).unwrap_or_default();
        if text.is_empty() || text.len() > MOST_BYTES || !is_bounded(expr) {
            return self.operator(expr, scope);
        }
        let (text, printed, times) = (text.to_string(), expr.to_string(), Times::of(scope));
        let is_same = |known: &&Known| known.times == times && known.printed == printed;
        if let Some(known) = self.known.get(&text).and_then(|equal| equal.iter().find(is_same)) {
            let (turns, bytes) = (self.turns - known.turns_before, span.start.saturating_sub(known.start));
            self.turns += known.turns;
            return Ok(Box::new(known.shared.announce(Shift { turns, bytes })));
        }
        let turns_before = self.turns;
        let shared = Shared::new(self.operator(expr, scope)?);
        let reader = shared.announce(Shift::default());
        let turns = self.turns - turns_before;
        let known = Known { printed, times, start: span.start, turns_before, turns, shared };
        self.known.entry(text).or_default().push(known);
        Ok(Box::new(reader))
    }
}

/// Whether a vector has no more series than some aggregation has groups.
fn is_bounded(expr: &Expr) -> bool {
    match expr {
        Expr::Aggregate(aggregate) => match aggregate.op {
            AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio => {
                is_bounded(&aggregate.expr)
            }
            _ => true,
        },
        Expr::Binary(binary) => {
            let gives_none = matches!(binary.op, BinaryOp::And | BinaryOp::Unless);
            let is_bounded = |side: &Expr| side.value_type() == ValueType::Scalar || is_bounded(side);
            is_bounded(&binary.lhs) && (gives_none || is_bounded(&binary.rhs))
        }
        Expr::Call(call) => is_bounded_call(call),
        Expr::Subquery(subquery) => is_bounded(&subquery.expr),
        Expr::Paren(paren) => is_bounded(&paren.expr),
        Expr::Unary(unary) => is_bounded(&unary.expr),
        Expr::Matrix(_) | Expr::Vector(_) | Expr::Number(_) | Expr::String(_) => false,
    }
}

fn is_bounded_call(call: &Call) -> bool {
    let is_vector = |expr: &&Expr| matches!(expr.value_type(), ValueType::Vector | ValueType::Matrix);
    match call.function.name {
        "absent" | "absent_over_time" => true,
        _ => call.args.iter().find(is_vector).is_some_and(is_bounded),
    }
}
