//! Whether a query may be answered in parts, each over some of the series, and by which labels they may be told apart.
//!
//! Series that agree in the labels found here go to the same shard. The parts of the answer are then disjoint, and all
//! together they are the answer. Two things make it so: whatever an operator brings together (a group, a match, series
//! that come to have the same labels) is in one shard, and no operator changes the labels that tell the shards apart.
//! So each operator takes away the labels that it groups over, matches across, or writes; the rest is left for sharding.
//!
//! The order of series within an instant vector is not part of the answer, and neither is an error that a shard with
//! part of the data cannot see: of two vectors the one may be empty there.

use std::collections::BTreeSet;

use crate::ast::{Aggregate, AggregateOp, Binary, Call, Expr};
use crate::types::ValueType;
use crate::visit::selectors;

/// By what the series of a query may be told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharding {
    /// By these labels; there is at least one.
    By(BTreeSet<String>),
    /// By all labels but these.
    Without(BTreeSet<String>),
    /// Not at all, because of this.
    Impossible(&'static str),
}

/// Functions drop them, and series that differ by nothing else then meet.
const METADATA: [&str; 3] = ["__name__", "__type__", "__unit__"];

/// How a query may be sharded.
pub fn analyze(expr: &Expr) -> Sharding {
    if expr.value_type() == ValueType::Scalar || selectors(expr).is_empty() {
        return Sharding::Impossible("it selects no series");
    }
    let mut sharding = Sharding::Without(names(METADATA));
    sharding.narrow(expr);
    match sharding {
        Sharding::By(labels) if labels.is_empty() => Sharding::Impossible("all series come together"),
        other => other,
    }
}

fn names<'a>(labels: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    labels.into_iter().map(str::to_string).collect()
}

fn listed(labels: &[String]) -> BTreeSet<String> {
    labels.iter().cloned().collect()
}

impl Sharding {
    /// No other labels than these.
    fn only(&mut self, labels: &BTreeSet<String>) {
        match self {
            Sharding::By(by) => by.retain(|label| labels.contains(label)),
            Sharding::Without(without) => *self = Sharding::By(labels.difference(without).cloned().collect()),
            Sharding::Impossible(_) => {}
        }
    }

    /// None of these labels.
    fn never(&mut self, labels: &BTreeSet<String>) {
        match self {
            Sharding::By(by) => by.retain(|label| !labels.contains(label)),
            Sharding::Without(without) => without.extend(labels.iter().cloned()),
            Sharding::Impossible(_) => {}
        }
    }

    fn impossible(&mut self, why: &'static str) {
        if !matches!(self, Sharding::Impossible(_)) {
            *self = Sharding::Impossible(why);
        }
    }

    /// Takes away what an expression does not leave for sharding.
    fn narrow(&mut self, expr: &Expr) {
        match expr {
            Expr::Aggregate(e) => self.narrow_aggregate(e),
            Expr::Binary(e) => self.narrow_binary(e),
            Expr::Call(e) => self.narrow_call(e),
            Expr::Paren(e) => self.narrow(&e.expr),
            Expr::Subquery(e) => self.narrow(&e.expr),
            Expr::Unary(e) => self.narrow(&e.expr),
            Expr::Matrix(_) | Expr::Number(_) | Expr::String(_) | Expr::Vector(_) => {}
        }
    }

    fn narrow_aggregate(&mut self, aggregate: &Aggregate) {
        self.narrow_scalars(aggregate.param.iter());
        let labels = listed(&aggregate.grouping);
        if aggregate.without {
            self.never(&labels)
        } else {
            self.only(&labels)
        }
        if let (AggregateOp::CountValues, Some(Expr::String(label))) =
            (aggregate.op, aggregate.param.as_ref().map(Expr::unparen))
        {
            self.never(&names([&*String::from_utf8_lossy(&label.value)]));
        }
        self.narrow(&aggregate.expr);
    }

    fn narrow_binary(&mut self, binary: &Binary) {
        let sides = [&binary.lhs, &binary.rhs];
        let is_scalar = |side: &&&Expr| side.value_type() == ValueType::Scalar;
        self.narrow_scalars(sides.iter().filter(is_scalar).copied());
        if let Some(matching) = &binary.matching {
            let labels = listed(&matching.labels);
            if matching.on { self.only(&labels) } else { self.never(&labels) }
        }
        sides.iter().filter(|side| !is_scalar(side)).for_each(|side| self.narrow_vector(side));
    }

    /// A side that selects nothing is the same in each shard, and would come out of all of them.
    fn narrow_vector(&mut self, side: &Expr) {
        if selectors(side).is_empty() {
            self.impossible("a vector is made of a number");
        }
        self.narrow(side);
    }

    /// A number that depends on series is another one in each shard.
    fn narrow_scalars<'e>(&mut self, mut scalars: impl Iterator<Item = &'e Expr>) {
        if scalars.any(|scalar| !selectors(scalar).is_empty()) {
            self.impossible("a number depends on all series");
        }
    }

    fn narrow_call(&mut self, call: &Call) {
        match call.function.name {
            "absent" | "absent_over_time" => self.impossible("nobody knows in a shard what is absent"),
            "info" => self.impossible("info series are in any shard"),
            "vector" => self.impossible("a vector is made of a number"),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => self.impossible("all series are in order"),
            "histogram_quantile" | "histogram_fraction" => self.never(&names(["le"])),
            "histogram_quantiles" => {
                self.never(&names(["le"]));
                self.never_written(call);
            }
            "label_replace" | "label_join" => self.never_written(call),
            _ => {}
        }
        self.narrow_scalars(call.args.iter().filter(|arg| arg.value_type() == ValueType::Scalar));
        let is_series = |arg: &&Expr| matches!(arg.value_type(), ValueType::Vector | ValueType::Matrix);
        call.args.iter().filter(is_series).for_each(|arg| self.narrow_vector(arg));
        if call.args.is_empty() {
            self.impossible("a vector is made of a number");
        }
    }

    /// The label that the second argument names is written.
    fn never_written(&mut self, call: &Call) {
        match call.args.get(1).map(Expr::unparen) {
            Some(Expr::String(label)) => self.never(&names([&*String::from_utf8_lossy(&label.value)])),
            _ => self.impossible("the label that is written is not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::{ParseOptions, parse};

    fn sharding(query: &str) -> Sharding {
        let options = ParseOptions { experimental_functions: true, fill_modifiers: true, ..ParseOptions::default() };
        analyze(&parse(query, &options).unwrap())
    }

    #[test]
    fn by_what_is_grouped_and_matched() {
        let queries: [(&str, &[&str]); 9] = [
            ("sum by (job, a) (rate(x[5m]))", &["a", "job"]),
            ("sum by (job) (x) / on (job, b) group_left sum by (job, c) (y)", &["job"]),
            ("topk by (job) (2, x)", &["job"]),
            ("sum by (a, b) (sum without (b) (x))", &["a"]),
            ("sum by (a, b) (x) - ignoring (b) sum by (a, c) (y)", &["a"]),
            ("histogram_quantile(0.9, sum by (le, job) (rate(x[5m])))", &["job"]),
            ("count_values by (job, v) (\"v\", x)", &["job"]),
            ("sum by (job, d) (label_replace(x, \"d\", \"$1\", \"s\", \"(.*)\"))", &["job"]),
            ("max_over_time(sum by (__name__, job) (x)[1h:5m])", &["job"]),
        ];
        for (query, labels) in queries {
            assert_eq!(sharding(query), Sharding::By(names(labels.iter().copied())), "{query}");
        }
    }

    #[test]
    fn by_all_but_what_is_grouped_over() {
        let queries: [(&str, &[&str]); 6] = [
            ("x", &[]),
            ("rate(x[5m]) * 2 > 1", &[]),
            ("sum without (pod) (x)", &["pod"]),
            ("x or ignoring (a) y", &["a"]),
            ("x + ignoring (a) fill (0) y", &["a"]),
            ("histogram_quantiles(x, \"q\", 0.1, 0.9)", &["le", "q"]),
        ];
        for (query, labels) in queries {
            let without = names(METADATA.into_iter().chain(labels.iter().copied()));
            assert_eq!(sharding(query), Sharding::Without(without), "{query}");
        }
    }

    #[test]
    fn not_at_all() {
        let queries = [
            "1 + 1",
            "vector(1)",
            "sum(x)",
            "x or on () y",
            "sum by (a) (x) + on (b) y",
            "absent(x)",
            "sum by (a) (x) / scalar(y)",
            "topk by (a) (scalar(k), x)",
            "x or vector(0)",
            "sum by (job) (x) or hour()",
            "sort(x)",
            "info(x)",
            "sum by (__name__) (x)",
            "sum by (a) (label_replace(x, \"a\", \"$1\", \"s\", \"(.*)\"))",
            "histogram_quantile(scalar(x), sum by (le, job) (y))",
        ];
        for query in queries {
            assert!(matches!(sharding(query), Sharding::Impossible(_)), "{query}: {:?}", sharding(query));
        }
    }
}
