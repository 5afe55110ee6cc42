//! The engine: from an expression and storage to an answer.

use std::sync::Arc;
use std::time::Duration;

use rayon::ThreadPool;
use thanoxide_env::clock::{Clock, SystemClock};
use thanoxide_model::Labels;
use thanoxide_model::series::{Columns, SeriesSource, SourceError};
use thiserror::Error;

use crate::analysis::{AnalysisNode, Recorder};
use crate::annotations::Level;
use crate::ast::Expr;
use crate::exec::column::Cell;
use crate::exec::grid::Grid;
use crate::exec::merge::{merge, without_name};
use crate::exec::range::{Range, RangeSamples};
use crate::exec::samples::WindowCutter;
use crate::exec::sort::merge_sort;
use crate::exec::tally::{Tally, points_samples};
use crate::exec::{Batch, Context, SeriesColumn, Settings, Stream};
use crate::functions::extended::bare_range;
use crate::functions::range::Edges;
use crate::limits::{Budget, Deadline, Interrupt};
use crate::plan::{Lowering, Root};
use crate::points::Points;
use crate::types::ValueType;
use crate::value::{MatrixSeries, QueryValue, Value, VectorSample};

/// Series of a bare range that are read at once.
const BARE_BATCH: usize = 64;

/// Why there is no answer.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum QueryError {
    /// The question makes no sense (`bad_data`).
    #[error("{0}")]
    BadData(String),
    /// The question cannot be answered over this data (`execution`).
    #[error("{0}")]
    Execution(String),
    /// More samples than allowed (`execution`).
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// More memory than allowed (`execution`).
    #[error("query processing would take more than {max_bytes} bytes of memory in query execution")]
    TooMuchMemory {
        /// The limit.
        max_bytes: usize,
    },
    /// Time ran out, while doing what is said (`timeout`).
    #[error("query timed out in {0}")]
    Timeout(String),
    /// Nobody waits any more (`canceled`).
    #[error("query was canceled in {0}")]
    Canceled(String),
    /// The engine is at fault (`internal`).
    #[error("{0}")]
    Internal(String),
}

impl QueryError {
    /// Prometheus's `errorType`.
    pub fn error_type(&self) -> &'static str {
        match self {
            QueryError::BadData(_) => "bad_data",
            QueryError::Execution(_) | QueryError::TooManySamples | QueryError::TooMuchMemory { .. } => "execution",
            QueryError::Timeout(_) => "timeout",
            QueryError::Canceled(_) => "canceled",
            QueryError::Internal(_) => "internal",
        }
    }
}

impl From<SourceError> for QueryError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Timeout(during) => QueryError::Timeout(during),
            SourceError::Canceled(during) => QueryError::Canceled(during),
            SourceError::Limit(text) | SourceError::Storage(text) => {
                QueryError::Execution(format!("expanding series: {text}"))
            }
        }
    }
}

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
            Kind::Instant => Lowering::instant(settings, grid.start_ms),
            Kind::Range { end_ms } => Lowering::range(settings, grid, end_ms),
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

    /// The operators of a query, which is not evaluated: all figures are 0. `step_ms` is `None` for an instant query.
    pub fn explain(
        &self,
        query: Query<'_>,
        start_ms: i64,
        end_ms: i64,
        step_ms: Option<i64>,
    ) -> Result<AnalysisNode, QueryError> {
        let settings = self.settings(&QueryOptions::default());
        let (mut lowering, grid) = match step_ms {
            None => (Lowering::instant(settings, start_ms), Grid::instant(start_ms)),
            Some(step_ms) => {
                let grid = Grid::range(start_ms, end_ms, step_ms);
                (Lowering::range(settings, grid, end_ms), grid)
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
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Instant,
    Range { end_ms: i64 },
}

struct Evaluation<'a> {
    cx: &'a Context<'a>,
    grid: Grid,
    kind: Kind,
}

impl Evaluation<'_> {
    fn evaluate(&self, root: Root, value_type: ValueType) -> Result<QueryValue, QueryError> {
        let timestamp_ms = self.grid.start_ms;
        match (root, self.kind) {
            (Root::Text(value), _) => Ok(QueryValue::String { timestamp_ms, value }),
            (Root::Scalar(scalar), Kind::Instant) => {
                let value = scalar.evaluate(self.grid, self.cx)?.get(0);
                Ok(QueryValue::Scalar { timestamp_ms, value })
            }
            (Root::Scalar(scalar), Kind::Range { .. }) => {
                let values = scalar.evaluate(self.grid, self.cx)?.into_values(self.grid.steps);
                let floats = Points::new(self.grid.times_ms().collect(), values);
                let series = MatrixSeries { floats, ..MatrixSeries::default() };
                Ok(QueryValue::Matrix(if self.grid.steps == 0 { Vec::new() } else { vec![series] }))
            }
            (Root::Range(range), _) => self.bare_range(range).map(QueryValue::Matrix),
            (Root::Vector(stream), Kind::Instant) => {
                debug_assert_eq!(value_type, ValueType::Vector);
                self.vector(stream).map(QueryValue::Vector)
            }
            (Root::Vector(stream), Kind::Range { .. }) => self.matrix(stream).map(QueryValue::Matrix),
        }
    }

    /// All series, with the names gone that are to go.
    fn series(&self, mut stream: Box<dyn Stream>) -> Result<Batch, QueryError> {
        let mut batch = crate::exec::collect(&mut *stream, self.cx)?;
        self.settle_names(&mut batch.series)?;
        Ok(batch)
    }

    fn settle_names(&self, series: &mut Vec<SeriesColumn>) -> Result<(), QueryError> {
        if !self.cx.settings.delayed_name_removal {
            return Ok(());
        }
        for one in series.iter_mut().filter(|s| s.drop_name) {
            one.labels = without_name(&one.labels);
        }
        *series = merge(std::mem::take(series), self.cx)?;
        Ok(())
    }

    fn vector(&self, stream: Box<dyn Stream>) -> Result<Vec<VectorSample>, QueryError> {
        let timestamp_ms = self.grid.start_ms;
        let sample = |series: SeriesColumn| {
            let value = match series.column.cell(0)? {
                Cell::Float(value) => Value::Float(value),
                Cell::Histogram(histogram) => Value::Histogram(Arc::clone(histogram)),
            };
            Some(VectorSample { labels: series.labels, timestamp_ms, value })
        };
        Ok(self.series(stream)?.series.into_iter().filter_map(sample).collect())
    }

    fn matrix(&self, mut stream: Box<dyn Stream>) -> Result<Vec<MatrixSeries>, QueryError> {
        let mut matrix = Vec::new();
        let mut charge = self.cx.budget.charge(0)?;
        let times_ms: Arc<[i64]> = self.grid.times_ms().collect();
        if self.cx.settings.delayed_name_removal {
            let batch = self.series(stream)?;
            matrix.extend(batch.series.into_iter().map(|s| self.points(s, &times_ms)));
        } else {
            while let Some(batch) = stream.next(self.cx)? {
                let points: usize = batch.series.iter().map(|s| s.column.floats.count()).sum();
                charge.add(points * 16)?;
                matrix.extend(batch.series.into_iter().map(|s| self.points(s, &times_ms)));
            }
        }
        matrix.retain(|s| !(s.floats.is_empty() && s.histograms.is_empty()));
        Ok(matrix)
    }

    fn points(&self, series: SeriesColumn, times_ms: &Arc<[i64]>) -> MatrixSeries {
        let column = series.column;
        let floats = match column.floats.is_full() {
            true => Points::new(Arc::clone(times_ms), column.values),
            false => column.floats.ones().map(|step| (times_ms[step], column.values[step])).collect(),
        };
        let histograms = column.histograms.into_iter().enumerate();
        let histograms = histograms.filter_map(|(step, h)| h.map(|h| (self.grid.time_ms(step), h))).collect();
        MatrixSeries { labels: series.labels, floats, histograms }
    }

    /// `x[5m]` on its own: the samples themselves.
    fn bare_range(&self, mut range: Range) -> Result<Vec<MatrixSeries>, QueryError> {
        let mut matrix: Vec<(MatrixSeries, bool)> = Vec::new();
        let mut columns = Columns::default();
        let mut charge = self.cx.budget.charge(0)?;
        loop {
            let input = range.read(BARE_BATCH, self.cx)?;
            if input.is_empty() {
                break;
            }
            for series in input {
                range.shape.decode(&series, &mut columns)?;
                charge.add(columns.len() * 16)?;
                let one = self.bare_series(&range, &columns, series.labels())?;
                if matches!(range.shape.samples, RangeSamples::Stored(_)) {
                    self.count_bare(&one);
                }
                if !(one.floats.is_empty() && one.histograms.is_empty()) {
                    matrix.push((one, series.drop_name()));
                }
            }
        }
        self.settle_bare(matrix)
    }

    fn count_bare(&self, series: &MatrixSeries) {
        let samples = points_samples(series) as u64;
        self.cx.tally.add(samples);
        self.cx.tally.place(0, samples);
    }

    fn bare_series(&self, range: &Range, columns: &Columns, labels: &Labels) -> Result<MatrixSeries, QueryError> {
        let mut cutter = WindowCutter::new(columns);
        let window = range.shape.window(&mut cutter, self.grid, 0, self.cx.settings.lookback_ms);
        let histograms = window.histogram_times_ms.iter().copied().zip(window.histograms.iter().cloned()).collect();
        let floats = match range.shape.edges {
            Edges::Plain => Points::new(window.times_ms.into(), window.values.to_vec()),
            edges if window.histograms.is_empty() => {
                bare_range(&window, edges == Edges::Smoothed).into_iter().collect()
            }
            edges => {
                let word = if edges == Edges::Smoothed { "smoothed" } else { "anchored" };
                let text = format!("{word} modifier is not supported with histograms");
                return Err(QueryError::Execution(text));
            }
        };
        Ok(MatrixSeries { labels: labels.clone(), floats, histograms })
    }

    /// Drops delayed names, merging series that share no time.
    fn settle_bare(&self, matrix: Vec<(MatrixSeries, bool)>) -> Result<Vec<MatrixSeries>, QueryError> {
        let mut settled: Vec<MatrixSeries> = Vec::with_capacity(matrix.len());
        for (mut series, drop_name) in matrix {
            if !drop_name {
                settled.push(series);
                continue;
            }
            series.labels = without_name(&series.labels);
            match settled.iter_mut().find(|s| s.labels == series.labels) {
                None => settled.push(series),
                Some(known) => merge_bare(known, series)?,
            }
        }
        Ok(settled)
    }
}

fn merge_bare(known: &mut MatrixSeries, other: MatrixSeries) -> Result<(), QueryError> {
    let mut floats: Vec<(i64, f64)> = known.floats.iter().chain(other.floats.iter()).collect();
    known.histograms.extend(other.histograms);
    floats.sort_by_key(|p| p.0);
    known.histograms.sort_by_key(|p| p.0);
    let twice = floats.windows(2).any(|w| w[0].0 == w[1].0);
    if twice || known.histograms.windows(2).any(|w| w[0].0 == w[1].0) {
        return Err(crate::exec::merge::same_labelset());
    }
    known.floats = floats.into_iter().collect();
    Ok(())
}
