//! Puts `@` on every selector, so that a query gives the same whenever it is asked.

use thanoxide_promql::ast::{At, Expr, VectorSelector};

const TIME_DEPENDENT: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "end",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
];

/// Pins all selectors that are not pinned yet; false if a function in there depends on the time all the same.
pub(crate) fn pin(expr: &mut Expr, at_ms: i64) -> bool {
    match expr {
        Expr::Vector(selector) => pin_selector(selector, at_ms),
        Expr::Matrix(matrix) => pin_selector(&mut matrix.selector, at_ms),
        Expr::Subquery(subquery) => {
            // What is inside follows the subquery.
            subquery.at.get_or_insert(At::Timestamp(at_ms));
            true
        }
        Expr::Aggregate(aggregate) => {
            let param = aggregate.param.as_mut().is_none_or(|p| pin(p, at_ms));
            pin(&mut aggregate.expr, at_ms) && param
        }
        Expr::Binary(binary) => {
            let lhs = pin(&mut binary.lhs, at_ms);
            pin(&mut binary.rhs, at_ms) && lhs
        }
        Expr::Call(call) => {
            // All of them, whatever the first one says.
            let args = call.args.iter_mut().filter_map(|arg| (!pin(arg, at_ms)).then_some(())).count() == 0;
            args && !TIME_DEPENDENT.contains(&call.function.name)
        }
        Expr::Paren(paren) => pin(&mut paren.expr, at_ms),
        Expr::Unary(unary) => pin(&mut unary.expr, at_ms),
        Expr::Number(_) | Expr::String(_) => true,
    }
}

fn pin_selector(selector: &mut VectorSelector, at_ms: i64) -> bool {
    selector.at.get_or_insert(At::Timestamp(at_ms));
    true
}
