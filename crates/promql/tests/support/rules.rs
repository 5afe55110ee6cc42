//! The only ways in which an answer may differ from Prometheus's, each named and counted.

use std::collections::BTreeMap;

use thanoxide_promql::ast::{AggregateOp, Expr};

use crate::oracle::Answer;

/// Why two answers are the same although they are not equal.
type Rule = (&'static str, fn(&Expr, &Answer, &Answer) -> bool);

/// All rules; the first that fits counts.
const RULES: [Rule; 2] = [
    // The order of an instant vector is not defined unless the query sorts.
    ("order of an instant vector that is not sorted", |expr, a, b| !orders(expr) && same_set(a, b)),
    // Sorting by value says nothing of equal values; groups of topk and bottomk have no order.
    ("order of equal values in a sorted vector", |expr, a, b| orders(expr) && same_set(a, b) && same_values(a, b)),
];

/// How often each rule was needed.
#[derive(Debug, Default)]
pub(crate) struct Counts(BTreeMap<&'static str, usize>);

impl Counts {
    /// Whether the answers are the same, to the last bit or by a rule.
    pub(crate) fn same(&mut self, expr: Option<&Expr>, ours: &Answer, stock: &Answer) -> bool {
        if ours == stock {
            return true;
        }
        let Some(expr) = expr else { return false };
        match RULES.iter().find(|(_, fits)| fits(expr, ours, stock)) {
            Some((name, _)) => {
                *self.0.entry(name).or_default() += 1;
                true
            }
            None => false,
        }
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

fn same_values(a: &Answer, b: &Answer) -> bool {
    a.rows.iter().map(|r| &r.1).eq(b.rows.iter().map(|r| &r.1))
}
