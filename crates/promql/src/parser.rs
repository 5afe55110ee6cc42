//! From text to a type-checked tree.
//!
//! A recursive descent with operator precedence. The first error ends it, and it must be the one that Prometheus would
//! report first. Two things keep it so: a token is read exactly when Prometheus's table-driven parser reads it (an
//! unreadable token is an error at that moment), and a syntax error travels up as [`Failure::Unexpected`] until the
//! first construct that has something to say about it.

mod aggregate;
mod check;
mod duration;
mod expression;
mod matching;
mod modifier;
mod selector;

use thanoxide_model::Matcher;
use thiserror::Error;

use crate::ast::{Expr, Span};
use crate::lexer::Lexer;
use crate::lexer::token::{Token, TokenKind};

/// Which parts of the language are switched on, and how deep a tree may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseOptions {
    /// Experimental functions and aggregations (`promql-experimental-functions`).
    pub experimental_functions: bool,
    /// Arithmetic in durations; on by default as in Prometheus since 3.14.
    pub duration_expressions: bool,
    /// `anchored` and `smoothed` (`promql-extended-range-selectors`).
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left`, `fill_right` (`promql-binop-fill-modifiers`).
    pub fill_modifiers: bool,
    /// The most levels of a tree; deeper queries are refused.
    pub max_depth: usize,
}

impl Default for ParseOptions {
    fn default() -> Self {
        ParseOptions {
            experimental_functions: false,
            duration_expressions: true,
            extended_range_selectors: false,
            fill_modifiers: false,
            max_depth: MAX_DEPTH,
        }
    }
}

/// The default of [`ParseOptions::max_depth`]: recursion over such a tree fits the stack of any thread.
pub const MAX_DEPTH: usize = 512;

/// A text that is no query. Displays as `line:col: parse error: message`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{position}: parse error: {message}")]
pub struct ParseError {
    /// Where the error is, in bytes.
    pub span: Span,
    /// `line:col` of its start.
    pub position: String,
    /// What is wrong.
    pub message: String,
}

/// Parses and checks a query.
pub fn parse(query: &str, options: &ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(query, *options);
    let parsed = parser.query().and_then(|mut expr| {
        parser.check(&mut expr)?;
        Ok(expr)
    });
    parsed.map_err(|failure| parser.report(failure))
}

/// Parses a selector without time modifiers, as `match[]` parameters have it. It may match everything.
pub fn parse_selector(selector: &str, options: &ParseOptions) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(selector, *options);
    parser.lone_selector().map_err(|failure| parser.report(failure))
}

/// Why parsing stopped.
#[derive(Debug)]
enum Failure {
    /// The next token does not fit; nobody has said yet what would.
    Unexpected,
    /// A complete error.
    Error(Span, String),
}

type Parsed<T> = Result<T, Failure>;

/// A node and the number of levels below and including it.
#[derive(Debug)]
struct Tree<T> {
    node: T,
    depth: usize,
}

#[derive(Debug)]
struct Parser<'a> {
    query: &'a str,
    options: ParseOptions,
    lexer: Lexer<'a>,
    /// The next token, once somebody has looked at it.
    next: Option<Token>,
    /// The end of the last token taken.
    last_end: usize,
    /// Levels of recursion.
    nesting: usize,
}

impl<'a> Parser<'a> {
    fn new(query: &'a str, options: ParseOptions) -> Self {
        Parser { query, options, lexer: Lexer::new(query), next: None, last_end: 0, nesting: 0 }
    }

    fn query(&mut self) -> Parsed<Expr> {
        if self.peek()? == TokenKind::EndOfInput {
            return self.fail(Span::default(), "no expression found in input");
        }
        let tree = self.expression(0)?;
        self.expect(TokenKind::EndOfInput)?;
        Ok(tree.node)
    }

    fn lone_selector(&mut self) -> Parsed<Vec<Matcher>> {
        let kind = self.peek()?;
        if kind != TokenKind::LeftBrace && !kind.is_metric_name() {
            return Err(Failure::Unexpected);
        }
        let selector = self.vector_selector()?;
        self.expect(TokenKind::EndOfInput)?;
        Ok(selector.matchers)
    }

    /// Looks at the next token.
    fn peek(&mut self) -> Parsed<TokenKind> {
        Ok(self.peek_token()?.kind)
    }

    fn peek_token(&mut self) -> Parsed<Token> {
        match self.next {
            Some(token) => Ok(token),
            None => match self.lexer.next_token() {
                Ok(token) => Ok(*self.next.insert(token)),
                Err(e) => self.fail(Span::new(e.start, self.query.len()), e.message),
            },
        }
    }

    /// Takes the next token.
    fn take(&mut self) -> Parsed<Token> {
        let token = self.peek_token()?;
        self.next = None;
        self.last_end = token.span.end;
        Ok(token)
    }

    /// Takes the next token if it is of this kind.
    fn accept(&mut self, kind: TokenKind) -> Parsed<bool> {
        let found = self.peek()? == kind;
        if found {
            self.take()?;
        }
        Ok(found)
    }

    fn expect(&mut self, kind: TokenKind) -> Parsed<Token> {
        if self.peek()? == kind { self.take() } else { Err(Failure::Unexpected) }
    }

    fn text(&self, span: Span) -> &'a str {
        &self.query[span.start..span.end]
    }

    fn fail<T>(&self, span: Span, message: impl Into<String>) -> Parsed<T> {
        Err(Failure::Error(span, message.into()))
    }

    /// Turns a syntax error inside of a construct into that construct's message.
    fn within<T>(&self, parsed: Parsed<T>, context: &str, expected: &str) -> Parsed<T> {
        match parsed {
            Err(Failure::Unexpected) => {
                let wanted = if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
                let (span, token) = self.describe_next();
                self.fail(span, format!("unexpected {token} in {context}{wanted}"))
            }
            other => other,
        }
    }

    fn describe_next(&self) -> (Span, String) {
        let end = Span::new(self.query.len(), self.query.len());
        let token = self.next.unwrap_or(Token { kind: TokenKind::EndOfInput, span: end });
        (token.span, token.kind.describe(self.text(token.span)))
    }

    fn report(&self, failure: Failure) -> ParseError {
        let (span, message) = match failure {
            Failure::Error(span, message) => (span, message),
            Failure::Unexpected => {
                let (span, token) = self.describe_next();
                (span, format!("unexpected {token}"))
            }
        };
        ParseError { span, position: span.line_column(self.query), message }
    }

    /// Runs a step one level further down.
    fn nested<T>(&mut self, step: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.nesting += 1;
        if self.nesting > self.options.max_depth {
            return self.too_deep(Span::new(self.last_end, self.query.len()));
        }
        let parsed = step(self);
        self.nesting -= 1;
        parsed
    }

    /// The depth of a node above nodes of these depths.
    fn depth_above(&self, span: Span, below: impl IntoIterator<Item = usize>) -> Parsed<usize> {
        let depth = below.into_iter().max().unwrap_or(0) + 1;
        if depth > self.options.max_depth { self.too_deep(span) } else { Ok(depth) }
    }

    fn too_deep<T>(&self, span: Span) -> Parsed<T> {
        self.fail(span, format!("query is nested more than {} levels deep", self.options.max_depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_stands_alone() {
        let select = |text| parse_selector(text, &ParseOptions::default()).map_err(|e| e.to_string());
        assert_eq!(select("sum{a!=\"b\"}").map(|m| format!("{m:?}")), Ok(r#"[a!="b", __name__="sum"]"#.into()));
        assert_eq!(select("{}").map(|m| m.len()), Ok(0));
        assert_eq!(select("a[5m]"), Err("1:2: parse error: unexpected \"[\"".into()));
        assert_eq!(select("1"), Err("1:1: parse error: unexpected number \"1\"".into()));
        assert_eq!(select(""), Err("unknown position: parse error: unexpected end of input".into()));
    }
}
