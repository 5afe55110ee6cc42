//! The labels of a selector that matter to the aggregation around it.

use super::analysis::is_name_pinned;
use crate::ast::{Aggregate, AggregateOp, Call, Expr};
use crate::functions::float;
use crate::functions::range::RangeFunction;

/// Labels that notes speak of or that say what a metric is.
const ALWAYS: [&str; 3] = ["__name__", "__type__", "__unit__"];

/// The labels of the one selector of an aggregation that matter; `None` where all may.
pub(super) fn projection(aggregate: &Aggregate) -> Option<Vec<String>> {
    use AggregateOp::{BottomK, LimitK, LimitRatio, TopK};
    let keeps_series = matches!(aggregate.op, TopK | BottomK | LimitK | LimitRatio);
    if keeps_series || aggregate.without || !is_plain(&aggregate.expr) {
        return None;
    }
    let always = ALWAYS.iter().map(ToString::to_string);
    Some(always.chain(aggregate.grouping.iter().cloned()).collect())
}

/// Whether nothing but an aggregation looks at the labels of a selector. Functions look for series that are alike without
/// their names, unless the name is given.
fn is_plain(expr: &Expr) -> bool {
    match expr.unparen() {
        Expr::Vector(_) => true,
        Expr::Call(call) => is_plain_call(call),
        _ => false,
    }
}

fn is_plain_call(call: &Call) -> bool {
    let name = call.function.name;
    let of_range = RangeFunction::find(name).is_some_and(|function| function != RangeFunction::AbsentOverTime);
    match call.args.as_slice() {
        [arg] if of_range => matches!(arg.unparen(), Expr::Matrix(_)) && is_name_pinned(arg),
        [arg] if float::find(name).is_some() => is_plain(arg) && is_name_pinned(arg),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::{ParseOptions, parse};

    #[test]
    fn an_aggregation_wants_its_own_labels() {
        for (text, wanted) in [
            ("count({a=\"1\"})", Some(vec![])),
            ("sum by (b, c) (x)", Some(vec!["b", "c"])),
            ("sum by (b) (rate(x[5m]))", Some(vec!["b"])),
            ("sum by (b) (abs(rate((x[5m]))))", Some(vec!["b"])),
            ("count_values by (b) (\"v\", x)", Some(vec!["b"])),
            ("sum by (b) (rate({a=\"1\"}[5m]))", None),
            ("sum by (b) (-{a=\"1\"})", None),
            ("sum without (b) (x)", None),
            ("topk by (b) (1, x)", None),
            ("sum by (b) (x + 1)", None),
            ("sum by (b) (rate(x[5m:1m]))", None),
            ("sum by (b) (label_replace(x, \"b\", \"$1\", \"a\", \"(.*)\"))", None),
            ("sum by (b) (absent(x))", None),
            ("sum(histogram_quantile(0.9, x))", None),
        ] {
            let expr = parse(text, &ParseOptions::default()).unwrap();
            let Expr::Aggregate(aggregate) = &expr else { panic!("{text}") };
            let got = projection(aggregate).map(|labels| labels[ALWAYS.len()..].to_vec());
            assert_eq!(got, wanted.map(|labels| labels.into_iter().map(String::from).collect()), "{text}");
        }
    }
}
