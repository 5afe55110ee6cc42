//! From a tree back to text.
//!
//! `Display` gives one line, as Prometheus's `String()`. [`pretty::pretty`] gives the lines of `format_query`.

pub mod pretty;

use std::fmt::{Display, Formatter, Result, Write};

use thanoxide_model::float::{format_f, format_g};
use thanoxide_model::labels::{go_quote, is_legacy_label_name};
use thanoxide_model::{METRIC_NAME, MatchKind, Matcher, format_duration_ms};

use crate::ast::{
    Aggregate, At, Binary, Cardinality, DurationExpr, DurationOp, DurationOperation, Expr, MatrixSelector,
    NumberLiteral, Subquery, TimeSpan, VectorMatching, VectorSelector,
};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Expr::Aggregate(e) => {
                write!(f, "{}(", Header(e))?;
                if let Some(param) = &e.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", e.expr)
            }
            Expr::Binary(e) => write!(f, "{} {} {}", e.lhs, Operator(e), e.rhs),
            Expr::Call(e) => {
                write!(f, "{}(", e.function.name)?;
                write_joined(f, &e.args, ", ")?;
                f.write_char(')')
            }
            Expr::Matrix(e) => e.fmt(f),
            Expr::Number(e) => e.fmt(f),
            Expr::Paren(e) => write!(f, "({})", e.expr),
            Expr::String(e) => f.write_str(&go_quote(&e.value)),
            Expr::Subquery(e) => write!(f, "{}{}", e.expr, Suffix(e)),
            Expr::Unary(e) => write!(f, "{}{}", e.op.as_str(), e.expr),
            Expr::Vector(e) => e.fmt(f),
        }
    }
}

/// An aggregation's operator and clause.
struct Header<'a>(&'a Aggregate);

impl Display for Header<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Aggregate { op, grouping, without, .. } = self.0;
        f.write_str(op.as_str())?;
        match (without, grouping.is_empty()) {
            (true, _) => write!(f, " without ({}) ", Labels(grouping)),
            (false, false) => write!(f, " by ({}) ", Labels(grouping)),
            (false, true) => Ok(()),
        }
    }
}

/// A list of label names; those that are no identifiers are quoted.
struct Labels<'a>(&'a [String]);

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (index, label) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { ", " } else { "" })?;
            if is_legacy_label_name(label.as_bytes()) {
                f.write_str(label)?;
            } else {
                f.write_str(&go_quote(label.as_bytes()))?;
            }
        }
        Ok(())
    }
}

/// A binary operator and its modifiers.
struct Operator<'a>(&'a Binary);

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.0.op.as_str())?;
        f.write_str(if self.0.return_bool { " bool" } else { "" })?;
        self.0.matching.as_ref().map_or(Ok(()), |matching| matching.fmt(f))
    }
}

impl Display for VectorMatching {
    /// Begins with a space if there is anything to print.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let group = match self.card {
            Cardinality::ManyToOne => Some("group_left"),
            Cardinality::OneToMany => Some("group_right"),
            Cardinality::OneToOne | Cardinality::ManyToMany => None,
        };
        if !self.labels.is_empty() || self.on || group.is_some() {
            write!(f, " {} ({})", if self.on { "on" } else { "ignoring" }, Labels(&self.labels))?;
        }
        if let Some(group) = group {
            write!(f, " {group} ({})", Labels(&self.include))?;
        }
        match (self.fill_lhs, self.fill_rhs) {
            (Some(lhs), Some(rhs)) if lhs == rhs => return write!(f, " fill ({})", format_g(lhs)),
            _ => {}
        }
        for (word, value) in [("fill_left", self.fill_lhs), ("fill_right", self.fill_rhs)] {
            if let Some(value) = value {
                write!(f, " {word} ({})", format_g(value))?;
            }
        }
        Ok(())
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if !self.is_duration {
            return f.write_str(&format_f(self.value));
        }
        let sign = if self.value < 0.0 { "-" } else { "" };
        let ms = (self.value.abs() * 1e9) as i64 / 1_000_000;
        write!(f, "{sign}{}", format_duration_ms(ms))
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", Selection(self))?;
        write_at(f, self.at)?;
        write_extension(f, self)?;
        write_offset(f, &self.offset)
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}[{}]", Selection(&self.selector), self.range)?;
        write_extension(f, &self.selector)?;
        write_at(f, self.selector.at)?;
        write_offset(f, &self.selector.offset)
    }
}

/// A selector's name and conditions, the latter sorted.
struct Selection<'a>(&'a VectorSelector);

impl Display for Selection<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let VectorSelector { name, matchers, .. } = self.0;
        let is_name = |matcher: &Matcher| {
            let names = matcher.kind() == MatchKind::Equal && matcher.name() == METRIC_NAME.as_bytes();
            names && matcher.value() == name.as_bytes() && !name.is_empty()
        };
        let mut conditions: Vec<String> =
            matchers.iter().filter(|matcher| !is_name(matcher)).map(|matcher| matcher.to_string()).collect();
        conditions.sort_unstable();
        f.write_str(name)?;
        if conditions.is_empty() {
            return Ok(());
        }
        f.write_char('{')?;
        write_joined(f, &conditions, ",")?;
        f.write_char('}')
    }
}

/// What stands behind the expression of a subquery.
struct Suffix<'a>(&'a Subquery);

impl Display for Suffix<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "[{}:", self.0.range)?;
        self.0.step.as_ref().map_or(Ok(()), |step| step.fmt(f))?;
        f.write_char(']')?;
        write_at(f, self.0.at)?;
        write_offset(f, &self.0.offset)
    }
}

impl Display for TimeSpan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            TimeSpan::Fixed(ms) if *ms < 0 => write!(f, "-{}", format_duration_ms(ms.saturating_neg())),
            TimeSpan::Fixed(ms) => f.write_str(&format_duration_ms(*ms)),
            TimeSpan::Computed(operation) => operation.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            DurationExpr::Number(number) => number.fmt(f),
            DurationExpr::Operation(operation) => operation.fmt(f),
        }
    }
}

impl Display for DurationOperation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let op = self.op.as_str();
        f.write_str(if self.wrapped { "(" } else { "" })?;
        match (self.op, &self.lhs, &self.rhs) {
            (DurationOp::Add, None, Some(rhs)) => rhs.fmt(f)?,
            (_, None, Some(rhs)) => write!(f, "{op}{rhs}")?,
            (DurationOp::MinOf | DurationOp::MaxOf, Some(lhs), Some(rhs)) => write!(f, "{op}({lhs}, {rhs})")?,
            (_, Some(lhs), Some(rhs)) => write!(f, "{lhs} {op} {rhs}")?,
            (_, _, None) => write!(f, "{op}()")?,
        }
        f.write_str(if self.wrapped { ")" } else { "" })
    }
}

fn write_at(f: &mut Formatter<'_>, at: Option<At>) -> Result {
    match at {
        None => Ok(()),
        Some(At::Timestamp(ms)) => write!(f, " @ {:.3}", ms as f64 / 1000.0),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
    }
}

fn write_extension(f: &mut Formatter<'_>, selector: &VectorSelector) -> Result {
    f.write_str(match (selector.anchored, selector.smoothed) {
        (true, _) => " anchored",
        (false, true) => " smoothed",
        (false, false) => "",
    })
}

fn write_offset(f: &mut Formatter<'_>, offset: &TimeSpan) -> Result {
    if offset.is_zero() { Ok(()) } else { write!(f, " offset {offset}") }
}

fn write_joined(f: &mut Formatter<'_>, items: &[impl Display], separator: &str) -> Result {
    for (index, item) in items.iter().enumerate() {
        f.write_str(if index > 0 { separator } else { "" })?;
        item.fmt(f)?;
    }
    Ok(())
}
