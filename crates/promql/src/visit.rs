//! Walks over a tree.

use thanoxide_model::Matcher;

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

/// Makes every selector satisfy these conditions: those it has on the same labels are replaced. This is how tenants are
/// kept apart in queries.
pub fn enforce(expr: &mut Expr, conditions: &[Matcher]) {
    let is_replaced = |matcher: &Matcher| conditions.iter().any(|condition| condition.name() == matcher.name());
    for_each_selector_mut(expr, &mut |selector| {
        selector.matchers.retain(|matcher| !is_replaced(matcher));
        selector.matchers.extend_from_slice(conditions);
    });
}

#[cfg(test)]
mod tests {
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
        enforce(&mut expr, &[Matcher::equal("t", "y")]);
        let wanted = r#"topk(scalar(k{t="y"}), -(rate(a{b="c",t="y"}[5m]) + max_over_time(up{t="y"}[1h:5m])))"#;
        assert_eq!(expr.to_string(), wanted);
    }
}
