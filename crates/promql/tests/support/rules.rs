//! The only ways in which an answer may differ from Prometheus's, each named and counted.

use std::collections::BTreeMap;

use thanoxide_promql::ast::{AggregateOp, Expr};

use crate::oracle::Answer;

/// Why two answers are the same although they are not equal.
type Rule = (&'static str, fn(&Expr, &Answer, &Answer) -> bool);

/// All rules; the first that fits counts.
const RULES: [Rule; 3] = [
    // Notes of one text are one note: its place is that of the part of the query that was merged last.
    ("place of a note that several parts of a query give", |_, a, b| same_but_places(a, b)),
    // The order of an instant vector is not defined unless the query sorts.
    ("order of an instant vector that is not sorted", |expr, a, b| !orders(expr) && same_set(a, b)),
    // Sorting by value says nothing of equal values; groups of topk and bottomk have no order.
    ("order of equal values in a sorted vector", |expr, a, b| orders(expr) && same_set(a, b) && same_values(a, b)),
];

/// How often the oracle is asked again where answers differ.
const ATTEMPTS: usize = 40;

/// Prometheus gives one of several answers, by the order in which Go happens to walk a map, and ours is one of them.
const ONE_OF_SEVERAL: &str = "one of several answers of Prometheus";

/// As before, but ours was not among those that were seen, because there are too many of them.
const UNDEFINED: &str = "Prometheus does not agree with itself";

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
        let undefined = others.iter().any(|other| other != stock && of_order(other, stock).is_none());
        if undefined {
            self.count(UNDEFINED);
        }
        undefined
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

fn same_but_places(a: &Answer, b: &Answer) -> bool {
    let placeless =
        |notes: &[String]| notes.iter().map(|n| n.rsplit_once(" (").map(|n| n.0.to_string())).collect::<Vec<_>>();
    let stripped = |answer: &Answer| Answer { warnings: Vec::new(), infos: Vec::new(), ..answer.clone() };
    stripped(a) == stripped(b)
        && placeless(&a.warnings) == placeless(&b.warnings)
        && placeless(&a.infos) == placeless(&b.infos)
}

fn same_values(a: &Answer, b: &Answer) -> bool {
    a.rows.iter().map(|r| &r.1).eq(b.rows.iter().map(|r| &r.1))
}
