//! Lengths of time in a query: literals, and expressions evaluated once per query.

use thiserror::Error;

use super::{NumberLiteral, Span};

/// A range, a step or an offset.
#[derive(Clone, Debug, PartialEq)]
pub enum TimeSpan {
    /// A literal, in milliseconds.
    Fixed(i64),
    /// Arithmetic that [`TimeSpan::resolve`] turns into milliseconds.
    Computed(Box<DurationOperation>),
}

impl TimeSpan {
    /// No time.
    pub const ZERO: TimeSpan = TimeSpan::Fixed(0);

    /// Whether it was not written, or written as 0.
    pub fn is_zero(&self) -> bool {
        *self == TimeSpan::ZERO
    }

    /// The milliseconds in one query. Ranges and steps must be positive, offsets (`signed`) need not be.
    pub fn resolve(&self, context: DurationContext, signed: bool) -> Result<i64, DurationError> {
        match self {
            TimeSpan::Fixed(ms) => Ok(*ms),
            TimeSpan::Computed(operation) => operation.resolve(context, signed),
        }
    }
}

/// What duration expressions may ask about the query; both are 0 in an instant query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurationContext {
    /// `step()`, in milliseconds.
    pub step_ms: i64,
    /// `range()`, end minus start, in milliseconds.
    pub range_ms: i64,
}

/// A duration that cannot be computed. Begins with byte offsets (not line and column) as in Prometheus.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{}:{}: {problem}", .span.start, .span.end)]
pub struct DurationError {
    /// The expression at fault.
    pub span: Span,
    /// What is wrong.
    pub problem: &'static str,
}

/// An operand of a duration operation.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// Seconds.
    Number(NumberLiteral),
    /// Arithmetic.
    Operation(Box<DurationOperation>),
}

/// What a duration operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DurationOp {
    /// `+`; a sign if there is no left operand
    Add,
    /// `-`; a sign if there is no left operand
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `step()`, without operands
    Step,
    /// `range()`, without operands
    Range,
    /// `min_of(a, b)`
    MinOf,
    /// `max_of(a, b)`
    MaxOf,
}

impl DurationOp {
    /// The operator or function name as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            DurationOp::Add => "+",
            DurationOp::Sub => "-",
            DurationOp::Mul => "*",
            DurationOp::Div => "/",
            DurationOp::Mod => "%",
            DurationOp::Pow => "^",
            DurationOp::Step => "step",
            DurationOp::Range => "range",
            DurationOp::MinOf => "min_of",
            DurationOp::MaxOf => "max_of",
        }
    }
}

/// Arithmetic on durations.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationOperation {
    /// What to do.
    pub op: DurationOp,
    /// The left operand; absent for a sign, `step()` and `range()`.
    pub lhs: Option<DurationExpr>,
    /// The right operand; absent for `step()` and `range()`.
    pub rhs: Option<DurationExpr>,
    /// Written in parentheses.
    pub wrapped: bool,
    /// Without the parentheses.
    pub span: Span,
}

/// Seconds that still fit 2^63 nanoseconds.
pub(crate) const MAX_SECONDS: f64 = 9_223_372_036.854_776;

impl DurationOperation {
    pub(crate) fn new(op: DurationOp, lhs: Option<DurationExpr>, rhs: Option<DurationExpr>, span: Span) -> Self {
        DurationOperation { op, lhs, rhs, wrapped: false, span }
    }

    fn resolve(&self, context: DurationContext, signed: bool) -> Result<i64, DurationError> {
        let fail = |problem| Err(DurationError { span: self.span, problem });
        let seconds = self.seconds(context)?;
        if !seconds.is_finite() {
            return fail("duration is NaN or infinite");
        }
        if seconds <= 0.0 && !signed {
            return fail("duration must be greater than 0");
        }
        if seconds.abs() > MAX_SECONDS {
            return fail("duration is out of range");
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn seconds(&self, context: DurationContext) -> Result<f64, DurationError> {
        let operand = |side: &Option<DurationExpr>| side.as_ref().map_or(Ok(0.0), |e| e.seconds(context));
        let (lhs, rhs) = (operand(&self.lhs)?, operand(&self.rhs)?);
        let fail = |problem| Err(DurationError { span: self.span, problem });
        Ok(match self.op {
            DurationOp::Add => lhs + rhs,
            DurationOp::Sub => lhs - rhs,
            DurationOp::Mul => lhs * rhs,
            DurationOp::Div if rhs == 0.0 => return fail("division by zero"),
            DurationOp::Div => lhs / rhs,
            DurationOp::Mod if rhs == 0.0 => return fail("modulo by zero"),
            DurationOp::Mod => lhs % rhs,
            DurationOp::Pow => crate::functions::go_math::pow(lhs, rhs),
            DurationOp::Step => context.step_ms as f64 / 1000.0,
            DurationOp::Range => context.range_ms as f64 / 1000.0,
            DurationOp::MinOf => nan_or(lhs, rhs, f64::min),
            DurationOp::MaxOf => nan_or(lhs, rhs, f64::max),
        })
    }
}

impl DurationExpr {
    /// Where it is in the query text.
    pub fn span(&self) -> Span {
        match self {
            DurationExpr::Number(number) => number.span,
            DurationExpr::Operation(operation) => operation.span,
        }
    }

    fn seconds(&self, context: DurationContext) -> Result<f64, DurationError> {
        match self {
            DurationExpr::Number(number) => Ok(number.value),
            DurationExpr::Operation(operation) => operation.seconds(context),
        }
    }
}

/// Go's `math.Min` and `math.Max` give NaN if either is NaN; an infinity of the right sign wins over that.
fn nan_or(a: f64, b: f64, choose: fn(f64, f64) -> f64) -> f64 {
    let extreme = choose(f64::NEG_INFINITY, f64::INFINITY);
    if a == extreme || b == extreme {
        extreme
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        choose(a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::Expr;
    use crate::parser::{ParseOptions, parse};

    fn resolve(query: &str) -> Result<i64, String> {
        let Ok(Expr::Matrix(matrix)) = parse(query, &ParseOptions::default()) else { panic!("{query}") };
        let context = DurationContext { step_ms: 60_000, range_ms: 3_600_000 };
        matrix.range.resolve(context, false).map_err(|e| e.to_string())
    }

    #[test]
    fn expressions_become_milliseconds() {
        assert_eq!(resolve("saw[2 * 5m + step()]"), Ok(660_000));
        assert_eq!(resolve("saw[min_of(range(), 1d) / 2]"), Ok(1_800_000));
        assert_eq!(resolve("saw[5m % (2m)]"), Ok(60_000));
        assert_eq!(resolve("saw[5m-5m]"), Err("4:9: duration must be greater than 0".into()));
        assert_eq!(resolve("saw[1 / (step() - 60)]"), Err("4:20: division by zero".into()));
        assert_eq!(resolve("saw[2^100]"), Err("4:9: duration is out of range".into()));
    }
}
