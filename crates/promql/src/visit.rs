//! Walks over a tree.

use thanoxide_model::Matcher;
use thiserror::Error;

use crate::ast::{Expr, VectorSelector};

/// Calls `visit` with an expression and then with all below it, from left to right.
pub fn walk<'e>(expr: &'e Expr, visit: &mut impl FnMut(&'e Expr)) {
    visit(expr);
    match expr {
        Expr::Aggregate(e) => {
            walk(&e.expr, visit);
            e.param.iter().for_each(|param| walk(param, visit));
        }
        Expr::Binary(e) => {
            walk(&e.lhs, visit);
            walk(&e.rhs, visit);
        }
        Expr::Call(e) => e.args.iter().for_each(|arg| walk(arg, visit)),
        Expr::Paren(e) => walk(&e.expr, visit),
        Expr::Subquery(e) => walk(&e.expr, visit),
        Expr::Unary(e) => walk(&e.expr, visit),
        Expr::Matrix(_) | Expr::Number(_) | Expr::String(_) | Expr::Vector(_) => {}
    }
}

/// Calls `change` with every selector, those of ranges included.
pub fn for_each_selector_mut(expr: &mut Expr, change: &mut impl FnMut(&mut VectorSelector)) {
    match expr {
        Expr::Aggregate(e) => {
            for_each_selector_mut(&mut e.expr, change);
            e.param.iter_mut().for_each(|param| for_each_selector_mut(param, change));
        }
        Expr::Binary(e) => {
            for_each_selector_mut(&mut e.lhs, change);
            for_each_selector_mut(&mut e.rhs, change);
        }
        Expr::Call(e) => e.args.iter_mut().for_each(|arg| for_each_selector_mut(arg, change)),
        Expr::Matrix(e) => change(&mut e.selector),
        Expr::Paren(e) => for_each_selector_mut(&mut e.expr, change),
        Expr::Subquery(e) => for_each_selector_mut(&mut e.expr, change),
        Expr::Unary(e) => for_each_selector_mut(&mut e.expr, change),
        Expr::Vector(e) => change(e),
        Expr::Number(_) | Expr::String(_) => {}
    }
}

/// All selectors in the order of [`walk`], those of ranges included.
pub fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    let mut found = Vec::new();
    walk(expr, &mut |e| match e {
        Expr::Vector(selector) => found.push(&**selector),
        Expr::Matrix(matrix) => found.push(&matrix.selector),
        _ => {}
    });
    found
}

/// The conditions of every selector.
pub fn extract_matchers(expr: &Expr) -> Vec<&[Matcher]> {
    selectors(expr).into_iter().map(|selector| &selector.matchers[..]).collect()
}

/// A query that reads series which no selector names, so that no condition holds for them.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{0}() reads series beyond the selectors of a query")]
pub struct Unenforceable(&'static str);

/// Makes every selector satisfy these conditions: those it has on the same labels are replaced. This is how tenants are
/// kept apart in queries. `info()` is refused, since it looks for info series on its own.
pub fn enforce(expr: &mut Expr, conditions: &[Matcher]) -> Result<(), Unenforceable> {
    let mut beyond = false;
    walk(expr, &mut |e| beyond |= matches!(e, Expr::Call(call) if call.function.name == "info"));
    if beyond {
        return Err(Unenforceable("info"));
    }
    let is_replaced = |matcher: &Matcher| conditions.iter().any(|condition| condition.name() == matcher.name());
    for_each_selector_mut(expr, &mut |selector| {
        selector.matchers.retain(|matcher| !is_replaced(matcher));
        selector.matchers.extend_from_slice(conditions);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use thanoxide_model::MatchKind;

    use super::*;
    use crate::parser::{ParseOptions, parse};

    const QUERY: &str = r#"topk(scalar(k), -(rate(a{t="x",b="c"}[5m]) + max_over_time(up[1h:5m])))"#;

    #[test]
    fn every_selector_is_found() {
        let expr = parse(QUERY, &ParseOptions::default()).unwrap();
        let names: Vec<_> = selectors(&expr).iter().map(|selector| selector.name.as_str()).collect();
        assert_eq!(names, ["a", "up", "k"]);
    }

    #[test]
    fn conditions_are_enforced() {
        let mut expr = parse(QUERY, &ParseOptions::default()).unwrap();
        assert_eq!(enforce(&mut expr, &[Matcher::equal("t", "y")]), Ok(()));
        let wanted = r#"topk(scalar(k{t="y"}), -(rate(a{b="c",t="y"}[5m]) + max_over_time(up{t="y"}[1h:5m])))"#;
        assert_eq!(expr.to_string(), wanted);
    }

    #[test]
    fn nothing_escapes_the_conditions() {
        let options = ParseOptions { experimental_functions: true, ..ParseOptions::default() };
        let mut expr = parse("info(a{t=\"x\"}) + b", &options).unwrap();
        let before = expr.clone();
        assert_eq!(enforce(&mut expr, &[Matcher::equal("t", "y")]), Err(Unenforceable("info")));
        assert_eq!(expr, before);
        // Two conditions of one label both hold, whatever stood there.
        let mut expr = parse("count by (t) ({t=~\"x|y\",t!=\"\",__name__=\"a\"} offset 5m)", &options).unwrap();
        let conditions = [Matcher::equal("t", "y"), Matcher::new(MatchKind::Regexp, "t", "y|z").unwrap()];
        enforce(&mut expr, &conditions).unwrap();
        assert_eq!(expr.to_string(), "count by (t) ({__name__=\"a\",t=\"y\",t=~\"y|z\"} offset 5m)");
    }

    #[test]
    fn matchers_come_in_the_order_of_selectors() {
        let expr = parse("rate(a{x=\"1\"}[5m]) / on () {y=~\"b.*\"}", &ParseOptions::default()).unwrap();
        let texts: Vec<String> = extract_matchers(&expr).iter().map(|matchers| format!("{matchers:?}")).collect();
        assert_eq!(texts, [r#"[x="1", __name__="a"]"#, r#"[y=~"b.*"]"#]);
    }
}
