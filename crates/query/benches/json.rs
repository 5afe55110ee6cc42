//! Nanoseconds a point of an answer: `cargo bench -p thanoxide-query --bench json`.

use divan::Bencher;
use divan::counter::ItemsCount;
use thanoxide_model::Labels;
use thanoxide_promql::value::{MatrixSeries, QueryValue};
use thanoxide_query::render::Pieces;

/// What our programs have.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SERIES: usize = 1_000;
const STEPS: usize = 241;

fn main() {
    divan::main();
}

fn integer(n: usize) -> f64 {
    (n * 7_919 % 100_000_000) as f64
}

fn digits(n: usize) -> f64 {
    (n + 1) as f64 / 3.0 * 1.000_000_7
}

fn short(n: usize) -> f64 {
    n as f64 * 0.25
}

fn matrix(bencher: Bencher, value: fn(usize) -> f64) {
    let series = |s: usize| {
        let floats = (0..STEPS).map(|n| (1_767_225_600_000 + n as i64 * 30_000, value(s * STEPS + n))).collect();
        MatrixSeries { labels: Labels::from_pairs([("pod", format!("p{s}"))]), floats, histograms: Vec::new() }
    };
    let all: Vec<MatrixSeries> = (0..SERIES).map(series).collect();
    bencher
        .counter(ItemsCount::new(SERIES * STEPS))
        .with_inputs(|| QueryValue::Matrix(all.clone()))
        .bench_values(|value| Pieces::new(String::new(), value, String::new()).map(|piece| piece.len()).sum::<usize>());
}

#[divan::bench]
fn integers(bencher: Bencher) {
    matrix(bencher, integer);
}

#[divan::bench]
fn seventeen_digits(bencher: Bencher) {
    matrix(bencher, digits);
}

#[divan::bench]
fn quarters(bencher: Bencher) {
    matrix(bencher, short);
}
