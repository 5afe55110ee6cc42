//! Matchers of one side of a binary operator that must hold on the other side as well: a series that does not satisfy
//! them has no partner there.
//!
//! They are handed to plain selectors alone, which can neither fail nor tell anything of the series that are then not
//! read, and never to a side of which duplicates are an error. Labels that begin with two underscores come and go with
//! names and types, and are left out.

use std::borrow::Cow;

use thanoxide_model::Matcher;

use crate::ast::{Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, VectorMatching};
use crate::exec::matching::is_matched;
use crate::types::ValueType;

/// Functions whose series have other labels than those of their argument.
const RELABEL: [&str; 8] = [
    "absent",
    "absent_over_time",
    "histogram_fraction",
    "histogram_quantile",
    "histogram_quantiles",
    "info",
    "label_join",
    "label_replace",
];

/// Whether an expression tells nothing, and cannot fail for what it reads: nobody misses it.
pub(super) fn is_quiet(expr: &Expr) -> bool {
    match expr {
        Expr::Vector(selector) => !selector.smoothed,
        Expr::Matrix(matrix) => !(matrix.selector.smoothed || matrix.selector.anchored),
        Expr::Paren(paren) => is_quiet(&paren.expr),
        _ => false,
    }
}

/// Both sides, with what each has to satisfy for the other's sake.
pub(super) fn push_down<'e>(binary: &'e Binary, matching: &VectorMatching) -> (Cow<'e, Expr>, Cow<'e, Expr>) {
    let (lhs, rhs) = (&binary.lhs, &binary.rhs);
    let (to_lhs, to_rhs) = match (binary.op, matching.card) {
        (BinaryOp::And, _) => (true, true),
        (BinaryOp::Unless, _) => (false, true),
        (op, _) if op.is_set() || matching.has_fill() => (false, false),
        (_, Cardinality::OneToMany) => (false, is_unique(lhs, matching)),
        _ => (is_unique(rhs, matching), false),
    };
    let side = |is_wanted: bool, side, other| match is_wanted {
        true => narrowed(side, other, matching),
        false => Cow::Borrowed(side),
    };
    (side(to_lhs, lhs, rhs), side(to_rhs, rhs, lhs))
}

/// A selector with the matchers of its partner.
fn narrowed<'e>(side: &'e Expr, other: &Expr, matching: &VectorMatching) -> Cow<'e, Expr> {
    let Expr::Vector(selector) = side.unparen() else { return Cow::Borrowed(side) };
    let mut facts = facts(other);
    facts.retain(|fact| is_matched(fact.name(), matching) && !selector.matchers.contains(fact));
    if !is_quiet(side) || facts.is_empty() {
        return Cow::Borrowed(side);
    }
    let mut narrowed = selector.clone();
    narrowed.matchers.splice(0..0, facts);
    Cow::Owned(Expr::Vector(narrowed))
}

/// Whether no two series are in one match group.
fn is_unique(expr: &Expr, matching: &VectorMatching) -> bool {
    match expr.unparen() {
        Expr::Aggregate(aggregate) if gives_groups(aggregate) && !aggregate.without => {
            aggregate.grouping.iter().all(|label| is_matched(label.as_bytes(), matching))
        }
        _ => false,
    }
}

/// Whether each series of an aggregation is a group.
fn gives_groups(aggregate: &Aggregate) -> bool {
    use AggregateOp::{BottomK, CountValues, LimitK, LimitRatio, TopK};
    !matches!(aggregate.op, TopK | BottomK | LimitK | LimitRatio | CountValues)
}

/// What is true of the labels of all series that an expression may give.
fn facts(expr: &Expr) -> Vec<Matcher> {
    let mut facts = match expr {
        Expr::Vector(selector) => selector.matchers.clone(),
        Expr::Matrix(matrix) => matrix.selector.matchers.clone(),
        Expr::Subquery(subquery) => facts(&subquery.expr),
        Expr::Paren(paren) => facts(&paren.expr),
        Expr::Unary(unary) => facts(&unary.expr),
        Expr::Call(call) => facts_of_call(call),
        Expr::Aggregate(aggregate) => facts_of_aggregate(aggregate),
        Expr::Binary(binary) => facts_of_binary(binary),
        Expr::Number(_) | Expr::String(_) => Vec::new(),
    };
    facts.retain(|fact| !fact.name().starts_with(b"__"));
    facts
}

fn facts_of_call(call: &Call) -> Vec<Matcher> {
    let is_vector = |expr: &&Expr| matches!(expr.value_type(), ValueType::Vector | ValueType::Matrix);
    match RELABEL.contains(&call.function.name) {
        true => Vec::new(),
        false => call.args.iter().find(is_vector).map(facts).unwrap_or_default(),
    }
}

fn facts_of_aggregate(aggregate: &Aggregate) -> Vec<Matcher> {
    let mut facts = facts(&aggregate.expr);
    match aggregate.op {
        AggregateOp::CountValues => facts.clear(),
        _ if gives_groups(aggregate) => {
            let is_listed = |name: &[u8]| aggregate.grouping.iter().any(|label| label.as_bytes() == name);
            facts.retain(|fact| is_listed(fact.name()) != aggregate.without);
        }
        _ => {}
    }
    facts
}

fn facts_of_binary(binary: &Binary) -> Vec<Matcher> {
    match binary.op {
        BinaryOp::And | BinaryOp::Unless => facts(&binary.lhs),
        _ if binary.lhs.value_type() == ValueType::Scalar => facts(&binary.rhs),
        _ if binary.rhs.value_type() == ValueType::Scalar => facts(&binary.lhs),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::{ParseOptions, parse};

    #[test]
    fn what_holds_on_one_side_is_asked_of_the_other() {
        for (text, pushed) in [
            ("a{x=\"1\"} and on (x) b", "a{x=\"1\"} and on (x) b{x=\"1\"}"),
            (
                "a and on (x) sum by (x, y) (rate(b{x=\"1\",y!=\"2\"}[5m]))",
                "a{x=\"1\"} and on (x) sum by (x, y) (rate(b{x=\"1\",y!=\"2\"}[5m]))",
            ),
            ("a{x=\"1\"} unless b", "a{x=\"1\"} unless b{x=\"1\"}"),
            ("a unless b{x=\"1\"}", "a unless b{x=\"1\"}"),
            ("a or b{x=\"1\"}", "a or b{x=\"1\"}"),
            (
                "a * on (x) group_left () sum by (x) (b{x=\"1\",y=\"2\"})",
                "a{x=\"1\"} * on (x) group_left () sum by (x) (b{x=\"1\",y=\"2\"})",
            ),
            (
                "sum by (x) (b{x=\"1\"}) * on (x) group_right () a",
                "sum by (x) (b{x=\"1\"}) * on (x) group_right () a{x=\"1\"}",
            ),
            // Two of `b` may belong to one group, which is an error.
            ("a * on (x) group_left () b{x=\"1\"}", "a * on (x) group_left () b{x=\"1\"}"),
            ("a{x=\"1\"} * on (x) group_left () b", "a{x=\"1\"} * on (x) group_left () b"),
            (
                "a * on (x) group_left () sum by (x, y) (b{x=\"1\"})",
                "a * on (x) group_left () sum by (x, y) (b{x=\"1\"})",
            ),
            ("a and on (y) b{x=\"1\"}", "a and on (y) b{x=\"1\"}"),
            ("a and ignoring (x) b{x=\"1\"}", "a and ignoring (x) b{x=\"1\"}"),
            ("rate(a[5m]) and b{x=\"1\"}", "rate(a[5m]) and b{x=\"1\"}"),
            (
                "a and label_replace(b{x=\"1\"}, \"x\", \"\", \"\", \"\")",
                "a and label_replace(b{x=\"1\"}, \"x\", \"\", \"\", \"\")",
            ),
            ("a and absent(b{x=\"1\"})", "a and absent(b{x=\"1\"})"),
            ("a and on (__name__) {__name__=\"a\",x=\"1\"}", "a and on (__name__) {__name__=\"a\",x=\"1\"}"),
        ] {
            let expr = parse(text, &ParseOptions::default()).unwrap();
            let Expr::Binary(binary) = &expr else { panic!("{text}") };
            let (lhs, rhs) = push_down(binary, binary.matching.as_ref().unwrap());
            let mut narrowed = binary.clone();
            (narrowed.lhs, narrowed.rhs) = (lhs.into_owned(), rhs.into_owned());
            let want = parse(pushed, &ParseOptions::default()).unwrap();
            assert_eq!(Expr::Binary(narrowed).to_string(), want.to_string());
        }
    }
}
