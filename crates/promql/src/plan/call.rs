//! Functions and the operators that evaluate them.

use thanoxide_model::{FloatHistogram, Labels, Regexp};

use super::push_down::is_quiet;
use super::{Discarded, Lowering, Scope, Vector, is_label_name};
use crate::annotations::Place;
use crate::ast::{Call, Expr};
use crate::engine::QueryError;
use crate::exec::absent::{Absent, labels_of};
use crate::exec::buckets::{HistogramStream, Placed, Question};
use crate::exec::grid::Modifiers;
use crate::exec::info::Info;
use crate::exec::instant::Take;
use crate::exec::merge::MergeSameLabels;
use crate::exec::pointwise::{OfScalar, Pointwise, PointwiseStream};
use crate::exec::range::RangeCallStream;
use crate::exec::relabel::{Relabel, RelabelStream};
use crate::exec::scalar::{ScalarArg, ScalarNode};
use crate::exec::sort::{Sort, SortBy};
use crate::functions::date::DatePart;
use crate::functions::range::{Edges, RangeFunction};
use crate::functions::{float, histogram};
use crate::types::ValueType;

impl Lowering {
    pub(super) fn call(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let name = call.function.name;
        let scope = &scope.inside(name);
        if let Some(function) = RangeFunction::find(name) {
            return self.range_call(function, call, scope);
        }
        match name {
            "absent" => self.absent(call, scope),
            "clamp" | "clamp_min" | "clamp_max" => self.clamp(call, scope),
            "round" => {
                let inner = self.vector(arg(call, 0)?.unparen(), scope)?;
                let to = call.args.get(1).map(|to| self.argument(to, scope)).transpose()?;
                Ok(self.pointwise_over(inner, Pointwise::Round { to }, arg(call, 0)?, scope))
            }
            "histogram_count" => self.of_histogram(|h| h.count, call, scope),
            "histogram_sum" => self.of_histogram(|h| h.sum, call, scope),
            "histogram_avg" => self.of_histogram(|h| h.sum / h.count, call, scope),
            "histogram_stddev" => self.of_histogram(histogram::deviation, call, scope),
            "histogram_stdvar" => self.of_histogram(histogram::variance, call, scope),
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => self.buckets(call, scope),
            "label_replace" => self.label_replace(call, scope),
            "label_join" => self.label_join(call, scope),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => self.sort(call, scope),
            "timestamp" => self.timestamp(call, scope),
            "start_timestamp" => self.start_timestamp(call, scope),
            "vector" => {
                let scalar = Some(self.argument(arg(call, 0)?, scope)?);
                Ok(Box::new(OfScalar { scalar, part: None, grid: scope.grid }))
            }
            "info" => self.info(call, scope),
            _ => self.float_function(call, scope),
        }
    }

    fn float_function(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let name = call.function.name;
        if let (Some(part), true) = (DatePart::find(name), call.args.is_empty()) {
            let scalar = Some(ScalarArg::new(ScalarNode::Constant(0.0), scope.grid));
            return Ok(Box::new(OfScalar { scalar, part: Some(part), grid: scope.grid }));
        }
        match float::find(name) {
            Some(function) => self.pointwise(Pointwise::Float(function), arg(call, 0)?, scope),
            None => Err(QueryError::Execution(format!("function {name}() is not implemented"))),
        }
    }

    fn pointwise(&mut self, function: Pointwise, of: &Expr, scope: &Scope) -> Result<Vector, QueryError> {
        let inner = self.vector(of.unparen(), scope)?;
        Ok(self.pointwise_over(inner, function, of, scope))
    }

    /// A function of a vector that is lowered already, since its other arguments come after it.
    fn pointwise_over(&self, inner: Vector, function: Pointwise, of: &Expr, scope: &Scope) -> Vector {
        let stream = Box::new(PointwiseStream { inner, function, grid: scope.grid });
        self.unnamed(stream, of)
    }

    fn of_histogram(
        &mut self,
        function: fn(&FloatHistogram) -> f64,
        call: &Call,
        scope: &Scope,
    ) -> Result<Vector, QueryError> {
        self.pointwise(Pointwise::OfHistogram(function), arg(call, 0)?, scope)
    }

    fn range_call(&mut self, function: RangeFunction, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let is_range = |arg: &&Expr| arg.value_type() == ValueType::Matrix;
        let range_arg = call.args.iter().map(Expr::unparen).find(is_range);
        let range_arg = range_arg.ok_or_else(|| QueryError::Internal(format!("{function:?} without a range")))?;
        let mut range = self.range_of(range_arg, scope)?;
        let scalars = call.args.iter().filter(|a| a.value_type() == ValueType::Scalar);
        let scalars = scalars.map(|a| self.argument(a, scope)).collect::<Result<Vec<_>, _>>()?;
        // The labels of what is there do not matter to what is absent.
        range.name_pinned |= function == RangeFunction::AbsentOverTime;
        check_edges(range.shape.edges, call.function.name)?;
        // Prometheus forgets where a subquery was.
        let position = self.place(match call.args.first().map(Expr::unparen) {
            None | Some(Expr::Subquery(_)) => Place::FORGOTTEN,
            Some(first) => first.span().start,
        });
        let stream = RangeCallStream::new(range, function, scalars, scope.grid, position);
        if function == RangeFunction::AbsentOverTime {
            return Ok(self.absence(Box::new(stream), range_arg, scope));
        }
        Ok(Box::new(stream))
    }

    fn absent(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let of = arg(call, 0)?.unparen();
        let inner = self.vector(of, scope)?;
        Ok(self.absence(inner, of, scope))
    }

    fn absence(&self, inner: Vector, of: &Expr, scope: &Scope) -> Vector {
        let labels = match of {
            Expr::Vector(selector) => labels_of(&selector.matchers),
            Expr::Matrix(matrix) => labels_of(&matrix.selector.matchers),
            _ => Labels::empty(),
        };
        let may_stop = self.settings.uncounted && is_quiet(of);
        Box::new(Absent { inner: Some(inner), labels, steps: scope.grid.steps, may_stop })
    }

    fn clamp(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let inner = self.vector(arg(call, 0)?.unparen(), scope)?;
        let mut args = call.args[1..].iter().map(|a| self.argument(a, scope)).collect::<Result<Vec<_>, _>>()?;
        let last = args.pop();
        let function = match call.function.name {
            "clamp" => Pointwise::Clamp { min: args.pop(), max: last },
            "clamp_min" => Pointwise::Clamp { min: last, max: None },
            _ => Pointwise::Clamp { min: None, max: last },
        };
        Ok(self.pointwise_over(inner, function, arg(call, 0)?, scope))
    }

    fn buckets(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let (vector, mut question) = match call.function.name {
            "histogram_fraction" => {
                let low = self.argument(arg(call, 0)?, scope)?;
                let high = self.argument(arg(call, 1)?, scope)?;
                (arg(call, 2)?, Question::Fraction { low, high })
            }
            "histogram_quantile" => (arg(call, 1)?, Question::Quantile(self.placed(arg(call, 0)?, scope)?)),
            _ => {
                let label = text(arg(call, 1)?)?;
                let quantiles = call.args[2..].iter().map(|a| self.placed(a, scope)).collect::<Result<_, _>>()?;
                (arg(call, 0)?, Question::Quantiles { label, quantiles })
            }
        };
        let vector = vector.unparen();
        let inner = Some(self.vector(vector, scope)?);
        let position = self.place(vector.span().start);
        question.placed().for_each(|placed| placed.position.turn = position.turn);
        Ok(Box::new(HistogramStream { inner, question, grid: scope.grid, position }))
    }

    fn placed(&mut self, expr: &Expr, scope: &Scope) -> Result<Placed, QueryError> {
        Ok(Placed { scalar: self.argument(expr, scope)?, position: self.place(expr.unparen().span().start) })
    }

    fn label_replace(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let [target, replacement, source, pattern] = [1, 2, 3, 4].map(|i| arg(call, i).and_then(text));
        let (target, pattern) = (target?, pattern?);
        let pattern = Regexp::new(&pattern).map_err(|_| {
            let pattern = String::from_utf8_lossy(&pattern).into_owned();
            QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}"))
        })?;
        check_label("destination", "label_replace", &target)?;
        let relabel = Relabel::Replace { source: source?, pattern: Box::new(pattern), replacement: replacement? };
        self.relabel(target, relabel, arg(call, 0)?, scope)
    }

    fn label_join(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let (target, separator) = (text(arg(call, 1)?)?, text(arg(call, 2)?)?);
        let sources = call.args[3..].iter().map(text).collect::<Result<Vec<_>, _>>()?;
        for source in &sources {
            check_label("source", "label_join", source)?;
        }
        check_label("destination", "label_join", &target)?;
        self.relabel(target, Relabel::Join { sources, separator }, arg(call, 0)?, scope)
    }

    fn relabel(&mut self, target: Vec<u8>, relabel: Relabel, of: &Expr, scope: &Scope) -> Result<Vector, QueryError> {
        let inner = self.vector(of.unparen(), scope)?;
        Ok(Box::new(MergeSameLabels::new(Box::new(RelabelStream { inner, target, relabel }))))
    }

    fn sort(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let name = call.function.name;
        let by = if name.starts_with("sort_by_label") {
            SortBy::Labels(call.args[1..].iter().map(text).collect::<Result<_, _>>()?)
        } else {
            SortBy::Value
        };
        let inner = Some(self.vector(arg(call, 0)?.unparen(), scope)?);
        let (descending, position) = (name.ends_with("_desc"), self.place(call.span.start));
        let one_time = scope.end_ms == scope.grid.start_ms;
        Ok(Box::new(Sort { inner, by, descending, one_time, position }))
    }

    fn timestamp(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let of = arg(call, 0)?.unparen();
        let Expr::Vector(selector) = of else {
            return self.pointwise(Pointwise::StepTime, of, scope);
        };
        let inner = self.instant_selector(selector, scope, Take::Timestamp)?;
        self.unnamed_values(inner, of, scope)
    }

    fn start_timestamp(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        match arg(call, 0)?.unparen() {
            of @ Expr::Vector(selector) => {
                let inner = self.instant_selector(selector, scope, Take::StartTimestamp)?;
                match self.settings.use_start_timestamps {
                    true => self.unnamed_values(inner, of, scope),
                    false => Ok(Box::new(Discarded(inner))),
                }
            }
            // Only samples of storage have start times.
            of => Ok(Box::new(Discarded(self.vector(of, scope)?))),
        }
    }

    /// Drops the names, leaves the values.
    fn unnamed_values(&mut self, inner: Vector, of: &Expr, scope: &Scope) -> Result<Vector, QueryError> {
        let stream = PointwiseStream { inner, function: Pointwise::Float(|v| v), grid: scope.grid };
        Ok(self.unnamed(Box::new(stream), of))
    }

    fn info(&mut self, call: &Call, scope: &Scope) -> Result<Vector, QueryError> {
        let base = arg(call, 0)?.unparen();
        let matchers = match call.args.get(1).map(Expr::unparen) {
            Some(Expr::Vector(selector)) => Some(selector.matchers.clone()),
            _ => None,
        };
        let Modifiers { at_ms, offset_ms } = self.shared_reference(base)?.unwrap_or_default();
        let inner = Some(self.vector(base, scope)?);
        Ok(Box::new(Info { inner, matchers, grid: scope.grid, at_ms, offset_ms }))
    }

    pub(super) fn scalar_call(&mut self, call: &Call, scope: &Scope) -> Result<ScalarNode, QueryError> {
        let name = call.function.name;
        let scope = &scope.inside(name);
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let times = self.times;
        Ok(match name {
            "time" => ScalarNode::Time,
            "pi" => ScalarNode::Constant(std::f64::consts::PI),
            "start" => ScalarNode::Constant(seconds(times.start_ms)),
            "end" => ScalarNode::Constant(seconds(times.end_ms)),
            "range" => ScalarNode::Constant(seconds(times.end_ms.saturating_sub(times.start_ms))),
            "step" if times.start_ms == times.end_ms => ScalarNode::Constant(0.0),
            "step" => ScalarNode::Constant(seconds(times.step_ms)),
            "scalar" => ScalarNode::OfVector(self.vector(arg(call, 0)?.unparen(), scope)?),
            "max_of" | "min_of" => {
                let lhs = Box::new(self.scalar(arg(call, 0)?.unparen(), scope)?);
                let rhs = Box::new(self.scalar(arg(call, 1)?.unparen(), scope)?);
                ScalarNode::Extreme { max: name == "max_of", lhs, rhs }
            }
            _ => return Err(QueryError::Execution(format!("function {name}() is not implemented"))),
        })
    }
}

fn arg(call: &Call, index: usize) -> Result<&Expr, QueryError> {
    let missing = || QueryError::Internal(format!("{}() lacks an argument", call.function.name));
    call.args.get(index).ok_or_else(missing)
}

fn text(expr: &Expr) -> Result<Vec<u8>, QueryError> {
    match expr.unparen() {
        Expr::String(literal) => Ok(literal.value.clone()),
        _ => Err(QueryError::Internal("argument is not a string".into())),
    }
}

fn check_label(which: &str, function: &str, name: &[u8]) -> Result<(), QueryError> {
    if is_label_name(name) {
        return Ok(());
    }
    let name = String::from_utf8_lossy(name);
    Err(QueryError::Execution(format!("invalid {which} label name in {function}(): {name}")))
}

fn check_edges(edges: Edges, function: &str) -> Result<(), QueryError> {
    let (word, fit): (_, &[&str]) = match edges {
        Edges::Plain => return Ok(()),
        Edges::Anchored => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        Edges::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
    };
    if fit.contains(&function) {
        return Ok(());
    }
    let fit = fit.join(", ");
    Err(QueryError::Execution(format!("{word} modifier can only be used with: {fit} - not with {function}")))
}
