//! What ends a query early, and that threads change nothing.
#![allow(clippy::unwrap_used)]

#[path = "support/memory.rs"]
mod memory;

use std::sync::Arc;
use std::time::Duration;

use memory::Memory;
use thanoxide_model::Labels;
use thanoxide_model::series::Columns;
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::{Engine, EngineOptions, Interrupt, Query, QueryError, QueryOptions, QueryResult, QueryValue};

fn counters(series: usize, samples: i64) -> Memory {
    let one = |i: usize| {
        let labels = Labels::from_pairs([("__name__", "requests_total"), ("pod", &format!("pod-{i:05}"))]);
        let mut columns = Columns::default();
        for k in 0..samples {
            columns.push(k * 15_000 + i as i64, (k * (1 + i as i64 % 7)) as f64 + 0.1);
        }
        (labels, columns)
    };
    Memory::new((0..series).map(one))
}

fn run(text: &str, options: EngineOptions, query: &QueryOptions) -> Result<QueryResult, QueryError> {
    let expr = parse(text, &ParseOptions::default()).unwrap();
    let source = counters(300, 400);
    Engine::new(options).range(&source, Query { text, expr: &expr }, 0, 6_000_000, 30_000, query)
}

#[test]
fn too_many_samples() {
    let options = || EngineOptions { max_samples: 1000, ..EngineOptions::default() };
    let error = run("requests_total", options(), &QueryOptions::default()).unwrap_err();
    assert_eq!(error, QueryError::TooManySamples);
    assert_eq!(error.error_type(), "execution");
    let huge = run("max_over_time(rate(requests_total[5m])[10000w:1s])", options(), &QueryOptions::default());
    assert_eq!(huge.unwrap_err(), QueryError::TooManySamples);
}

#[test]
fn too_much_memory() {
    let options = EngineOptions { max_memory_bytes: 20_000, ..EngineOptions::default() };
    let error = run("requests_total", options, &QueryOptions::default()).unwrap_err();
    assert_eq!(error, QueryError::TooMuchMemory { max_bytes: 20_000 });
}

#[test]
fn time_and_cancellation() {
    let options = QueryOptions { timeout: Some(Duration::ZERO), ..QueryOptions::default() };
    let error = run("sum(rate(requests_total[5m]))", EngineOptions::default(), &options).unwrap_err();
    assert_eq!(error.to_string(), "query timed out in expression evaluation");
    let interrupt = Interrupt::default();
    interrupt.cancel();
    let options = QueryOptions { interrupt, ..QueryOptions::default() };
    let error = run("sum(rate(requests_total[5m]))", EngineOptions::default(), &options).unwrap_err();
    assert_eq!(
        (error.error_type(), error.to_string().as_str()),
        ("canceled", "query was canceled in expression evaluation")
    );
}

#[test]
fn threads_change_nothing() {
    let print = |result: QueryResult| match result.value {
        QueryValue::Matrix(series) => {
            let row = |s: &thanoxide_promql::MatrixSeries| {
                let bits: Vec<_> = s.floats.iter().map(|(t, v)| (t, v.to_bits())).collect();
                format!("{} {bits:?}", s.labels)
            };
            (series.iter().map(row).collect::<Vec<_>>(), result.warnings, result.infos)
        }
        other => panic!("{other:?}"),
    };
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap());
    for text in
        ["sum(rate(requests_total[5m]))", "avg_over_time(requests_total[3m])", "topk(3, irate(requests_total[1m]))"]
    {
        let alone = run(text, EngineOptions::default(), &QueryOptions::default()).unwrap();
        let options = EngineOptions { pool: Some(Arc::clone(&pool)), ..EngineOptions::default() };
        let together = run(text, options, &QueryOptions::default()).unwrap();
        assert_eq!(print(alone), print(together), "{text}");
    }
}

#[test]
fn memory_of_an_aggregation_is_that_of_its_groups() {
    let whole = run("rate(requests_total[5m])", EngineOptions::default(), &QueryOptions::default()).unwrap();
    let summed = run("sum(rate(requests_total[5m]))", EngineOptions::default(), &QueryOptions::default()).unwrap();
    assert!(summed.stats.peak_samples <= whole.stats.peak_samples);
    assert_eq!(summed.stats.total_samples, whole.stats.total_samples);
    assert!(summed.stats.total_samples > 300 * 190 * 10);
}

#[test]
fn a_query_in_range_form_must_be_a_vector() {
    let error = run("requests_total[5m]", EngineOptions::default(), &QueryOptions::default()).unwrap_err();
    let text = "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector";
    assert_eq!(error, QueryError::BadData(text.into()));
}
