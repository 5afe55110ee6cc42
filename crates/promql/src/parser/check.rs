//! Types, numbers of arguments, and what else can only be told of a whole expression.

use std::collections::HashSet;

use thanoxide_model::METRIC_NAME;
use thanoxide_model::labels::go_quote;

use super::{Parsed, Parser};
use crate::ast::{
    Aggregate, AggregateOp, Binary, Call, Cardinality, Expr, Span, Unary, VectorMatching, VectorSelector,
};
use crate::types::ValueType;

impl Parser<'_> {
    /// Checks an expression and tells its type. Set operations become many-to-many, and matching of anything but two
    /// vectors is removed.
    pub(super) fn check(&self, expr: &mut Expr) -> Parsed<ValueType> {
        match expr {
            Expr::Aggregate(aggregate) => self.check_aggregate(aggregate),
            Expr::Binary(binary) => self.check_binary(binary),
            Expr::Call(call) => self.check_call(call),
            Expr::Matrix(matrix) => self.check_selector(&matrix.selector).map(|()| ValueType::Matrix),
            Expr::Number(_) => Ok(ValueType::Scalar),
            Expr::Paren(paren) => self.check(&mut paren.expr),
            Expr::String(_) => Ok(ValueType::String),
            Expr::Subquery(subquery) => match self.check(&mut subquery.expr)? {
                ValueType::Vector => Ok(ValueType::Matrix),
                other => {
                    self.fail(subquery.span, format!("subquery is only allowed on instant vector, got {other} instead"))
                }
            },
            Expr::Unary(unary) => self.check_unary(unary),
            Expr::Vector(selector) => self.check_selector(selector).map(|()| ValueType::Vector),
        }
    }

    fn expect_type(&self, expr: &mut Expr, wanted: ValueType, context: impl FnOnce() -> String) -> Parsed<()> {
        let got = self.check(expr)?;
        if got == wanted {
            return Ok(());
        }
        let (wanted, got) = (wanted.documented(), got.documented());
        self.fail(expr.span(), format!("expected type {wanted} in {}, got {got}", context()))
    }

    fn check_aggregate(&self, aggregate: &mut Aggregate) -> Parsed<ValueType> {
        self.expect_type(&mut aggregate.expr, ValueType::Vector, || "aggregation expression".to_string())?;
        let wanted = match aggregate.op {
            AggregateOp::CountValues => ValueType::String,
            _ => ValueType::Scalar,
        };
        if let Some(param) = &mut aggregate.param {
            self.expect_type(param, wanted, || "aggregation parameter".to_string())?;
        }
        Ok(ValueType::Vector)
    }

    fn check_unary(&self, unary: &mut Unary) -> Parsed<ValueType> {
        match self.check(&mut unary.expr)? {
            value_type @ (ValueType::Scalar | ValueType::Vector) => Ok(value_type),
            other => {
                let wanted = "unary expression only allowed on expressions of type scalar or instant vector";
                self.fail(unary.span, format!("{wanted}, got \"{}\"", other.documented()))
            }
        }
    }

    fn check_binary(&self, binary: &mut Binary) -> Parsed<ValueType> {
        let (lhs, rhs) = (self.check(&mut binary.lhs)?, self.check(&mut binary.rhs)?);
        let both_scalar = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
        if binary.return_bool && !binary.op.is_comparison() {
            return self.fail(self.operator_span(binary), "bool modifier can only be used on comparison operators");
        }
        if binary.op.is_comparison() && !binary.return_bool && both_scalar {
            return self.fail(self.operator_span(binary), "comparisons between scalars must use BOOL modifier");
        }
        let mut matching = binary.matching.take().unwrap_or_default();
        self.check_labels(binary, &matching)?;
        for (side, value_type) in [(&binary.lhs, lhs), (&binary.rhs, rhs)] {
            if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
                return self.fail(side.span(), "binary expression must contain only scalar and instant vector types");
            }
        }
        if lhs == ValueType::Vector && rhs == ValueType::Vector {
            self.check_matching(binary, &mut matching)?;
            binary.matching = Some(matching);
        } else {
            self.check_no_matching(binary, &matching)?;
        }
        Ok(if both_scalar { ValueType::Scalar } else { ValueType::Vector })
    }

    fn check_labels(&self, binary: &Binary, matching: &VectorMatching) -> Parsed<()> {
        let included: HashSet<&String> = matching.include.iter().collect();
        let in_both = matching.labels.iter().find(|label| matching.on && included.contains(label));
        let Some(label) = in_both else { return Ok(()) };
        let label = go_quote(label.as_bytes());
        let message = format!("label {label} must not occur in ON and GROUP clause at once");
        self.fail(self.operator_span(binary), message)
    }

    fn check_matching(&self, binary: &Binary, matching: &mut VectorMatching) -> Parsed<()> {
        if !binary.op.is_set() {
            return Ok(());
        }
        if matching.card != Cardinality::OneToOne {
            let op = binary.op.as_str();
            return self.fail(binary.span, format!("no grouping allowed for \"{op}\" operation"));
        }
        matching.card = Cardinality::ManyToMany;
        if matching.has_fill() {
            return self.fail(binary.span, "filling in missing series not allowed for set operators");
        }
        Ok(())
    }

    fn check_no_matching(&self, binary: &Binary, matching: &VectorMatching) -> Parsed<()> {
        if !matching.labels.is_empty() {
            return self.fail(binary.span, "vector matching only allowed between instant vectors");
        }
        if matching.has_fill() {
            return self.fail(binary.span, "filling in missing series only allowed between instant vectors");
        }
        if binary.op.is_set() {
            let op = binary.op.as_str();
            return self.fail(binary.span, format!("set operator \"{op}\" not allowed in binary scalar expression"));
        }
        Ok(())
    }

    /// The operator and its modifiers.
    fn operator_span(&self, binary: &Binary) -> Span {
        let (start, end) = (binary.lhs.span().end, binary.rhs.span().start);
        let between = self.query.get(start..end).unwrap_or_default();
        let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
        let trimmed = between.trim_start_matches(is_space);
        Span::new(end - trimmed.len(), start + between.trim_end_matches(is_space).len())
    }

    fn check_call(&self, call: &mut Call) -> Parsed<ValueType> {
        self.check_argument_count(call)?;
        if call.function.name == "info" {
            self.check_info_selector(call)?;
        }
        let function = call.function;
        for (index, arg) in call.args.iter_mut().enumerate() {
            let wanted = function.args[index.min(function.args.len() - 1)];
            self.expect_type(arg, wanted, || format!("call to function \"{}\"", function.name))?;
        }
        Ok(function.returns)
    }

    fn check_argument_count(&self, call: &Call) -> Parsed<()> {
        let (name, got) = (call.function.name, call.args.len());
        let fail = |bound: &str, count: usize| {
            self.fail(call.span, format!("expected {bound}{count} argument(s) in call to \"{name}\", got {got}"))
        };
        let listed = call.function.args.len();
        let Ok(extra) = usize::try_from(call.function.variadic) else {
            return if got + 1 < listed { fail("at least ", listed - 1) } else { Ok(()) };
        };
        match extra {
            0 if got != listed => fail("", listed),
            0 => Ok(()),
            _ if got + 1 < listed => fail("at least ", listed - 1),
            _ if got > listed - 1 + extra => fail("at most ", listed - 1 + extra),
            _ => Ok(()),
        }
    }

    /// The second argument of `info()` is a selector without a name, and may match everything.
    fn check_info_selector(&self, call: &mut Call) -> Parsed<()> {
        let Some(arg) = call.args.get_mut(1) else { return Ok(()) };
        let value_type = arg.value_type();
        if value_type != ValueType::Vector {
            let got = value_type.documented();
            let message = format!("expected type instant vector in call to function \"info\", got {got}");
            return self.fail(call.span, message);
        }
        match arg {
            Expr::Vector(selector) if selector.name.is_empty() => {
                selector.is_info_selector = true;
                Ok(())
            }
            Expr::Vector(selector) => {
                self.fail(selector.span, "expected label selectors only, got vector selector instead")
            }
            other => self.fail(other.span(), "expected label selectors only"),
        }
    }

    fn check_selector(&self, selector: &VectorSelector) -> Parsed<()> {
        if selector.name.is_empty() {
            let all_match_empty = selector.matchers.iter().all(|matcher| matcher.matches_empty());
            if all_match_empty && !selector.is_info_selector {
                return self.fail(selector.span, "vector selector must contain at least one non-empty matcher");
            }
            return Ok(());
        }
        // The last matcher is the one of the name before the braces.
        let inside = selector.matchers.split_last().map_or(&[][..], |(_, inside)| inside);
        let Some(second) = inside.iter().find(|matcher| matcher.name() == METRIC_NAME.as_bytes()) else {
            return Ok(());
        };
        let (first, second) = (go_quote(selector.name.as_bytes()), go_quote(second.value()));
        self.fail(selector.span, format!("metric name must not be set twice: {first} or {second}"))
    }
}
