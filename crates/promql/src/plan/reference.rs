//! The time that `info()` looks at: that of its vector, if all of the vector looks at one.

use super::{Lowering, analysis};
use crate::ast::Expr;
use crate::engine::QueryError;
use crate::exec::grid::Modifiers;
use crate::types::ValueType;

/// What the selectors of an expression look at.
#[derive(Default)]
struct References {
    first: Option<Modifiers>,
    /// Two look at different times, or a part has no selector.
    differ: bool,
}

impl References {
    fn add(&mut self, new: Modifiers) {
        let time = |m: Modifiers| (m.at_ms.is_some(), m.at_ms.unwrap_or(0).saturating_sub(m.offset_ms));
        let first = *self.first.get_or_insert(new);
        self.differ |= time(first) != time(new);
    }
}

impl Lowering {
    /// Whether the value is the same at each step.
    pub(super) fn is_invariant(&self, expr: &Expr) -> bool {
        analysis::is_invariant(expr, &|base| matches!(self.shared_reference(base), Ok(Some(_))))
    }

    /// The `@` and offset that all selectors of an expression share, with those of the subqueries around them; `None` if
    /// they differ, or if a part of the vector comes from no selector.
    pub(super) fn shared_reference(&self, expr: &Expr) -> Result<Option<Modifiers>, QueryError> {
        let mut references = References::default();
        self.add_references(expr, Modifiers::default(), &mut references)?;
        Ok(references.first.filter(|_| !references.differ))
    }

    /// Whether there is any selector in the parts that give vectors; `outer` is of the subqueries around.
    fn add_references(&self, expr: &Expr, outer: Modifiers, into: &mut References) -> Result<bool, QueryError> {
        if !matches!(expr.value_type(), ValueType::Vector | ValueType::Matrix) {
            return Ok(false);
        }
        let within = |own: Modifiers| match own.at_ms {
            Some(_) => own,
            None => Modifiers { at_ms: outer.at_ms, offset_ms: outer.offset_ms.saturating_add(own.offset_ms) },
        };
        let (parts, outer): (Vec<&Expr>, Modifiers) = match expr {
            Expr::Vector(selector) => {
                into.add(within(self.modifiers(selector)?));
                return Ok(true);
            }
            Expr::Matrix(matrix) => {
                into.add(within(self.modifiers(&matrix.selector)?));
                return Ok(true);
            }
            Expr::Subquery(subquery) => {
                let own =
                    Modifiers { at_ms: self.at_ms(subquery.at), offset_ms: self.duration(&subquery.offset, true)? };
                (vec![&subquery.expr], within(own))
            }
            Expr::Aggregate(aggregate) => (vec![&aggregate.expr], outer),
            Expr::Binary(binary) => (vec![&binary.lhs, &binary.rhs], outer),
            // The second argument is no vector.
            Expr::Call(call) if call.function.name == "info" => (call.args.iter().take(1).collect(), outer),
            Expr::Call(call) => (call.args.iter().collect(), outer),
            Expr::Paren(paren) => (vec![&paren.expr], outer),
            Expr::Unary(unary) => (vec![&unary.expr], outer),
            Expr::Number(_) | Expr::String(_) => (Vec::new(), outer),
        };
        let mut found = false;
        for part in parts {
            found |= self.add_references(part, outer, into)?;
        }
        into.differ |= !found;
        Ok(found)
    }
}
