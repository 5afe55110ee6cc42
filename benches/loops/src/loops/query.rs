//! Queries over series in memory, and their answers as text. An item is a series at a step.

use std::sync::Arc;

use thanoxide_model::series::{Columns, SelectHints, Series, SeriesData, SeriesSet, SeriesSource, SourceError};
use thanoxide_model::{Labels, Matcher};
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::value::{MatrixSeries, QueryValue};
use thanoxide_promql::{Engine, Query, QueryOptions};
use thanoxide_query::render::Pieces;

use super::Prepared;

const SERIES: i64 = 300;
const STEPS: i64 = 121;
const STEP_MS: i64 = 30_000;

/// Series in memory, sorted.
#[derive(Debug)]
struct Memory(Vec<(Labels, Arc<Columns>)>);

#[derive(Debug)]
struct Shared(Arc<Columns>);

impl SeriesData for Shared {
    fn decode(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError> {
        self.0.decode(start_ms, end_ms, into)
    }

    fn estimated_samples(&self) -> usize {
        self.0.len()
    }
}

struct Set(std::vec::IntoIter<(Labels, Arc<Columns>)>);

impl SeriesSet for Set {
    fn next(&mut self) -> Result<Option<Series>, SourceError> {
        Ok(self.0.next().map(|(labels, columns)| Series { labels, data: Box::new(Shared(columns)) }))
    }
}

impl SeriesSource for Memory {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet>, SourceError> {
        Ok(Box::new(Set(self.0.clone().into_iter())))
    }
}

fn memory() -> Memory {
    let series = |number: i64| {
        let mut columns = Columns::default();
        (0..STEPS + 20).for_each(|k| columns.push(k * STEP_MS, (k * 17 % 1000 + k * number) as f64));
        let (pod, job) = (format!("pod-{number:04}"), format!("job-{}", number % 13));
        (Labels::from_pairs([("__name__", "x"), ("job", &job), ("pod", &pod)]), Arc::new(columns))
    };
    let mut all: Vec<_> = (0..SERIES).map(series).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Memory(all)
}

fn range(text: &'static str) -> Prepared {
    let (source, engine) = (memory(), Engine::default());
    let expr = parse(text, &ParseOptions::default()).expect("the queries here are valid");
    Box::new(move || {
        let (start_ms, end_ms) = (20 * STEP_MS, (20 + STEPS - 1) * STEP_MS);
        let query = Query { text, expr: &expr };
        let answer = engine.range(&source, query, start_ms, end_ms, STEP_MS, &QueryOptions::default());
        std::hint::black_box(answer.expect("the queries here have answers"));
        (SERIES * STEPS) as usize
    })
}

pub(crate) fn rate() -> Prepared {
    range("rate(x[5m])")
}

pub(crate) fn sum_by() -> Prepared {
    range("sum by (job) (x)")
}

/// Here an item is a point of the answer.
pub(crate) fn json() -> Prepared {
    let series = |number: i64| MatrixSeries {
        labels: Labels::from_pairs([("pod", format!("pod-{number}"))]),
        floats: (0..STEPS).map(|n| (1_700_000_000_000 + n * STEP_MS, (number * STEPS + n) as f64 / 3.0)).collect(),
        histograms: Vec::new(),
    };
    let all: Vec<MatrixSeries> = (0..SERIES).map(series).collect();
    Box::new(move || {
        let pieces = Pieces::new(String::new(), QueryValue::Matrix(all.clone()), String::new());
        std::hint::black_box(pieces.map(|piece| piece.len()).sum::<usize>());
        (SERIES * STEPS) as usize
    })
}
