//! The querier: an engine, a store to ask, and the gate between them and the requests.

use std::sync::Arc;
use std::time::Duration;

use thanoxide_env::Clock;
use thanoxide_promql::analysis::AnalysisNode;
use thanoxide_promql::ast::Expr;
use thanoxide_promql::engine::{Engine, EngineOptions, Query, QueryError, QueryOptions, QueryResult};
use thanoxide_promql::limits::Interrupt;
use thanoxide_server::http::Router;
use thanoxide_spans::Span;
use thanoxide_storeapi::{PartialResponse, Store};
use tokio::runtime::Handle;

use crate::api;
use crate::api::answer::ApiError;
use crate::api::params::Params;
use crate::config::QueryConfig;
use crate::gate::Gate;
use crate::metrics::QueryMetrics;
use crate::source::{ReadOptions, StoreSource};

/// Answers Prometheus's HTTP API from a store.
#[derive(Debug)]
pub struct QueryService {
    config: QueryConfig,
    engine: Arc<Engine>,
    store: Arc<dyn Store>,
    gate: Gate,
    clock: Arc<dyn Clock>,
    started_ms: i64,
}

/// One evaluation: when, and how it may differ from the defaults.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The expression as written.
    pub text: String,
    /// The expression.
    pub expr: Expr,
    /// First step.
    pub start_ms: i64,
    /// Last step, at most.
    pub end_ms: i64,
    /// Distance of the steps; `None` is an instant query at `start_ms`.
    pub step_ms: Option<i64>,
    /// Ends earlier than the configured timeout.
    pub timeout: Option<Duration>,
    /// Another lookback than the configured one.
    pub lookback_ms: Option<i64>,
    /// Operators are watched, and what they took is told.
    pub analyze: bool,
    /// Nobody asks how many samples are looked at.
    pub uncounted: bool,
    /// Samples are counted for each step.
    pub per_step_stats: bool,
    /// Whom it asks, and for what.
    pub read: ReadOptions,
}

/// Stops a query when its caller goes away.
struct StopOnDrop(Interrupt);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl QueryService {
    /// A querier of `store`. Does no I/O.
    pub fn new(config: QueryConfig, store: Arc<dyn Store>, clock: Arc<dyn Clock>, metrics: QueryMetrics) -> Arc<Self> {
        let engine = Arc::new(Engine::new(EngineOptions {
            lookback_ms: config.lookback_ms,
            timeout: Some(config.timeout),
            max_memory_bytes: config.max_memory_bytes,
            // Thanos sets no limit on samples; memory is what is limited here.
            max_samples: 0,
            delayed_name_removal: config.features.delayed_name_removal,
            type_and_unit_labels: config.features.type_and_unit_labels,
            use_start_timestamps: config.features.use_start_timestamps,
            clock: Arc::clone(&clock),
            pool: decoding_pool(),
            ..EngineOptions::default()
        }));
        let gate = Gate::new(config.max_concurrent, metrics, Arc::clone(&clock));
        let started_ms = clock.now_ms();
        Arc::new(QueryService { config, engine, store, gate, clock, started_ms })
    }

    /// The routes of the API.
    pub fn router(self: &Arc<Self>) -> Router {
        api::routes(Arc::clone(self))
    }

    /// The configuration.
    pub fn config(&self) -> &QueryConfig {
        &self.config
    }

    /// Whom it asks.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// What time it is.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// When it was made, as RFC 3339.
    pub fn started(&self) -> String {
        jiff::Timestamp::from_millisecond(self.started_ms).map(|t| t.to_string()).unwrap_or_default()
    }

    /// The labels to remove for a request: none without deduplication, its own list before the configured one.
    pub fn replica_labels(&self, params: &Params) -> Result<Vec<String>, ApiError> {
        if !params.bool("dedup", true)? {
            return Ok(Vec::new());
        }
        let own: Vec<String> = params.all("replicaLabels[]").map(str::to_string).collect();
        Ok(if own.is_empty() { self.config.replica_labels.clone() } else { own })
    }

    /// What a request wants done about stores that fail.
    pub fn partial_response(&self, params: &Params) -> Result<PartialResponse, ApiError> {
        let partial = params.bool("partial_response", self.config.partial_response)?;
        Ok(if partial { PartialResponse::Warn } else { PartialResponse::Abort })
    }

    /// The operators of an evaluation, without evaluating it.
    pub fn explain(&self, e: &Evaluation) -> Result<AnalysisNode, ApiError> {
        let query = Query { text: &e.text, expr: &e.expr };
        Ok(self.engine.explain(query, e.start_ms, e.end_ms, e.step_ms)?)
    }

    /// The engine looks at the time while it computes; while it waits for a store, this ends the query.
    fn time_out(&self, interrupt: &Interrupt, timeout: Option<Duration>) -> Timer {
        let timeout = timeout.map_or(self.config.timeout, |t| t.min(self.config.timeout));
        let interrupt = interrupt.clone();
        Timer(tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            interrupt.time_out();
        }))
    }

    /// Evaluates on a thread of its own; dropping the future stops the evaluation.
    pub async fn evaluate(&self, evaluation: Evaluation) -> Result<QueryResult, ApiError> {
        let asked = self.clock.monotonic();
        let _pass = Span::child("query_gate_ismyturn").around(self.gate.enter()).await;
        let queueing = self.clock.monotonic().saturating_sub(asked);
        let interrupt = Interrupt::default();
        let _stop = StopOnDrop(interrupt.clone());
        let engine = Arc::clone(&self.engine);
        let span = Span::child(if evaluation.step_ms.is_some() { "range_query_exec" } else { "instant_query_exec" });
        let source = StoreSource::new(self.store(), Handle::current(), evaluation.read.clone(), interrupt.clone());
        let _timer = self.time_out(&interrupt, evaluation.timeout);
        let options = QueryOptions {
            timeout: evaluation.timeout.map(|t| t.min(self.config.timeout)),
            lookback_ms: evaluation.lookback_ms,
            interrupt,
            analyze: evaluation.analyze,
            per_step_stats: evaluation.per_step_stats,
            uncounted: evaluation.uncounted,
        };
        let source = source.at(span.place());
        let run = move || run(&engine, &source, &evaluation, &options);
        let result = tokio::task::spawn_blocking(run).await;
        let result = result.map_err(|e| ApiError::internal(format!("evaluation ended badly: {e}")))?;
        let mut result = span.seen(result)?;
        result.stats.queueing = queueing;
        Ok(result)
    }
}

/// Ends a task when it is dropped.
struct Timer(tokio::task::JoinHandle<()>);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn run(
    engine: &Engine,
    source: &StoreSource,
    e: &Evaluation,
    options: &QueryOptions,
) -> Result<QueryResult, QueryError> {
    let query = Query { text: &e.text, expr: &e.expr };
    match e.step_ms {
        None => engine.instant(source, query, e.start_ms, options),
        Some(step_ms) => engine.range(source, query, e.start_ms, e.end_ms, step_ms, options),
    }
}

/// Threads that share the decoding of many series. Without them a query does all by itself; on a single core that is
/// cheaper than handing work over.
fn decoding_pool() -> Option<Arc<rayon::ThreadPool>> {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1) {
        return None;
    }
    let name = |index| format!("promql-{index}");
    let built = rayon::ThreadPoolBuilder::new().thread_name(name).build();
    built.map(Arc::new).inspect_err(|error| tracing::warn!(%error, "no threads to decode with")).ok()
}
