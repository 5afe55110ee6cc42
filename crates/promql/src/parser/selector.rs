//! Selectors: a name, conditions in braces, or both.

use thanoxide_model::{METRIC_NAME, MatchKind, Matcher};

use super::{Failure, Parsed, Parser};
use crate::ast::{BinaryOp, Span, TimeSpan, VectorSelector};
use crate::lexer::text::unquote;
use crate::lexer::token::{Token, TokenKind};

const CONTEXT: &str = "label matching";

impl Parser<'_> {
    /// A selector that begins at the next token.
    pub(super) fn vector_selector(&mut self) -> Parsed<VectorSelector> {
        if self.peek()? == TokenKind::LeftBrace {
            let (matchers, span) = self.matchers()?;
            return Ok(VectorSelector::plain(String::new(), matchers, span));
        }
        let name = self.take()?;
        self.named_selector(name)
    }

    /// A selector whose name has been taken.
    pub(super) fn named_selector(&mut self, name: Token) -> Parsed<VectorSelector> {
        let (mut matchers, mut span) = (Vec::new(), name.span);
        if self.peek()? == TokenKind::LeftBrace {
            let braces;
            (matchers, braces) = self.matchers()?;
            span = span.to(braces);
        }
        let name = self.text(name.span);
        matchers.push(Matcher::equal(METRIC_NAME, name));
        Ok(VectorSelector::plain(name.to_string(), matchers, span))
    }

    /// Conditions in braces.
    fn matchers(&mut self) -> Parsed<(Vec<Matcher>, Span)> {
        let open = self.take()?;
        let mut matchers = Vec::new();
        while self.peek()? != TokenKind::RightBrace {
            matchers.push(self.matcher()?);
            if self.peek()? != TokenKind::RightBrace {
                let comma = self.expect(TokenKind::Comma);
                self.within(comma, CONTEXT, "\",\" or \"}\"")?;
            }
        }
        Ok((matchers, open.span.to(self.take()?.span)))
    }

    fn matcher(&mut self) -> Parsed<Matcher> {
        let kind = self.peek()?;
        if !matches!(kind, TokenKind::Identifier | TokenKind::String) {
            return self.within(Err(Failure::Unexpected), CONTEXT, "identifier or \"}\"");
        }
        let start = self.take()?.span;
        let name = match kind {
            TokenKind::String => unquote(self.text(start)),
            _ => self.text(start).as_bytes().to_vec(),
        };
        match self.accept_match_kind()? {
            Some(kind) => self.condition(start, name, kind),
            None if kind == TokenKind::String => Ok(Matcher::equal(METRIC_NAME, name)),
            None => self.within(Err(Failure::Unexpected), CONTEXT, "label matching operator"),
        }
    }

    fn condition(&mut self, start: Span, name: Vec<u8>, kind: MatchKind) -> Parsed<Matcher> {
        let value = self.expect(TokenKind::String);
        let value = self.within(value, CONTEXT, "string")?.span;
        let matcher = Matcher::new(kind, name, unquote(self.text(value)));
        matcher.or_else(|e| self.fail(start.to(value), e.to_string()))
    }

    fn accept_match_kind(&mut self) -> Parsed<Option<MatchKind>> {
        let kind = match self.peek()? {
            TokenKind::Assign => MatchKind::Equal,
            TokenKind::Operator(BinaryOp::NotEqual) => MatchKind::NotEqual,
            TokenKind::MatchRegexp => MatchKind::Regexp,
            TokenKind::MatchNotRegexp => MatchKind::NotRegexp,
            _ => return Ok(None),
        };
        self.take()?;
        Ok(Some(kind))
    }
}

impl VectorSelector {
    fn plain(name: String, matchers: Vec<Matcher>, span: Span) -> Self {
        VectorSelector {
            name,
            matchers,
            offset: TimeSpan::ZERO,
            at: None,
            anchored: false,
            smoothed: false,
            is_info_selector: false,
            span,
        }
    }
}
