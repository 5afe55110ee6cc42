//! What is printed reads back: random expressions through parser and printer, one line and many.

use thanoxide_promql::ast::{BinaryOp, Expr};
use thanoxide_promql::json::to_json;
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::printer::pretty::pretty;
use thanoxide_promql::visit::{for_each_selector_mut, walk};

use crate::dice::{self, Dice};
use crate::grammar::Grammar;
use crate::syntax::Syntax;

fn read(text: &str) -> Result<Expr, String> {
    let options = ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..ParseOptions::default()
    };
    parse(text, &options).map_err(|error| error.to_string())
}

/// The tree as JSON, matchers in the order in which they are printed. Some trees have no JSON, such as those with NaN.
fn tree(mut expr: Expr) -> Option<String> {
    for_each_selector_mut(&mut expr, &mut |selector| selector.matchers.sort_by_key(ToString::to_string));
    to_json(&expr).ok()
}

/// Whether there is an `Inf ^ x`: Prometheus prints `+Inf ^ x`, which reads as `+(Inf ^ x)`, and so do we.
fn raises_infinity(expr: &Expr) -> bool {
    let mut found = false;
    walk(expr, &mut |e| {
        let Expr::Binary(binary) = e else { return };
        found |= binary.op == BinaryOp::Pow && matches!(&binary.lhs, Expr::Number(n) if n.value == f64::INFINITY);
    });
    found
}

/// Half of them are for evaluation, half are of every production that there is.
fn expression(dice: &mut Dice) -> String {
    if dice.percent(50) {
        return Grammar { dice, start_ms: 0, end_ms: 1 << 40 }.query(true);
    }
    let depth = dice.below(5);
    Syntax { dice }.vector(depth)
}

/// Prints and reads this many; gives how many were no queries, since of some a type or a modifier does not fit.
pub(crate) fn run(queries: usize) -> usize {
    // Under CI always the same, so that a change is judged by what it changed.
    let mut dice = Dice::new(dice::seed(std::env::var_os("CI").map(|_| 101)));
    let mut refused = 0;
    for _ in 0..queries {
        let text = expression(&mut dice);
        let Some(expr) = read(&text).ok().filter(|expr| !raises_infinity(expr)) else {
            refused += 1;
            continue;
        };
        let (printed, json) = (expr.to_string(), tree(expr.clone()));
        for again in [printed.clone(), pretty(&expr)] {
            let expr = read(&again).unwrap_or_else(|error| panic!("{text}\n{again}\n{error}"));
            assert_eq!(expr.to_string(), printed, "{text}");
            assert_eq!(tree(expr), json, "{text}\n{again}");
        }
    }
    println!("{queries} queries, {refused} of them refused");
    refused
}
