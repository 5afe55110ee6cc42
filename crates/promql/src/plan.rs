//! From the syntax tree to operators: durations and `@` are resolved, step-invariant parts found, equal selectors shared.
//!
//! [`analysis`] asks questions about expressions, [`select`] opens selectors, [`call`] maps functions to operators. The
//! tree of operators has the shape of the syntax tree; nothing is read before the first series is asked for.

mod analysis;
mod call;
mod projection;
mod push_down;
mod reference;
mod select;
mod sharing;

use std::borrow::Cow;
use std::sync::Arc;

use crate::analysis::Recorder;
use crate::annotations::Place;
use crate::ast::{Aggregate, AggregateOp, At, Binary, BinaryOp, Cardinality, DurationContext, Expr, TimeSpan, UnaryOp};
use crate::engine::QueryError;
use crate::exec::aggregation::count_values::CountValues;
use crate::exec::aggregation::top::TopK;
use crate::exec::aggregation::{Aggregation, Grouping};
use crate::exec::arithmetic::changes_metric;
use crate::exec::binary::VectorVector;
use crate::exec::grid::Grid;
use crate::exec::merge::MergeSameLabels;
use crate::exec::pointwise::{Pointwise, PointwiseStream};
use crate::exec::range::Range;
use crate::exec::repeat::Repeat;
use crate::exec::scalar::{ScalarArg, ScalarNode};
use crate::exec::selection::Selection;
use crate::exec::set::SetOperation;
use crate::exec::vector_scalar::VectorScalar;
use crate::exec::{Batch, Context, Settings, Stream};
use crate::types::ValueType;
use analysis::is_name_pinned;
use projection::projection;
use push_down::{is_quiet, push_down};
use sharing::KnownParts;

/// More steps than any memory holds, even without other limits.
const MAX_STEPS: usize = 1 << 27;

/// An operator that gives an instant vector.
type Vector = Box<dyn Stream>;

/// The top of a query.
pub(crate) enum Root {
    Vector(Vector),
    Scalar(ScalarNode),
    Range(Range),
    Text(Vec<u8>),
}

/// The times of the whole query.
#[derive(Clone, Copy, Debug)]
struct QueryTimes {
    start_ms: i64,
    end_ms: i64,
    /// 0 for an instant query.
    step_ms: i64,
}

/// Where an expression stands.
#[derive(Clone, Debug)]
struct Scope {
    grid: Grid,
    /// Where the evaluation ends, which need not be a step.
    end_ms: i64,
    /// The innermost function or aggregation around it.
    function: &'static str,
    /// The clause of the aggregation right around it.
    grouping: Option<Grouping>,
    /// The step that selectors are told.
    hint_step_ms: i64,
    histograms: Needed,
    /// The only labels of a selector that matter.
    projection: Option<Vec<String>>,
    /// Whether a subquery is around it.
    in_subquery: bool,
}

/// What is needed of native histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Needed {
    /// Everything, as far as is known.
    #[default]
    All,
    /// Counts and sums.
    Stats,
    /// Everything, whatever is inside.
    Buckets,
}

impl Needed {
    /// What is needed inside of a function.
    fn inside(self, function: &str) -> Needed {
        match (self, function) {
            (Needed::Buckets, _) => Needed::Buckets,
            (_, "histogram_quantile" | "histogram_quantiles" | "histogram_fraction") => Needed::Buckets,
            (_, "histogram_stddev" | "histogram_stdvar") => Needed::Buckets,
            (_, "histogram_count" | "histogram_sum" | "histogram_avg") => Needed::Stats,
            (needed, _) => needed,
        }
    }
}

impl Scope {
    fn inside(&self, function: &'static str) -> Scope {
        Scope { function, grouping: None, histograms: self.histograms.inside(function), ..self.clone() }
    }

    /// At the first step alone.
    fn once(&self) -> Scope {
        Scope { grid: self.grid.first(), end_ms: self.grid.start_ms, ..self.clone() }
    }
}

/// No series.
struct Nothing;

impl Stream for Nothing {
    fn next(&mut self, _: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        Ok(None)
    }
}

/// Evaluates a vector for what there is to tell and to count, and gives no series.
struct Discarded(Vector);

impl Stream for Discarded {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        while self.0.next(cx)?.is_some() {}
        Ok(None)
    }
}

/// Turns expressions into operators.
pub(crate) struct Lowering {
    settings: Settings,
    times: QueryTimes,
    /// The query, for what stands in it twice.
    text: String,
    selections: Vec<Arc<Selection>>,
    known: KnownParts,
    /// Operators so far.
    turns: u32,
    recorder: Option<Recorder>,
}

impl Lowering {
    /// For an instant query.
    pub(crate) fn instant(settings: Settings, text: &str, time_ms: i64) -> Self {
        Self::new(settings, text, QueryTimes { start_ms: time_ms, end_ms: time_ms, step_ms: 0 })
    }

    /// For a range query; its end need not be a step.
    pub(crate) fn range(settings: Settings, text: &str, grid: Grid, end_ms: i64) -> Self {
        Self::new(settings, text, QueryTimes { start_ms: grid.start_ms, end_ms, step_ms: grid.step_ms })
    }

    fn new(settings: Settings, text: &str, times: QueryTimes) -> Self {
        let (text, selections, known) = (text.to_string(), Vec::new(), KnownParts::default());
        Lowering { settings, times, text, selections, known, turns: 0, recorder: None }
    }

    /// Watches the operators that are made from now on.
    pub(crate) fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// What is known of the operators.
    pub(crate) fn into_recorder(self) -> Option<Recorder> {
        self.recorder
    }

    /// A whole query.
    pub(crate) fn root(&mut self, expr: &Expr, grid: Grid) -> Result<Root, QueryError> {
        let scope = Scope {
            grid,
            end_ms: self.times.end_ms,
            function: "",
            grouping: None,
            hint_step_ms: self.times.step_ms,
            histograms: Needed::All,
            projection: None,
            in_subquery: false,
        };
        let expr = expr.unparen();
        Ok(match expr.value_type() {
            ValueType::Vector => Root::Vector(self.vector(expr, &scope)?),
            ValueType::Scalar => Root::Scalar(self.scalar(expr, &scope)?),
            ValueType::Matrix => Root::Range(self.bare_range(expr, &scope)?),
            ValueType::String => match expr {
                Expr::String(literal) => Root::Text(literal.value.clone()),
                _ => return Err(unexpected(expr)),
            },
        })
    }

    /// The place of an operator whose operands are all lowered.
    fn place(&mut self, start: usize) -> Place {
        self.turns += 1;
        Place { turn: self.turns, start }
    }

    fn duration(&self, span: &TimeSpan, signed: bool) -> Result<i64, QueryError> {
        let context = DurationContext {
            step_ms: self.times.step_ms,
            range_ms: self.times.end_ms.saturating_sub(self.times.start_ms),
        };
        span.resolve(context, signed).map_err(|e| QueryError::BadData(e.to_string()))
    }

    fn at_ms(&self, at: Option<At>) -> Option<i64> {
        at.map(|at| match at {
            At::Timestamp(ms) => ms,
            At::Start => self.times.start_ms,
            At::End => self.times.end_ms,
        })
    }

    /// Operators for an instant vector. What does not change from step to step is evaluated once.
    fn vector(&mut self, expr: &Expr, scope: &Scope) -> Result<Vector, QueryError> {
        match scope.grid.steps {
            0 => Ok(Box::new(Nothing)),
            MAX_STEPS.. => Err(QueryError::TooManySamples),
            steps @ 2.. if self.is_invariant(expr) => {
                let inner = self.varying(expr, &scope.once())?;
                Ok(Box::new(Repeat { inner, steps }))
            }
            _ if self.is_invariant(expr) => self.varying(expr, &scope.once()),
            _ => self.varying(expr, scope),
        }
    }

    fn varying(&mut self, expr: &Expr, scope: &Scope) -> Result<Vector, QueryError> {
        if matches!(expr, Expr::Paren(_)) {
            return self.operator(expr, scope);
        }
        let node = self.recorder.as_mut().map(|recorder| recorder.enter(expr.to_string()));
        let stream = self.shared(expr, scope)?;
        Ok(match (&mut self.recorder, node) {
            (Some(recorder), Some(node)) => recorder.leave(node, stream),
            _ => stream,
        })
    }

    fn operator(&mut self, expr: &Expr, scope: &Scope) -> Result<Vector, QueryError> {
        match expr {
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, scope),
            Expr::Binary(binary) => self.binary(binary, scope),
            Expr::Call(call) => self.call(call, scope),
            Expr::Paren(paren) => self.varying(&paren.expr, scope),
            Expr::Unary(unary) if unary.op == UnaryOp::Plus => self.varying(&unary.expr, scope),
            Expr::Unary(unary) => {
                let inner = self.varying(&unary.expr, scope)?;
                let negated = PointwiseStream { inner, function: Pointwise::Negate, grid: scope.grid };
                Ok(self.unnamed(Box::new(negated), &unary.expr))
            }
            Expr::Vector(selector) => self.selector(selector, scope),
            Expr::Number(_) | Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_) => Err(unexpected(expr)),
        }
    }

    /// An operator that drops names: series of the same labels are merged, if there may be any.
    fn unnamed(&self, stream: Vector, of: &Expr) -> Vector {
        if self.settings.delayed_name_removal || is_name_pinned(of) {
            stream
        } else {
            Box::new(MergeSameLabels::new(stream))
        }
    }

    fn scalar(&mut self, expr: &Expr, scope: &Scope) -> Result<ScalarNode, QueryError> {
        if let Expr::Number(number) = expr {
            return Ok(ScalarNode::Constant(number.value));
        }
        if scope.grid.steps >= MAX_STEPS {
            return Err(QueryError::TooManySamples);
        }
        if scope.grid.steps > 1 && self.is_invariant(expr) {
            let inner = self.varying_scalar(expr, &scope.once())?;
            return Ok(ScalarNode::Invariant(Box::new(inner)));
        }
        self.varying_scalar(expr, scope)
    }

    fn varying_scalar(&mut self, expr: &Expr, scope: &Scope) -> Result<ScalarNode, QueryError> {
        Ok(match expr {
            Expr::Number(number) => ScalarNode::Constant(number.value),
            Expr::Paren(paren) => self.varying_scalar(&paren.expr, scope)?,
            Expr::Unary(unary) => {
                let inner = self.varying_scalar(&unary.expr, scope)?;
                if unary.op == UnaryOp::Minus { ScalarNode::Negate(Box::new(inner)) } else { inner }
            }
            Expr::Binary(binary) => {
                let scope = scope.inside("");
                let lhs = Box::new(self.scalar(&binary.lhs, &scope)?);
                let rhs = Box::new(self.scalar(&binary.rhs, &scope)?);
                ScalarNode::Binary { op: binary.op, lhs, rhs }
            }
            Expr::Call(call) => self.scalar_call(call, scope)?,
            _ => return Err(unexpected(expr)),
        })
    }

    fn argument(&mut self, expr: &Expr, scope: &Scope) -> Result<ScalarArg, QueryError> {
        let scope = Scope { projection: None, ..scope.clone() };
        Ok(ScalarArg::new(self.scalar(expr.unparen(), &scope)?, scope.grid))
    }

    fn aggregate(&mut self, aggregate: &Aggregate, scope: &Scope) -> Result<Vector, QueryError> {
        let mut grouping = Grouping { labels: aggregate.grouping.clone(), without: aggregate.without };
        let projection = projection(aggregate);
        let inner_scope = Scope { grouping: Some(grouping.clone()), projection, ..scope.inside(aggregate.op.as_str()) };
        let expr = aggregate.expr.unparen();
        let steps = scope.grid.steps;
        if aggregate.op == AggregateOp::CountValues {
            let label = value_label(aggregate)?;
            if !grouping.without {
                grouping.labels.push(String::from_utf8_lossy(&label).into_owned());
            }
            let inner = Some(self.vector(expr, &inner_scope)?);
            return Ok(Box::new(CountValues { inner, label, grouping, steps }));
        }
        let param = match &aggregate.param {
            Some(param) => Some(self.argument(param, &scope.inside(aggregate.op.as_str()))?),
            None => None,
        };
        let inner = Some(self.vector(expr, &inner_scope)?);
        let param_start = aggregate.param.as_ref().map_or(0, |p| p.unparen().span().start);
        let (param_position, position) = (self.place(param_start), self.place(expr.span().start));
        use AggregateOp::{BottomK, LimitK, LimitRatio, TopK as Top};
        Ok(match (aggregate.op, param) {
            (op @ (Top | BottomK | LimitK | LimitRatio), Some(param)) => {
                let position = self.place(aggregate.span.start);
                Box::new(TopK { inner, op, grouping, param, steps, position, param_position })
            }
            (op, param) => Box::new(Aggregation { inner, op, grouping, param, steps, position, param_position }),
        })
    }

    fn binary(&mut self, binary: &Binary, scope: &Scope) -> Result<Vector, QueryError> {
        let mut scope = scope.inside("");
        if matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
            scope.histograms = Needed::Buckets;
        }
        let scope = &scope;
        let (op, start) = (binary.op, binary.span.start);
        let scalar_first = binary.lhs.value_type() == ValueType::Scalar;
        if scalar_first || binary.rhs.value_type() == ValueType::Scalar {
            let (vector, scalar) = if scalar_first { (&binary.rhs, &binary.lhs) } else { (&binary.lhs, &binary.rhs) };
            // In the order in which they stand.
            let before = if scalar_first { Some(self.argument(scalar, scope)?) } else { None };
            let inner = self.vector(vector, scope)?;
            let scalar = before.map_or_else(|| self.argument(scalar, scope), Ok)?;
            let return_bool = binary.return_bool;
            let position = self.place(start);
            let stream = VectorScalar { vector: inner, scalar, scalar_first, op, return_bool, position };
            let drops_name = changes_metric(op) || return_bool;
            let stream: Vector = Box::new(stream);
            return Ok(if drops_name { self.unnamed(stream, vector) } else { stream });
        }
        let Some(matching) = binary.matching.clone() else {
            return Err(QueryError::Internal("binary expression of vectors without matching".into()));
        };
        let (lhs, rhs) = match self.settings.uncounted {
            true => push_down(binary, &matching),
            false => (Cow::Borrowed(&binary.lhs), Cow::Borrowed(&binary.rhs)),
        };
        let many = if matching.card == Cardinality::OneToMany { &rhs } else { &lhs };
        let may_skip = self.settings.uncounted && is_quiet(many);
        let (lhs, rhs) = (self.vector(&lhs, scope)?, self.vector(&rhs, scope)?);
        let steps = scope.grid.steps;
        Ok(if op.is_set() {
            Box::new(SetOperation::new(op, matching, lhs, rhs, steps, may_skip))
        } else {
            let (sides, return_bool, position) = (Some((lhs, rhs)), binary.return_bool, self.place(start));
            Box::new(VectorVector { sides, op, return_bool, matching, position, steps, may_skip })
        })
    }
}

fn value_label(aggregate: &Aggregate) -> Result<Vec<u8>, QueryError> {
    match aggregate.param.as_ref().map(Expr::unparen) {
        Some(Expr::String(literal)) if is_label_name(&literal.value) => Ok(literal.value.clone()),
        Some(Expr::String(literal)) => {
            let text = thanoxide_model::labels::go_quote(&literal.value);
            Err(QueryError::Execution(format!("invalid label name {text}")))
        }
        _ => Err(QueryError::Internal("count_values without a label".into())),
    }
}

/// Whether bytes may name a label: any UTF-8 but the empty text.
fn is_label_name(name: &[u8]) -> bool {
    !name.is_empty() && std::str::from_utf8(name).is_ok()
}

fn unexpected(expr: &Expr) -> QueryError {
    QueryError::Internal(format!("unexpected expression of type {}", expr.value_type().documented()))
}
