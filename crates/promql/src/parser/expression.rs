//! Expressions: operators by precedence, signs, and what stands between them.

use super::{Failure, Parsed, Parser, Tree};
use crate::ast::{
    Binary, BinaryOp, Call, Expr, NumberLiteral, Paren, Span, StringLiteral, Unary, UnaryOp, VectorMatching,
};
use crate::lexer::number::{parse_duration, parse_number};
use crate::lexer::text::unquote;
use crate::lexer::token::{Keyword, Token, TokenKind};
use crate::signature;

/// A sign binds its operand like `*`, so only `^` (and whatever is behind an operand) binds tighter.
pub(super) const TIGHTER_THAN_SIGN: u8 = 6;

impl Parser<'_> {
    /// An expression whose operators have at least this precedence.
    pub(super) fn expression(&mut self, min_precedence: u8) -> Parsed<Tree<Expr>> {
        self.nested(|parser| {
            let mut lhs = parser.operand()?;
            while let TokenKind::Operator(op) = parser.peek()? {
                if op.precedence() < min_precedence {
                    break;
                }
                parser.take()?;
                let (return_bool, matching) = parser.binary_modifiers()?;
                let rhs = parser.expression(op.precedence() + u8::from(!op.is_right_associative()))?;
                lhs = parser.binary(op, lhs, rhs, return_bool, matching)?;
            }
            Ok(lhs)
        })
    }

    fn binary(
        &self,
        op: BinaryOp,
        lhs: Tree<Expr>,
        rhs: Tree<Expr>,
        return_bool: bool,
        matching: VectorMatching,
    ) -> Parsed<Tree<Expr>> {
        let span = lhs.node.span().to(rhs.node.span());
        if !self.options.fill_modifiers && matching.has_fill() {
            return self.fail(span, "binop fill modifiers are experimental and not enabled");
        }
        let depth = self.depth_above(span, [lhs.depth, rhs.depth])?;
        let matching = Some(matching);
        let node = Expr::Binary(Box::new(Binary { op, lhs: lhs.node, rhs: rhs.node, return_bool, matching, span }));
        Ok(Tree { node, depth })
    }

    fn operand(&mut self) -> Parsed<Tree<Expr>> {
        if let Some((op, sign)) = self.accept_sign()? {
            let operand = self.expression(TIGHTER_THAN_SIGN)?;
            return self.signed(op, sign, operand);
        }
        let primary = self.primary()?;
        self.with_modifiers(primary)
    }

    pub(super) fn accept_sign(&mut self) -> Parsed<Option<(UnaryOp, Token)>> {
        Ok(match self.peek()? {
            TokenKind::Operator(BinaryOp::Add) => Some((UnaryOp::Plus, self.take()?)),
            TokenKind::Operator(BinaryOp::Sub) => Some((UnaryOp::Minus, self.take()?)),
            _ => None,
        })
    }

    fn signed(&self, op: UnaryOp, sign: Token, operand: Tree<Expr>) -> Parsed<Tree<Expr>> {
        if let Expr::Number(number) = operand.node {
            return Ok(Tree { node: Expr::Number(number.signed(op, sign.span)), depth: operand.depth });
        }
        let span = sign.span.to(operand.node.span());
        let depth = self.depth_above(span, [operand.depth])?;
        Ok(Tree { node: Expr::Unary(Box::new(Unary { op, expr: operand.node, span })), depth })
    }

    fn primary(&mut self) -> Parsed<Tree<Expr>> {
        let leaf = |node| Ok(Tree { node, depth: 1 });
        match self.peek()? {
            TokenKind::Number | TokenKind::Duration => leaf(Expr::Number(self.number_literal()?)),
            TokenKind::String => {
                let span = self.take()?.span;
                leaf(Expr::String(StringLiteral { value: unquote(self.text(span)), span }))
            }
            TokenKind::LeftParen => self.parenthesised(),
            TokenKind::Aggregate(op) => {
                let name = self.take()?;
                match self.peek()? {
                    TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without) => {
                        let aggregate = self.aggregate(op, name.span);
                        self.within(aggregate, "aggregation", "")
                    }
                    _ => leaf(Expr::Vector(Box::new(self.named_selector(name)?))),
                }
            }
            TokenKind::Identifier | TokenKind::Builtin(_) => {
                let name = self.take()?;
                match self.peek()? {
                    TokenKind::LeftParen => self.call(name),
                    _ => leaf(Expr::Vector(Box::new(self.named_selector(name)?))),
                }
            }
            kind if kind == TokenKind::LeftBrace || kind.is_metric_name() => {
                leaf(Expr::Vector(Box::new(self.vector_selector()?)))
            }
            _ => Err(Failure::Unexpected),
        }
    }

    /// A number or duration, taken without a look behind it.
    pub(super) fn number_literal(&mut self) -> Parsed<NumberLiteral> {
        let Token { kind, span } = self.take()?;
        let is_duration = kind == TokenKind::Duration;
        let value = match kind {
            TokenKind::Duration => parse_duration(self.text(span)),
            _ => parse_number(self.text(span)),
        };
        match value {
            Ok(value) => Ok(NumberLiteral { value, is_duration, span }),
            Err(message) => self.fail(span, message),
        }
    }

    fn parenthesised(&mut self) -> Parsed<Tree<Expr>> {
        let start = self.take()?.span;
        let inner = self.expression(0)?;
        let span = start.to(self.expect(TokenKind::RightParen)?.span);
        let depth = self.depth_above(span, [inner.depth])?;
        Ok(Tree { node: Expr::Paren(Box::new(Paren { expr: inner.node, span })), depth })
    }

    fn call(&mut self, name: Token) -> Parsed<Tree<Expr>> {
        let args = self.arguments()?;
        let text = self.text(name.span);
        let Some(function) = signature::find(text) else {
            return self.fail(name.span, format!("unknown function with name \"{text}\""));
        };
        if function.experimental && !self.options.experimental_functions {
            return self.fail(name.span, format!("function \"{text}\" is not enabled"));
        }
        let span = Span::new(name.span.start, self.last_end);
        let depth = self.depth_above(span, args.iter().map(|arg| arg.depth))?;
        let args = args.into_iter().map(|arg| arg.node).collect();
        Ok(Tree { node: Expr::Call(Call { function, args, span }), depth })
    }

    /// The arguments of a call or aggregation with their parentheses.
    pub(super) fn arguments(&mut self) -> Parsed<Vec<Tree<Expr>>> {
        self.expect(TokenKind::LeftParen)?;
        if self.accept(TokenKind::RightParen)? {
            return Ok(Vec::new());
        }
        let mut args = vec![self.expression(0)?];
        while self.peek()? == TokenKind::Comma {
            let comma = self.take()?;
            if !self.peek()?.starts_expression() {
                return self.fail(comma.span, "trailing commas not allowed in function call args");
            }
            args.push(self.expression(0)?);
        }
        self.expect(TokenKind::RightParen)?;
        Ok(args)
    }
}

impl NumberLiteral {
    /// The literal with a sign before it.
    pub(super) fn signed(mut self, op: UnaryOp, sign: Span) -> NumberLiteral {
        if op == UnaryOp::Minus {
            self.value = -self.value;
        }
        self.span.start = sign.start;
        self
    }
}
