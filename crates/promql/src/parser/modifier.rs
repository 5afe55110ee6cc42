//! What may stand behind an expression: ranges, `offset`, `@`, `anchored` and `smoothed`.

use super::{Failure, Parsed, Parser, Tree};
use crate::ast::{At, DurationExpr, Expr, MatrixSelector, Span, Subquery, TimeSpan, UnaryOp};
use crate::lexer::token::{Builtin, Keyword, TokenKind};

/// The time modifiers of an expression that has any, and its end.
struct TimeModifiers<'e> {
    offset: &'e mut TimeSpan,
    at: &'e mut Option<At>,
    end: &'e mut usize,
}

impl Expr {
    fn time_modifiers(&mut self) -> Option<TimeModifiers<'_>> {
        Some(match self {
            Expr::Vector(e) => TimeModifiers { offset: &mut e.offset, at: &mut e.at, end: &mut e.span.end },
            Expr::Matrix(e) => {
                TimeModifiers { offset: &mut e.selector.offset, at: &mut e.selector.at, end: &mut e.span.end }
            }
            Expr::Subquery(e) => TimeModifiers { offset: &mut e.offset, at: &mut e.at, end: &mut e.span.end },
            _ => return None,
        })
    }
}

impl Parser<'_> {
    /// An expression with the modifiers behind it.
    pub(super) fn with_modifiers(&mut self, tree: Tree<Expr>) -> Parsed<Tree<Expr>> {
        let Tree { node: mut expr, mut depth } = tree;
        loop {
            match self.peek()? {
                TokenKind::LeftBracket => {
                    expr = self.range(expr)?;
                    depth = self.depth_above(expr.span(), [depth])?;
                }
                TokenKind::Keyword(Keyword::Offset) => self.offset(&mut expr)?,
                TokenKind::At => self.at(&mut expr)?,
                TokenKind::Keyword(word @ (Keyword::Anchored | Keyword::Smoothed)) => {
                    self.take()?;
                    self.extend_range(&mut expr, word == Keyword::Anchored)?;
                }
                _ => return Ok(Tree { node: expr, depth }),
            }
        }
    }

    /// `[range]` or `[range:step]`.
    fn range(&mut self, expr: Expr) -> Parsed<Expr> {
        let open = self.take()?.span;
        let range = self.positive_duration();
        let range = self.within(range, "subquery or range selector", "number, duration, step(), or range()")?;
        if self.peek()? == TokenKind::RightBracket {
            let close = self.take()?.span;
            return self.matrix_selector(expr, range, open.to(close));
        }
        let colon = self.expect(TokenKind::Colon);
        self.within(colon, "subquery or range", "\":\" or \"]\"")?;
        let step = self.subquery_step()?;
        let close = self.expect(TokenKind::RightBracket);
        let close = self.within(close, "subquery selector", "\"]\"")?.span;
        let span = expr.span().to(close);
        Ok(Expr::Subquery(Box::new(Subquery { expr, range, step, offset: TimeSpan::ZERO, at: None, span })))
    }

    fn subquery_step(&mut self) -> Parsed<Option<TimeSpan>> {
        if self.peek()? == TokenKind::RightBracket {
            return Ok(None);
        }
        let step = self.positive_duration();
        self.within(step, "subquery selector", "number, duration, step(), range(), or \"]\"").map(Some)
    }

    fn matrix_selector(&self, expr: Expr, range: TimeSpan, brackets: Span) -> Parsed<Expr> {
        let Expr::Vector(selector) = expr else {
            return self.fail(brackets, "ranges only allowed for vector selectors");
        };
        if matches!(selector.offset, TimeSpan::Fixed(ms) if ms != 0) {
            return self.fail(brackets, "no offset modifiers allowed before range");
        }
        if matches!(selector.at, Some(At::Timestamp(_))) {
            return self.fail(brackets, "no @ modifiers allowed before range");
        }
        let span = selector.span.to(brackets);
        Ok(Expr::Matrix(Box::new(MatrixSelector { selector: *selector, range, span })))
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.take()?;
        let duration = self.offset_duration();
        let duration = self.within(duration, "offset", "number, duration, step(), or range()")?;
        let (span, last_end) = (expr.span(), self.last_end);
        let Some(modifiers) = expr.time_modifiers() else {
            return self.fail(span, misplaced("offset"));
        };
        if !modifiers.offset.is_zero() {
            return self.fail(span, "offset may not be set multiple times");
        }
        *modifiers.offset = match duration {
            DurationExpr::Number(number) => TimeSpan::Fixed(milliseconds(number.value)),
            DurationExpr::Operation(operation) => TimeSpan::Computed(operation),
        };
        *modifiers.end = last_end;
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.take()?;
        let at = self.at_time(expr.span());
        let at = self.within(at, "@", "timestamp")?;
        let (span, last_end) = (expr.span(), self.last_end);
        let Some(modifiers) = expr.time_modifiers() else {
            return self.fail(span, misplaced("@"));
        };
        if modifiers.at.is_some() {
            return self.fail(span, "@ <timestamp> may not be set multiple times");
        }
        *modifiers.at = Some(at);
        *modifiers.end = last_end;
        Ok(())
    }

    fn at_time(&mut self, expr: Span) -> Parsed<At> {
        let sign = self.accept_sign()?;
        match self.peek()? {
            TokenKind::Number | TokenKind::Duration => {
                let number = self.number_literal()?;
                let is_negative = matches!(sign, Some((UnaryOp::Minus, _)));
                self.timestamp(expr, if is_negative { -number.value } else { number.value })
            }
            TokenKind::Builtin(word @ (Builtin::Start | Builtin::End)) if sign.is_none() => {
                self.take()?;
                self.expect(TokenKind::LeftParen)?;
                self.expect(TokenKind::RightParen)?;
                Ok(if word == Builtin::Start { At::Start } else { At::End })
            }
            _ => Err(Failure::Unexpected),
        }
    }

    fn timestamp(&self, expr: Span, seconds: f64) -> Parsed<At> {
        if seconds.is_nan() || seconds.abs() >= i64::MAX as f64 {
            let text =
                if seconds.is_finite() { format!("{seconds:.6}") } else { thanoxide_model::float::format_f(seconds) };
            return self.fail(expr, format!("timestamp out of bounds for @ modifier: {text}"));
        }
        let ms = (seconds * 1000.0).round();
        // What does not fit is the smallest time, as it is for Go's conversion.
        let fits = ms.abs() < i64::MAX as f64;
        Ok(At::Timestamp(if fits { ms as i64 } else { i64::MIN }))
    }

    fn extend_range(&self, expr: &mut Expr, anchored: bool) -> Parsed<()> {
        let (span, word) = (expr.span(), if anchored { "anchored" } else { "smoothed" });
        if !self.options.extended_range_selectors {
            return self.fail(span, format!("{word} modifier is experimental and not enabled"));
        }
        let selector = match expr {
            Expr::Vector(selector) => selector,
            Expr::Matrix(matrix) => &mut matrix.selector,
            Expr::Subquery(_) => return self.fail(span, format!("{word} modifier is not supported for subqueries")),
            _ => return self.fail(span, format!("{word} modifier not implemented")),
        };
        *(if anchored { &mut selector.anchored } else { &mut selector.smoothed }) = true;
        if selector.anchored && selector.smoothed {
            return self.fail(span, "anchored and smoothed modifiers cannot be used together");
        }
        Ok(())
    }
}

fn misplaced(modifier: &str) -> String {
    format!("{modifier} modifier must be preceded by an instant vector selector or range vector selector or a subquery")
}

/// Seconds as milliseconds, by way of whole nanoseconds. NaN is the smallest time, as it is for Go's conversion.
pub(super) fn milliseconds(seconds: f64) -> i64 {
    let nanoseconds = if seconds.is_nan() { i64::MIN } else { (seconds * 1e9).round() as i64 };
    nanoseconds / 1_000_000
}
