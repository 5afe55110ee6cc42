//! Questions about expressions.

use thanoxide_model::{MatchKind, Matcher};

use crate::ast::{AggregateOp, BinaryOp, Call, Cardinality, Expr, UnaryOp, VectorSelector};
use crate::types::ValueType;

/// Functions whose result depends on the time of evaluation even if their arguments do not.
const TIME_DEPENDENT: [&str; 11] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "time",
    "timestamp",
    "year",
];

/// Whether the value is the same at each step. Follows Prometheus to the letter: of an aggregation the parameter does
/// not count. `is_shared` says whether all of an argument of `info()` looks at one time.
pub(super) fn is_invariant(expr: &Expr, is_shared: &dyn Fn(&Expr) -> bool) -> bool {
    let is_invariant = |expr| is_invariant(expr, is_shared);
    match expr {
        Expr::Vector(selector) => selector.at.is_some(),
        Expr::Matrix(matrix) => matrix.selector.at.is_some(),
        Expr::Subquery(subquery) => subquery.at.is_some(),
        Expr::Aggregate(aggregate) => is_invariant(aggregate.expr.unparen()),
        Expr::Binary(binary) => is_invariant(&binary.lhs) && is_invariant(&binary.rhs),
        Expr::Call(call) => is_invariant_call(call, is_shared),
        Expr::Paren(paren) => is_invariant(&paren.expr),
        Expr::Unary(unary) => is_invariant(&unary.expr),
        Expr::Number(_) | Expr::String(_) => true,
    }
}

fn is_invariant_call(call: &Call, is_shared: &dyn Fn(&Expr) -> bool) -> bool {
    let is_invariant = |expr: &Expr| is_invariant(expr, is_shared);
    let mut args = call.args.iter().map(Expr::unparen);
    match call.function.name {
        // The sample's own time, where the sample is fixed.
        "timestamp" => args.all(|arg| matches!(arg, Expr::Vector(_)) && is_invariant(arg)),
        // The second argument is no vector.
        "info" => args.next().is_some_and(|base| is_invariant(base) && is_shared(base)),
        name => !TIME_DEPENDENT.contains(&name) && args.all(is_invariant),
    }
}

/// Whether a selector asks for one metric name.
fn pins_name(matchers: &[Matcher]) -> bool {
    matchers.iter().any(|m| m.kind() == MatchKind::Equal && m.name() == b"__name__" && !m.value().is_empty())
}

fn selector_pins_name(selector: &VectorSelector) -> bool {
    pins_name(&selector.matchers)
}

/// Whether the series of a vector (or range) certainly differ even without their names.
pub(super) fn is_name_pinned(expr: &Expr) -> bool {
    match expr {
        Expr::Vector(selector) => selector_pins_name(selector),
        Expr::Matrix(matrix) => selector_pins_name(&matrix.selector),
        Expr::Subquery(subquery) => is_name_pinned(&subquery.expr),
        Expr::Paren(paren) => is_name_pinned(&paren.expr),
        Expr::Unary(unary) => unary.op == UnaryOp::Minus || is_name_pinned(&unary.expr),
        Expr::Aggregate(aggregate) => match aggregate.op {
            AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio => {
                is_name_pinned(&aggregate.expr)
            }
            _ => aggregate.without || !aggregate.grouping.iter().any(|l| l == "__name__"),
        },
        Expr::Call(call) => match call.function.name {
            "label_replace" | "label_join" | "info" => false,
            "last_over_time" | "first_over_time" | "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
                call.args.first().is_some_and(is_name_pinned)
            }
            _ => true,
        },
        Expr::Binary(binary) => match binary.op {
            BinaryOp::Or => false,
            op if binary.return_bool || super::changes_metric(op) => true,
            // What fills in for a missing left side has no name.
            _ if binary.matching.as_ref().is_some_and(|m| m.fill_lhs.is_some() || m.fill_rhs.is_some()) => false,
            _ if binary.matching.as_ref().is_some_and(|m| m.include.iter().any(|l| l == "__name__")) => false,
            _ if binary.lhs.value_type() == ValueType::Scalar => is_name_pinned(&binary.rhs),
            // The labels of a result are those of the "many" side.
            _ if binary.matching.as_ref().is_some_and(|m| m.card == Cardinality::OneToMany) => {
                is_name_pinned(&binary.rhs)
            }
            _ => is_name_pinned(&binary.lhs),
        },
        Expr::Number(_) | Expr::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::{ParseOptions, parse};

    #[test]
    fn names_come_from_the_many_side() {
        for (text, pinned) in [
            ("a < on (x) {job=\"b\"}", true),
            ("a < on (x) group_left () {job=\"b\"}", true),
            ("a < on (x) group_right () {job=\"b\"}", false),
            ("{job=\"b\"} < on (x) group_right () a", true),
            ("a < on (x) group_left (__name__) {job=\"b\"}", false),
        ] {
            assert_eq!(is_name_pinned(&parse(text, &ParseOptions::default()).unwrap()), pinned, "{text}");
        }
    }
}
