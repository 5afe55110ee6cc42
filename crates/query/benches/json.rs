//! Points of an answer per second: `cargo bench -p thanoxide-query --bench json`.

use divan::Bencher;
use divan::counter::ItemsCount;
use thanoxide_model::Labels;
use thanoxide_promql::value::{MatrixSeries, QueryValue};
use thanoxide_query::json::{push_result, push_sample_value};

const POINTS: usize = 10_000;

fn main() {
    divan::main();
}

fn integer(n: usize) -> f64 {
    (n * 7_919) as f64
}

fn digits(n: usize) -> f64 {
    (n + 1) as f64 / 3.0 * 1.000_000_7
}

fn short(n: usize) -> f64 {
    n as f64 * 0.25
}

fn values(bencher: Bencher, value: fn(usize) -> f64) {
    let values: Vec<f64> = (0..POINTS).map(value).collect();
    let mut out = String::with_capacity(POINTS * 32);
    bencher.counter(ItemsCount::new(POINTS)).bench_local(|| {
        out.clear();
        values.iter().for_each(|v| push_sample_value(&mut out, *v));
        out.len()
    });
}

#[divan::bench]
fn integers(bencher: Bencher) {
    values(bencher, integer);
}

#[divan::bench]
fn seventeen_digits(bencher: Bencher) {
    values(bencher, digits);
}

#[divan::bench]
fn quarters(bencher: Bencher) {
    values(bencher, short);
}

#[divan::bench]
fn matrix(bencher: Bencher) {
    let floats = (0..POINTS).map(|n| (1_767_225_600_000 + n as i64 * 15_000, digits(n))).collect();
    let series = MatrixSeries { labels: Labels::from_pairs([("a", "b")]), floats, histograms: Vec::new() };
    let result = QueryValue::Matrix(vec![series]);
    let mut out = String::with_capacity(POINTS * 48);
    bencher.counter(ItemsCount::new(POINTS)).bench_local(|| {
        out.clear();
        push_result(&mut out, &result);
        out.len()
    });
}
