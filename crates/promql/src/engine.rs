//! The engine: from an expression and storage to an answer.

use std::sync::Arc;
use std::time::Duration;

use rayon::ThreadPool;
use thanoxide_env::clock::{Clock, SystemClock};
use thanoxide_model::series::SeriesSource;

use crate::analysis::{AnalysisNode, Recorder};
use crate::annotations::Level;
use crate::ast::Expr;
use crate::exec::grid::Grid;
use crate::exec::sort::merge_sort;
use crate::exec::tally::Tally;
use crate::exec::{Context, Settings};
use crate::limits::{Budget, Deadline, Interrupt};
use crate::plan::Lowering;
use crate::types::ValueType;
use crate::value::QueryValue;

mod error;
mod evaluation;

pub use error::QueryError;
use evaluation::{Evaluation, Kind};

/// What holds for all queries of an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How old a sample may be to still count, milliseconds.
    pub lookback_ms: i64,
    /// The step of subqueries that give none, milliseconds.
    pub default_step_ms: i64,
    /// Samples that a query may hold at a time; 0 is no limit.
    pub max_samples: usize,
    /// Bytes that the samples of a query may take at a time; 0 is no limit.
    pub max_memory_bytes: usize,
    /// How long a query may run.
    pub timeout: Option<Duration>,
    /// Names are dropped at the end of a query instead of by each operator.
    pub delayed_name_removal: bool,
    /// Metrics are judged by their labels `__type__` and `__unit__`.
    pub type_and_unit_labels: bool,
    /// Start times of samples take part in `rate` and its like.
    pub use_start_timestamps: bool,
    /// Threads that share the work on many series.
    pub pool: Option<Arc<ThreadPool>>,
    /// For the timeout.
    pub clock: Arc<dyn Clock>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            lookback_ms: 300_000,
            default_step_ms: 60_000,
            max_samples: 50_000_000,
            max_memory_bytes: 0,
            timeout: Some(Duration::from_secs(120)),
            delayed_name_removal: false,
            type_and_unit_labels: false,
            use_start_timestamps: false,
            pool: None,
            clock: Arc::new(SystemClock::default()),
        }
    }
}

/// What holds for one query.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// Instead of the engine's.
    pub lookback_ms: Option<i64>,
    /// Instead of the engine's, if it is shorter.
    pub timeout: Option<Duration>,
    /// Ends the query from outside.
    pub interrupt: Interrupt,
    /// Operators are watched, and what they took is told.
    pub analyze: bool,
    /// Samples are counted for each step.
    pub per_step_stats: bool,
    /// Nobody asks how many samples were looked at, so that what does not matter to the answer need not be read.
    pub uncounted: bool,
}

/// An expression and the text that it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// For the positions in warnings.
    pub text: &'a str,
    /// What is asked.
    pub expr: &'a Expr,
}

/// What a query took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryStats {
    /// Samples that were looked at, at each step anew: Prometheus's `totalQueryableSamples`.
    pub total_samples: u64,
    /// The same by the time of the step, if that was asked for.
    pub samples_by_step: Vec<(i64, u64)>,
    /// The most samples in memory at a time.
    pub peak_samples: usize,
    /// How long planning took.
    pub preparation: Duration,
    /// How long evaluation took.
    pub evaluation: Duration,
    /// How long sorting the series of the answer took.
    pub sorting: Duration,
    /// How long the query waited for its turn; whoever let it wait says so.
    pub queueing: Duration,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// The answer itself.
    pub value: QueryValue,
    /// What may make it wrong.
    pub warnings: Vec<String>,
    /// What may make the question wrong.
    pub infos: Vec<String>,
    /// What it took.
    pub stats: QueryStats,
    /// What each operator took, if that was asked for.
    pub analysis: Option<AnalysisNode>,
}

/// More steps than anybody can be shown are not counted one by one.
const MAX_COUNTED_STEPS: usize = 1 << 20;

/// Evaluates PromQL.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// An engine with these options.
    pub fn new(options: EngineOptions) -> Self {
        Engine { options }
    }

    /// What the engine was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates at one time.
    pub fn instant(
        &self,
        source: &dyn SeriesSource,
        query: Query<'_>,
        time_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        self.run(source, query, Grid::instant(time_ms), Kind::Instant, options)
    }

    /// Evaluates from start to end, every step.
    pub fn range(
        &self,
        source: &dyn SeriesSource,
        query: Query<'_>,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let kind = query.expr.value_type();
        if !matches!(kind, ValueType::Vector | ValueType::Scalar) {
            return Err(QueryError::BadData(format!(
                "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
                kind.documented()
            )));
        }
        if step_ms <= 0 {
            return Err(QueryError::BadData("zero or negative query resolution step".into()));
        }
        self.run(source, query, Grid::range(start_ms, end_ms, step_ms), Kind::Range { end_ms }, options)
    }

    fn run(
        &self,
        source: &dyn SeriesSource,
        query: Query<'_>,
        grid: Grid,
        kind: Kind,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let clock = &self.options.clock;
        let started = clock.monotonic();
        let timeout = [self.options.timeout, options.timeout].into_iter().flatten().min();
        let deadline = Deadline::new(options.interrupt.clone(), Arc::clone(clock), timeout);
        let budget = Budget::new(self.options.max_memory_bytes, self.options.max_samples);
        let settings = self.settings(options);
        let tally = Tally::new(if options.per_step_stats { grid.steps.min(MAX_COUNTED_STEPS) } else { 0 });
        let cx = Context::new(source, settings, Arc::clone(&budget), deadline, self.options.pool.as_deref(), tally);
        cx.deadline.check()?;
        let mut lowering = match kind {
            Kind::Instant => Lowering::instant(settings, query.text, grid.start_ms),
            Kind::Range { end_ms } => Lowering::range(settings, query.text, grid, end_ms),
        };
        if options.analyze {
            lowering.record(Recorder::new(Arc::clone(clock)));
        }
        let root = lowering.root(query.expr, grid)?;
        let recorder = lowering.into_recorder();
        let prepared = clock.monotonic();
        let value = Evaluation { cx: &cx, grid, kind }.evaluate(root, query.expr.value_type());
        let mut value = value.map_err(|error| match error {
            // Storage does not know why it was told to end.
            QueryError::Canceled(_) => cx.deadline.check().err().unwrap_or(error),
            other => other,
        })?;
        let evaluated = clock.monotonic();
        if let QueryValue::Matrix(series) = &mut value
            && !series.is_sorted_by(|a, b| a.labels <= b.labels)
        {
            *series = merge_sort(std::mem::take(series), &|a, b| a.labels < b.labels, &cx.deadline)?;
        }
        let (notes, mut warnings, tally) = cx.finish();
        warnings.extend(notes.texts(Level::Warning, query.text));
        let stats = QueryStats {
            total_samples: tally.total(),
            samples_by_step: grid.times_ms().zip(tally.into_steps()).collect(),
            peak_samples: budget.peak_samples(),
            preparation: prepared.saturating_sub(started),
            evaluation: evaluated.saturating_sub(prepared),
            sorting: clock.monotonic().saturating_sub(evaluated),
            queueing: Duration::ZERO,
        };
        let analysis = recorder.map(|recorder| recorder.tree(query.text));
        Ok(QueryResult { value, warnings, infos: notes.texts(Level::Info, query.text), stats, analysis })
    }

    /// The operators of a query of which no samples are counted; it is not evaluated: all figures are 0. `step_ms` is `None` for an instant query.
    pub fn explain(
        &self,
        query: Query<'_>,
        start_ms: i64,
        end_ms: i64,
        step_ms: Option<i64>,
    ) -> Result<AnalysisNode, QueryError> {
        let settings = self.settings(&QueryOptions { uncounted: true, ..QueryOptions::default() });
        let (mut lowering, grid) = match step_ms {
            None => (Lowering::instant(settings, query.text, start_ms), Grid::instant(start_ms)),
            Some(step_ms) => {
                let grid = Grid::range(start_ms, end_ms, step_ms);
                (Lowering::range(settings, query.text, grid, end_ms), grid)
            }
        };
        lowering.record(Recorder::new(Arc::clone(&self.options.clock)));
        lowering.root(query.expr, grid)?;
        let recorder = lowering.into_recorder();
        Ok(recorder.map(|recorder| recorder.tree(query.text)).unwrap_or_default())
    }

    fn settings(&self, options: &QueryOptions) -> Settings {
        Settings {
            lookback_ms: options.lookback_ms.unwrap_or(self.options.lookback_ms),
            default_step_ms: self.options.default_step_ms.max(1),
            delayed_name_removal: self.options.delayed_name_removal,
            type_and_unit_labels: self.options.type_and_unit_labels,
            use_start_timestamps: self.options.use_start_timestamps,
            uncounted: options.uncounted && !options.per_step_stats,
        }
    }
}
