//! Aggregations.

use super::{Failure, Parsed, Parser, Tree};
use crate::ast::{Aggregate, AggregateOp, Expr, Span};
use crate::lexer::token::{Keyword, TokenKind};

impl Parser<'_> {
    /// What follows the operator: the arguments, and the clause before or behind them.
    pub(super) fn aggregate(&mut self, op: AggregateOp, name: Span) -> Parsed<Tree<Expr>> {
        let mut clause = self.grouping_clause()?;
        let args = self.arguments()?;
        let mut span = Span::new(name.start, self.last_end);
        if clause.is_none() {
            clause = self.grouping_clause()?;
            span.end = self.last_end;
        }
        let (grouping, without) = clause.unwrap_or_default();
        let depth = self.depth_above(span, args.iter().map(|arg| arg.depth))?;
        let (param, expr) = self.aggregate_arguments(op, span, args)?;
        let node = Expr::Aggregate(Box::new(Aggregate { op, expr, param, grouping, without, span }));
        Ok(Tree { node, depth })
    }

    /// The labels of `by` or `without`, and whether it is `without`.
    fn grouping_clause(&mut self) -> Parsed<Option<(Vec<String>, bool)>> {
        let without = match self.peek()? {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.take()?;
        Ok(Some((self.label_list()?, without)))
    }

    fn aggregate_arguments(&self, op: AggregateOp, span: Span, args: Vec<Tree<Expr>>) -> Parsed<(Option<Expr>, Expr)> {
        if args.is_empty() {
            return self.fail(span, "no arguments for aggregate expression provided");
        }
        if op.is_experimental() && !self.options.experimental_functions {
            let needs = "is experimental and must be enabled with --enable-feature=promql-experimental-functions";
            return self.fail(span, format!("{}() {needs}", op.as_str()));
        }
        let (wanted, got) = (1 + usize::from(op.takes_param()), args.len());
        let mut args = args.into_iter().map(|arg| arg.node);
        match (op.takes_param(), got, args.next(), args.next()) {
            (true, 2, param, Some(expr)) => Ok((param, expr)),
            (false, 1, Some(expr), _) => Ok((None, expr)),
            _ => self.fail(
                span,
                format!("wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}"),
            ),
        }
    }

    /// Labels in parentheses.
    pub(super) fn label_list(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        let open = self.expect(TokenKind::LeftParen);
        self.within(open, CONTEXT, "\"(\"")?;
        let mut labels = Vec::new();
        while !self.accept(TokenKind::RightParen)? {
            let label = self.list_label();
            labels.push(self.within(label, CONTEXT, "label")?);
            if self.peek()? != TokenKind::RightParen {
                let comma = self.expect(TokenKind::Comma);
                self.within(comma, CONTEXT, "\",\" or \")\"")?;
            }
        }
        Ok(labels)
    }

    fn list_label(&mut self) -> Parsed<String> {
        let kind = self.peek()?;
        if kind != TokenKind::String && !kind.is_label_name() {
            return Err(Failure::Unexpected);
        }
        let span = self.take()?.span;
        let name = match kind {
            TokenKind::String => crate::lexer::text::unquote(self.text(span)),
            _ => self.text(span).as_bytes().to_vec(),
        };
        match String::from_utf8(name) {
            Ok(name) if !name.is_empty() => Ok(name),
            Ok(_) => self.fail(span, "invalid label name for grouping: \"\""),
            Err(e) => {
                let quoted = thanoxide_model::labels::go_quote(e.as_bytes());
                self.fail(span, format!("invalid label name for grouping: {quoted}"))
            }
        }
    }
}
