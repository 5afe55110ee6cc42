//! Durations between brackets and behind `offset`.

use super::expression::TIGHTER_THAN_SIGN;
use super::modifier::milliseconds;
use super::{Failure, Parsed, Parser, Tree};
use crate::ast::duration::MAX_SECONDS;
use crate::ast::{BinaryOp, DurationExpr, DurationOp, DurationOperation, NumberLiteral, Span, TimeSpan, UnaryOp};
use crate::lexer::token::{Builtin, Token, TokenKind};

impl Parser<'_> {
    /// A range or a step.
    pub(super) fn positive_duration(&mut self) -> Parsed<TimeSpan> {
        match self.duration(0)?.node {
            DurationExpr::Number(number) if number.value > 0.0 => Ok(TimeSpan::Fixed(milliseconds(number.value))),
            DurationExpr::Number(number) => self.fail(number.span, "duration must be greater than 0"),
            DurationExpr::Operation(operation) => Ok(TimeSpan::Computed(operation)),
        }
    }

    /// An offset: one literal, call or parenthesised duration with at most one sign. What follows it belongs to the
    /// expression around, unless there is no sign or two before a parenthesis; then the duration goes on.
    pub(super) fn offset_duration(&mut self) -> Parsed<DurationExpr> {
        let Some((op, sign)) = self.accept_sign()? else {
            return match self.peek()? {
                TokenKind::LeftParen => Ok(self.duration(0)?.node),
                _ => Ok(self.duration_operand()?.node),
            };
        };
        match self.peek()? {
            TokenKind::Number | TokenKind::Duration => {
                let number = self.number_literal()?.signed(op, sign.span);
                Ok(DurationExpr::Number(self.in_range(number, sign.span)?))
            }
            TokenKind::Builtin(_) => {
                let call = self.duration_operand()?;
                let span = sign.span.to(call.node.span());
                let op = if op == UnaryOp::Minus { DurationOp::Sub } else { DurationOp::Add };
                Ok(operation(op, None, Some(call.node), span))
            }
            TokenKind::LeftParen => {
                let inner = self.parenthesised_duration()?;
                Ok(self.signed_duration(op, sign, inner)?.node)
            }
            _ => {
                let inner = self.duration(TIGHTER_THAN_SIGN)?;
                let first = self.signed_duration(op, sign, inner)?;
                Ok(self.duration_after(first, 0)?.node)
            }
        }
    }

    fn duration(&mut self, min_precedence: u8) -> Parsed<Tree<DurationExpr>> {
        self.nested(|parser| {
            let first = match parser.accept_sign()? {
                Some((op, sign)) => {
                    let inner = parser.duration(TIGHTER_THAN_SIGN)?;
                    parser.signed_duration(op, sign, inner)?
                }
                None => parser.duration_operand()?,
            };
            parser.duration_after(first, min_precedence)
        })
    }

    /// The operators behind the first operand.
    fn duration_after(&mut self, first: Tree<DurationExpr>, min_precedence: u8) -> Parsed<Tree<DurationExpr>> {
        let mut lhs = first;
        while let TokenKind::Operator(sign) = self.peek()? {
            let Some(op) = duration_op(sign) else { break };
            if sign.precedence() < min_precedence {
                break;
            }
            let at = self.take()?.span;
            let rhs = self.duration(sign.precedence() + u8::from(!sign.is_right_associative()))?;
            lhs = self.arithmetic(op, at, lhs, rhs)?;
        }
        Ok(lhs)
    }

    fn arithmetic(
        &self,
        op: DurationOp,
        at: Span,
        lhs: Tree<DurationExpr>,
        rhs: Tree<DurationExpr>,
    ) -> Parsed<Tree<DurationExpr>> {
        self.need_duration_expressions(lhs.node.span())?;
        let divides = matches!(op, DurationOp::Div | DurationOp::Mod);
        if divides && matches!(&rhs.node, DurationExpr::Number(number) if number.value == 0.0) {
            let problem = if op == DurationOp::Div { "division by zero" } else { "modulo by zero" };
            return self.fail(at, problem);
        }
        let span = lhs.node.span().to(rhs.node.span());
        let depth = self.depth_above(span, [lhs.depth, rhs.depth])?;
        Ok(Tree { node: operation(op, Some(lhs.node), Some(rhs.node), span), depth })
    }

    fn duration_operand(&mut self) -> Parsed<Tree<DurationExpr>> {
        match self.peek()? {
            TokenKind::Number | TokenKind::Duration => {
                let number = self.number_literal()?;
                let span = number.span;
                Ok(Tree { node: DurationExpr::Number(self.in_range(number, span)?), depth: 1 })
            }
            TokenKind::Builtin(Builtin::Step) => self.duration_function(DurationOp::Step),
            TokenKind::Builtin(Builtin::Range) => self.duration_function(DurationOp::Range),
            TokenKind::Builtin(Builtin::MinOf) => self.duration_choice(DurationOp::MinOf),
            TokenKind::Builtin(Builtin::MaxOf) => self.duration_choice(DurationOp::MaxOf),
            TokenKind::LeftParen => self.parenthesised_duration(),
            _ => Err(Failure::Unexpected),
        }
    }

    /// A literal in parentheses becomes an operation, so that it is printed with them.
    fn parenthesised_duration(&mut self) -> Parsed<Tree<DurationExpr>> {
        self.take()?;
        let Tree { node, depth } = self.duration(0)?;
        self.expect(TokenKind::RightParen)?;
        let span = node.span();
        self.need_duration_expressions(span)?;
        let mut operation = match node {
            DurationExpr::Operation(operation) => operation,
            number => Box::new(DurationOperation::new(DurationOp::Add, None, Some(number), span)),
        };
        operation.wrapped = true;
        Ok(Tree { node: DurationExpr::Operation(operation), depth: depth + 1 })
    }

    /// `step()` or `range()`.
    fn duration_function(&mut self, op: DurationOp) -> Parsed<Tree<DurationExpr>> {
        let name = self.take()?.span;
        self.expect(TokenKind::LeftParen)?;
        let span = name.to(self.expect(TokenKind::RightParen)?.span);
        self.need_duration_expressions(span)?;
        Ok(Tree { node: operation(op, None, None, span), depth: 1 })
    }

    /// `min_of(a, b)` or `max_of(a, b)`.
    fn duration_choice(&mut self, op: DurationOp) -> Parsed<Tree<DurationExpr>> {
        let name = self.take()?.span;
        self.expect(TokenKind::LeftParen)?;
        let lhs = self.duration(0)?;
        self.expect(TokenKind::Comma)?;
        let rhs = self.duration(0)?;
        let span = name.to(self.expect(TokenKind::RightParen)?.span);
        self.need_duration_expressions(span)?;
        let depth = self.depth_above(span, [lhs.depth, rhs.depth])?;
        Ok(Tree { node: operation(op, Some(lhs.node), Some(rhs.node), span), depth })
    }

    /// Numbers take the sign in, and plus means nothing to the rest.
    fn signed_duration(&self, op: UnaryOp, sign: Token, inner: Tree<DurationExpr>) -> Parsed<Tree<DurationExpr>> {
        match inner.node {
            DurationExpr::Number(number) => {
                let number = self.in_range(number.signed(op, sign.span), sign.span)?;
                Ok(Tree { node: DurationExpr::Number(number), depth: inner.depth })
            }
            node if op == UnaryOp::Plus => Ok(Tree { node, depth: inner.depth }),
            node => {
                let span = sign.span.to(node.span());
                let depth = self.depth_above(span, [inner.depth])?;
                Ok(Tree { node: operation(DurationOp::Sub, None, Some(node), span), depth })
            }
        }
    }

    fn in_range(&self, number: NumberLiteral, span: Span) -> Parsed<NumberLiteral> {
        if number.value.abs() > MAX_SECONDS { self.fail(span, "duration out of range") } else { Ok(number) }
    }

    fn need_duration_expressions(&self, span: Span) -> Parsed<()> {
        if self.options.duration_expressions {
            return Ok(());
        }
        self.fail(span, "experimental duration expression is not enabled")
    }
}

fn operation(op: DurationOp, lhs: Option<DurationExpr>, rhs: Option<DurationExpr>, span: Span) -> DurationExpr {
    DurationExpr::Operation(Box::new(DurationOperation::new(op, lhs, rhs, span)))
}

fn duration_op(op: BinaryOp) -> Option<DurationOp> {
    Some(match op {
        BinaryOp::Add => DurationOp::Add,
        BinaryOp::Sub => DurationOp::Sub,
        BinaryOp::Mul => DurationOp::Mul,
        BinaryOp::Div => DurationOp::Div,
        BinaryOp::Mod => DurationOp::Mod,
        BinaryOp::Pow => DurationOp::Pow,
        _ => return None,
    })
}
