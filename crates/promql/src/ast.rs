//! The syntax tree.
//!
//! Every node knows its [`Span`] in the query text; annotations and errors of the engine quote it. Times are
//! milliseconds. A selector's time modifiers are kept as written: what they mean at evaluation (the effective offset
//! below a subquery or `@`) is the engine's business.

pub mod duration;
pub mod op;
pub mod span;

use thanoxide_model::Matcher;

pub use duration::{DurationContext, DurationError, DurationExpr, DurationOp, DurationOperation, TimeSpan};
pub use op::{AggregateOp, BinaryOp, UnaryOp};
pub use span::Span;

use crate::signature::Signature;
use crate::types::ValueType;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `sum by (job) (x)`
    Aggregate(Box<Aggregate>),
    /// `a + on (job) b`
    Binary(Box<Binary>),
    /// `rate(x[5m])`
    Call(Call),
    /// `x[5m]`
    Matrix(Box<MatrixSelector>),
    /// `1`, `0x1f`, `5m`
    Number(NumberLiteral),
    /// `(a)`
    Paren(Box<Paren>),
    /// `"text"`
    String(StringLiteral),
    /// `rate(x[5m])[1h:1m]`
    Subquery(Box<Subquery>),
    /// `-a`
    Unary(Box<Unary>),
    /// `x{job="a"}`
    Vector(Box<VectorSelector>),
}

/// An aggregation over an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// The first argument of those operators that take one ([`AggregateOp::takes_param`]).
    pub param: Option<Expr>,
    /// The labels of `by` or `without`, as written.
    pub grouping: Vec<String>,
    /// `without` instead of `by`.
    pub without: bool,
    /// From the operator to the last parenthesis.
    pub span: Span,
}

/// A binary operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// The left operand.
    pub lhs: Expr,
    /// The right operand.
    pub rhs: Expr,
    /// A comparison gives 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How series find each other; present exactly when both operands are vectors.
    pub matching: Option<VectorMatching>,
    /// From the start of the left to the end of the right operand.
    pub span: Span,
}

/// How many series of either side may share one match group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// One each.
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

impl Cardinality {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Cardinality::OneToOne => "one-to-one",
            Cardinality::ManyToOne => "many-to-one",
            Cardinality::OneToMany => "one-to-many",
            Cardinality::ManyToMany => "many-to-many",
        }
    }
}

/// How the series of two vectors are matched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorMatching {
    /// How many series may match.
    pub card: Cardinality,
    /// The labels of `on` or `ignoring`, as written.
    pub labels: Vec<String>,
    /// `on` instead of `ignoring`.
    pub on: bool,
    /// The labels of `group_left` or `group_right`: copied from the one side.
    pub include: Vec<String>,
    /// The value that stands for a missing series of the left side.
    pub fill_lhs: Option<f64>,
    /// The value that stands for a missing series of the right side.
    pub fill_rhs: Option<f64>,
}

impl VectorMatching {
    /// Whether missing series of either side get a value.
    pub fn has_fill(&self) -> bool {
        self.fill_lhs.is_some() || self.fill_rhs.is_some()
    }
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which function.
    pub function: &'static Signature,
    /// The arguments, in number and type as the signature wants them.
    pub args: Vec<Expr>,
    /// From the name to the closing parenthesis.
    pub span: Span,
}

/// A range of samples of each selected series.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// Which series; holds the time modifiers as well.
    pub selector: VectorSelector,
    /// How far back.
    pub range: TimeSpan,
    /// From the selector to the last modifier.
    pub span: Span,
}

/// A number.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberLiteral {
    /// Its value; of a duration, in seconds.
    pub value: f64,
    /// Written as a duration (`5m`), and so printed.
    pub is_duration: bool,
    /// The literal with its sign.
    pub span: Span,
}

/// A parenthesised expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    /// What is inside.
    pub expr: Expr,
    /// Includes the parentheses.
    pub span: Span,
}

/// A text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringLiteral {
    /// The unquoted bytes; not always UTF-8.
    pub value: Vec<u8>,
    /// Includes the quotes.
    pub span: Span,
}

/// An instant query evaluated over a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated; an instant vector.
    pub expr: Expr,
    /// How far back.
    pub range: TimeSpan,
    /// Between two evaluations; `None` is the global evaluation interval.
    pub step: Option<TimeSpan>,
    /// `offset`, as written.
    pub offset: TimeSpan,
    /// `@`
    pub at: Option<At>,
    /// From the inner expression to the last modifier.
    pub span: Span,
}

/// `+a` or `-a`.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// The sign.
    pub op: UnaryOp,
    /// The operand.
    pub expr: Expr,
    /// From the sign to the end of the operand.
    pub span: Span,
}

/// A selection of series.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The metric name written before the braces; empty if there is none. (A name written inside the braces is only
    /// among the matchers.)
    pub name: String,
    /// All conditions in the order written; the one for `name` is the last.
    pub matchers: Vec<Matcher>,
    /// `offset`, as written.
    pub offset: TimeSpan,
    /// `@`
    pub at: Option<At>,
    /// `anchored`: counters start at the last sample before the range.
    pub anchored: bool,
    /// `smoothed`: values are interpolated at both ends of the range.
    pub smoothed: bool,
    /// The second argument of `info()`: it may match everything.
    pub is_info_selector: bool,
    /// From the name to the last modifier.
    pub span: Span,
}

/// The `@` modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A fixed time in milliseconds.
    Timestamp(i64),
    /// `start()`
    Start,
    /// `end()`
    End,
}

impl Expr {
    /// What the expression evaluates to.
    pub fn value_type(&self) -> ValueType {
        match self {
            Expr::Aggregate(_) | Expr::Vector(_) => ValueType::Vector,
            Expr::Binary(b) => match (b.lhs.value_type(), b.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            Expr::Call(call) => call.function.returns,
            Expr::Matrix(_) | Expr::Subquery(_) => ValueType::Matrix,
            Expr::Number(_) => ValueType::Scalar,
            Expr::Paren(paren) => paren.expr.value_type(),
            Expr::String(_) => ValueType::String,
            Expr::Unary(unary) => unary.expr.value_type(),
        }
    }

    /// Where the expression is in the query text.
    pub fn span(&self) -> Span {
        match self {
            Expr::Aggregate(e) => e.span,
            Expr::Binary(e) => e.span,
            Expr::Call(e) => e.span,
            Expr::Matrix(e) => e.span,
            Expr::Number(e) => e.span,
            Expr::Paren(e) => e.span,
            Expr::String(e) => e.span,
            Expr::Subquery(e) => e.span,
            Expr::Unary(e) => e.span,
            Expr::Vector(e) => e.span,
        }
    }

    /// The expression without the parentheses around it.
    pub fn unparen(&self) -> &Expr {
        let mut expr = self;
        while let Expr::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }
}
