//! The layout of `format_query`: what does not fit one line is split at its outermost operator or parenthesis.

use std::fmt::{Display, Write};

use super::{Header, Operator, Suffix};
use crate::ast::Expr;

/// An expression longer than this is split.
const MAX_LINE_BYTES: usize = 100;

/// The expression over as many lines as it needs.
pub fn pretty(expr: &Expr) -> String {
    let mut printer = Printer { out: String::new() };
    printer.expression(expr, 0);
    printer.out
}

struct Printer {
    out: String,
}

impl Printer {
    fn push(&mut self, item: impl Display) {
        write!(self.out, "{item}").expect("writing to a String cannot fail");
    }

    fn indent(&mut self, level: usize) {
        self.out.extend(std::iter::repeat_n("  ", level));
    }

    fn expression(&mut self, expr: &Expr, level: usize) {
        match expr {
            Expr::Binary(e) if is_long(expr) => {
                self.expression(&e.lhs, level + 1);
                self.out.push('\n');
                self.indent(level);
                self.push(Operator(e));
                self.out.push('\n');
                self.expression(&e.rhs, level + 1);
            }
            Expr::Aggregate(e) if is_long(expr) => {
                self.indent(level);
                self.push(Header(e));
                self.block(e.param.iter().chain([&e.expr]), level);
            }
            Expr::Call(e) if is_long(expr) => {
                self.indent(level);
                self.out.push_str(e.function.name);
                self.block(&e.args, level);
            }
            Expr::Paren(e) if is_long(expr) => {
                self.indent(level);
                self.block([&e.expr], level);
            }
            // As in Prometheus, a short subquery is not indented and a long one is not split itself.
            Expr::Subquery(e) if is_long(expr) => {
                self.expression(&e.expr, level);
                self.push(Suffix(e));
            }
            Expr::Subquery(_) => self.push(expr),
            Expr::Unary(e) => {
                self.indent(level);
                self.out.push_str(e.op.as_str());
                let start = self.out.len();
                self.expression(&e.expr, level);
                let end = self.out.trim_end().len();
                self.out.truncate(end);
                let space = self.out[start..].len() - self.out[start..].trim_start().len();
                self.out.drain(start..start + space);
            }
            _ => {
                self.indent(level);
                self.push(expr);
            }
        }
    }

    /// Expressions in parentheses, one below the other.
    fn block<'a>(&mut self, items: impl IntoIterator<Item = &'a Expr>, level: usize) {
        self.out.push_str("(\n");
        for (index, item) in items.into_iter().enumerate() {
            self.out.push_str(if index > 0 { ",\n" } else { "" });
            self.expression(item, level + 1);
        }
        self.out.push('\n');
        self.indent(level);
        self.out.push(')');
    }
}

fn is_long(expr: &Expr) -> bool {
    // Stops printing as soon as the answer is known, so that nested expressions do not cost quadratic time.
    let mut room = Room { bytes: MAX_LINE_BYTES };
    write!(room, "{expr}").is_err()
}

/// A writer that refuses what is longer than a line.
struct Room {
    bytes: usize,
}

impl Write for Room {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.bytes = self.bytes.checked_sub(text.len()).ok_or(std::fmt::Error)?;
        Ok(())
    }
}
