//! The only ways in which an answer may differ from Prometheus's, each named and counted.

use std::collections::BTreeMap;

use thanoxide_promql::ast::{AggregateOp, Expr, VectorSelector};
use thanoxide_promql::visit::{selectors, walk};

use crate::oracle::{Answer, Row};

/// Why two answers are the same although they are not equal.
type Rule = (&'static str, fn(&Expr, &Answer, &Answer) -> bool);

/// All rules; the first that fits counts.
const RULES: [Rule; 11] = [
    // Prometheus forgets after the first step to pin what stands there, so that it moves with the steps of a range query,
    // and may come to where there is nothing.
    ("`@` in the parameter of an aggregation of a range query", |expr, ours, stock| {
        let alike = stock.error == NO_PARAMETER || stock.kind == "matrix" && same_first_step(ours, stock);
        ours.kind == "matrix" && alike && pins_a_parameter(expr)
    }),
    // The order of an instant vector is not defined unless the query sorts.
    ("order of an instant vector that is not sorted", |expr, a, b| !orders(expr) && same_set(a, b)),
    // Sorting by value says nothing of equal values; groups of topk and bottomk have no order.
    ("order of equal values in a sorted vector", |expr, a, b| orders(expr) && same_set(a, b) && same_values(a, b)),
    // As before, where an error names the first series that it meets.
    ("the series that an error names, of equal values in a sorted vector", |expr, a, b| {
        calls(expr, &["sort", "sort_desc"]) && error_kind(a).is_some_and(|kind| Some(kind) == error_kind(b))
    }),
    // Samples are counted by the memory that histograms take, and those that a subquery computed have other empty buckets.
    ("samples that computed histograms count for", |expr, a, b| {
        has_subquery(expr, false) && without_samples(a) == without_samples(b) && nearly_as_many(a, b)
    }),
    // In a range query a subquery with `@` is evaluated past its time, where Prometheus does not read samples any more.
    ("an error of a pinned subquery past its time", |expr, ours, stock| {
        ours.error == SAME_LABELS && stock.kind == "matrix" && has_subquery(expr, true)
    }),
    // Natural order holds a missing label neither less nor greater: what comes out depends on the way of sorting.
    ("order of more than 12 series by labels that some lack", |expr, a, b| {
        calls(expr, &["sort_by_label", "sort_by_label_desc"]) && a.rows.len() > 12 && same_set(a, b)
    }),
    // Prometheus sorts a window in a way that leaves 0 and -0 in any order.
    ("sign of a zero among the quantiles", |expr, a, b| {
        calls(expr, &["quantile_over_time", "mad_over_time"]) && unsigned(a) == unsigned(b)
    }),
    // Prometheus overlooks that series with the same labels meet, if one has a float there and the other a histogram.
    ("a float and a histogram of the same labels", |expr, ours, stock| {
        ours.error == SAME_LABELS && ours.error != stock.error && selectors(expr).iter().any(|s| may_be_mixed(s))
    }),
    // Prometheus panics inside, and answers with the panic, where a sum mixes histograms with and without custom buckets.
    ("a panic of Prometheus over zero buckets", |_, ours, stock| stock.error == PANIC && ours.error.is_empty()),
    // The labels of what is absent follow the order of matchers, which storage changes if it has data of that time.
    ("labels of the absent outside of all data", |expr, a, b| {
        calls(expr, &["absent", "absent_over_time"]) && unlabelled(a) == unlabelled(b) && mentions_twice(expr)
    }),
];

const NO_PARAMETER: &str = "Parameter value is NaN";
const PANIC: &str = "histograms with custom buckets have no zero bucket";
const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// How often the oracle is asked again where answers differ.
const ATTEMPTS: usize = 200;

/// Prometheus gives one of several answers, by the order in which Go happens to walk a map, and ours is one of them.
const ONE_OF_SEVERAL: &str = "one of several answers of Prometheus";

/// As before, but ours was not among those that were seen, because there are too many of them. These count only where
/// Prometheus's answers to the same question differ, as they do if series come out of a Go map.
const UNORDERED: [Rule; 5] = [
    ("sign of a zero in the order of a Go map", |expr, a, b| aggregates(expr, |_| true) && unsigned(a) == unsigned(b)),
    ("floats added up in the order of a Go map", |expr, a, b| aggregates(expr, adds) && nearly(a, b, 1e-12)),
    // What is computed of such a sum may make the difference grow: `sum(a) - sum(b)`, `stddev` of large numbers.
    ("what follows from floats added up in the order of a Go map", |expr, a, b| {
        aggregates(expr, adds) && nearly(a, b, 1e-6)
    }),
    ("series chosen in the order of a Go map", |expr, a, b| {
        use AggregateOp::{BottomK, LimitK, LimitRatio, TopK};
        aggregates(expr, |op| matches!(op, TopK | BottomK | LimitK | LimitRatio)) && a.kind == b.kind
    }),
    ("the series that an error names, in the order of a Go map", |_, a, b| {
        error_kind(a).is_some_and(|kind| Some(kind) == error_kind(b))
    }),
];

/// How often each rule was needed.
#[derive(Debug, Default)]
pub(crate) struct Counts(BTreeMap<&'static str, usize>);

impl Counts {
    /// Whether the answers are the same, to the last bit or by a rule. `again` asks the oracle again, this many times.
    pub(crate) fn same(
        &mut self,
        expr: Option<&Expr>,
        ours: &Answer,
        stock: &Answer,
        again: impl FnOnce(usize) -> Vec<Answer>,
    ) -> bool {
        let Some(expr) = expr else { return ours == stock };
        let of_order = |ours: &Answer, stock: &Answer| RULES.iter().find(|(_, fits)| fits(expr, ours, stock));
        if ours == stock {
            return true;
        }
        if let Some((name, _)) = of_order(ours, stock) {
            self.count(name);
            return true;
        }
        let others = again(ATTEMPTS);
        if others.iter().any(|other| ours == other || of_order(ours, other).is_some()) {
            self.count(ONE_OF_SEVERAL);
            return true;
        }
        let unordered = others.iter().any(|other| other != stock && of_order(other, stock).is_none());
        let rule = UNORDERED.iter().find(|(_, fits)| unordered && fits(expr, ours, stock));
        rule.into_iter().for_each(|(name, _)| self.count(name));
        rule.is_some()
    }

    fn count(&mut self, rule: &'static str) {
        *self.0.entry(rule).or_default() += 1;
    }

    pub(crate) fn print(&self) {
        self.0.iter().for_each(|(name, count)| println!("rule: {name}: {count}"));
    }
}

/// Whether the outermost part of a query puts series into an order.
fn orders(expr: &Expr) -> bool {
    match expr.unparen() {
        Expr::Call(call) => call.function.name.starts_with("sort"),
        Expr::Aggregate(aggregate) => matches!(aggregate.op, AggregateOp::TopK | AggregateOp::BottomK),
        _ => false,
    }
}

fn same_set(a: &Answer, b: &Answer) -> bool {
    let sorted = |answer: &Answer| {
        let mut answer = answer.clone();
        answer.rows.sort();
        answer
    };
    a.kind == "vector" && sorted(a) == sorted(b)
}

/// Whether a query has such an aggregation anywhere.
fn aggregates(expr: &Expr, such: impl Fn(AggregateOp) -> bool) -> bool {
    let mut found = false;
    walk(expr, &mut |e| found |= matches!(e, Expr::Aggregate(aggregate) if such(aggregate.op)));
    found
}

fn adds(op: AggregateOp) -> bool {
    matches!(op, AggregateOp::Sum | AggregateOp::Avg | AggregateOp::StdDev | AggregateOp::StdVar)
}

/// Whether a selector in a parameter has an `@`.
fn pins_a_parameter(expr: &Expr) -> bool {
    let mut found = false;
    walk(expr, &mut |e| {
        let Expr::Aggregate(aggregate) = e else { return };
        found |= aggregate.param.iter().any(|param| selectors(param).iter().any(|s| s.at.is_some()));
    });
    found
}

/// What an error says before it names series.
fn error_kind(answer: &Answer) -> Option<&str> {
    answer.error.split('{').next().filter(|_| answer.kind == "error")
}

/// Whether a query has a subquery, with an `@` if asked for.
fn has_subquery(expr: &Expr, pinned: bool) -> bool {
    let mut found = false;
    walk(expr, &mut |e| found |= matches!(e, Expr::Subquery(subquery) if !pinned || subquery.at.is_some()));
    found
}

fn without_samples(answer: &Answer) -> Answer {
    Answer { samples: Vec::new(), ..answer.clone() }
}

/// Whether the counts of samples differ by a twentieth at most.
fn nearly_as_many(a: &Answer, b: &Answer) -> bool {
    a.samples.len() == b.samples.len()
        && a.samples.iter().zip(&b.samples).all(|(a, b)| a.abs_diff(*b) * 20 <= *a.max(b))
}

/// Whether matrices have the same values at the earliest time that either has.
fn same_first_step(a: &Answer, b: &Answer) -> bool {
    let first = a.rows.iter().chain(&b.rows).filter_map(|row| row.1.first()).map(|point| point.0).min();
    let at = |answer: &Answer| {
        let rows = answer.rows.iter().filter_map(|row| row.1.first().map(|point| (row.0.clone(), point.clone())));
        rows.filter(|(_, point)| Some(point.0) == first).collect::<Vec<_>>()
    };
    at(a) == at(b)
}

/// Whether answers have the same series and times, and values that differ by what is left of rounding.
fn nearly(a: &Answer, b: &Answer, part: f64) -> bool {
    let close = |a: &str, b: &str| match (float(a), float(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= part * a.abs().max(b.abs()).max(1e-9),
        _ => a == b,
    };
    let same_row = |a: &Row, b: &Row| {
        a.0 == b.0 && a.1.len() == b.1.len() && a.1.iter().zip(&b.1).all(|(a, b)| a.0 == b.0 && close(&a.1, &b.1))
    };
    a.kind == b.kind && a.rows.len() == b.rows.len() && a.rows.iter().zip(&b.rows).all(|(a, b)| same_row(a, b))
}

/// A float by the digits of its bits.
fn float(digits: &str) -> Option<f64> {
    u64::from_str_radix(digits, 16).ok().map(f64::from_bits).filter(|v| v.is_finite())
}

/// Whether a query calls one of these anywhere.
fn calls(expr: &Expr, names: &[&str]) -> bool {
    let mut found = false;
    walk(expr, &mut |e| found |= matches!(e, Expr::Call(call) if names.contains(&call.function.name)));
    found
}

/// Whether a selector takes a metric that has floats and histograms, or several metrics.
fn may_be_mixed(selector: &VectorSelector) -> bool {
    selector.matchers.iter().filter(|m| m.name() == b"__name__").all(|m| m.matches(b"mix"))
}

/// Whether a selector has two matchers on one label.
fn mentions_twice(expr: &Expr) -> bool {
    selectors(expr).iter().any(|s| {
        s.matchers.iter().enumerate().any(|(i, m)| s.matchers[..i].iter().any(|other| other.name() == m.name()))
    })
}

/// All zeros positive.
fn unsigned(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    let points = answer.rows.iter_mut().flat_map(|row| &mut row.1);
    points.filter(|p| p.1 == "8000000000000000").for_each(|p| p.1 = "0".into());
    answer
}

fn unlabelled(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    answer.rows.iter_mut().for_each(|row| row.0.clear());
    answer
}

fn same_values(a: &Answer, b: &Answer) -> bool {
    a.rows.iter().map(|r| &r.1).eq(b.rows.iter().map(|r| &r.1))
}
