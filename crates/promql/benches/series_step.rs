//! Nanoseconds of processor time per series and step of range queries: 3000 series, 720 samples 30 s apart, the last 2 h at a step of 30 s.
//!
//! `cargo bench -p thanoxide-promql --bench series_step -- [part of a query] [rounds]`; the cheapest round counts.
//! The third column changes with any bit of the answer.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/support/memory.rs"]
mod memory;

use std::time::Duration;

use memory::Memory;
use thanoxide_model::Labels;
use thanoxide_model::series::Columns;
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::{Engine, Query, QueryOptions, QueryValue};

const PODS: i64 = 1000;
const SAMPLES: i64 = 720;
const STEP_MS: i64 = 30_000;

const BUCKETS: [&str; 10] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "5", "+Inf"];

/// Queries, and how many series each reads.
const QUERIES: [(&str, usize); 45] = [
    ("requests_total", 3000),
    ("-requests_total", 3000),
    ("sum(requests_total)", 3000),
    ("sum by (pod) (requests_total)", 3000),
    ("avg by (pod) (requests_total)", 3000),
    ("max by (pod) (requests_total)", 3000),
    ("count(requests_total)", 3000),
    ("stddev(load)", 3000),
    ("topk(5, requests_total)", 3000),
    ("topk by (pod) (2, load)", 3000),
    ("quantile(0.9, load)", 3000),
    ("quantile by (pod) (0.9, load)", 3000),
    ("rate(requests_total[1m])", 3000),
    ("rate(requests_total[5m])", 3000),
    ("rate(requests_total[1h])", 3000),
    ("sum(rate(requests_total[1m]))", 3000),
    ("sum by (pod) (rate(requests_total[5m]))", 3000),
    ("irate(requests_total[1m])", 3000),
    ("requests_total * on (pod) group_left () info_total", 4000),
    ("sum by (pod) (requests_total) / on (pod) sum by (pod) (load)", 6000),
    ("1 - load", 3000),
    ("load > 500", 3000),
    ("clamp(1 - load, 0, 1024)", 3000),
    ("histogram_quantile(0.9, sum by (pod, le) (rate(seconds_bucket[1m])))", 10_000),
    ("histogram_quantile(0.9, seconds_bucket)", 10_000),
    ("sort(requests_total)", 3000),
    ("count_over_time(load[5m])", 3000),
    ("count_over_time(load[6h])", 3000),
    ("last_over_time(load[1h])", 3000),
    ("sum_over_time(load[5m])", 3000),
    ("sum_over_time(load[1h])", 3000),
    ("sum_over_time(load[6h])", 3000),
    ("avg_over_time(load[5m])", 3000),
    ("avg_over_time(load[1h])", 3000),
    ("avg_over_time(load[6h])", 3000),
    ("max_over_time(load[5m])", 3000),
    ("max_over_time(load[1h])", 3000),
    ("min_over_time(load[6h])", 3000),
    ("stddev_over_time(load[5m])", 3000),
    ("stddev_over_time(load[1h])", 3000),
    ("quantile_over_time(0.9, load[5m])", 3000),
    ("quantile_over_time(0.9, load[1h])", 3000),
    ("changes(load[1h])", 3000),
    ("deriv(load[1h])", 3000),
    ("sum_over_time(rate(requests_total[1m])[10m:1m])", 3000),
];

/// Numbers that are random enough, the same each time.
fn random(seed: i64) -> u64 {
    let mixed = (seed as u64).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 29).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11
}

fn series(labels: Labels, value: impl FnMut(i64) -> f64) -> (Labels, Columns) {
    let seed = labels.hash() as i64;
    let mut columns = Columns::default();
    for (k, value) in (0..SAMPLES).map(value).enumerate() {
        // Scrapes are late by a few milliseconds.
        let time_ms = k as i64 * STEP_MS + (random(seed + k as i64) % 5) as i64 + seed.rem_euclid(20_000);
        columns.push(time_ms, value);
    }
    (labels, columns)
}

fn data() -> Memory {
    let mut all = Vec::new();
    for pod in 0..PODS {
        let name = format!("pod-{pod}");
        let name = name.as_str();
        for container in 0..3 {
            let container_name = format!("container-{container}");
            let seed = (pod * 3 + container) * SAMPLES;
            let labelled = |metric: &str| {
                Labels::from_pairs([("__name__", metric), ("pod", name), ("container", &*container_name)])
            };
            let mut total = 0;
            all.push(series(labelled("requests_total"), |k| {
                total = if k % 300 == 299 { 0 } else { total + random(seed + k) % 1000 };
                total as f64
            }));
            all.push(series(labelled("load"), |k| (random(seed + k) % 1_000_000) as f64 / 1000.0));
        }
        all.push(series(Labels::from_pairs([("__name__", "info_total"), ("pod", name)]), |_| 1.0));
        for (i, le) in BUCKETS.into_iter().enumerate() {
            let labels = Labels::from_pairs([("__name__", "seconds_bucket"), ("pod", name), ("le", le)]);
            all.push(series(labels, |k| (k * (i as i64 + 1) * (pod + 1)) as f64));
        }
    }
    Memory::new(all)
}

/// Differs where a single bit of an answer does.
fn fingerprint(value: &QueryValue) -> u64 {
    let QueryValue::Matrix(matrix) = value else { return 0 };
    let floats = matrix.iter().flat_map(|s| s.floats.iter());
    floats.fold(0, |print: u64, (time_ms, v)| {
        (print.rotate_left(5) ^ v.to_bits() ^ time_ms as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// What this thread has used of the processor, as Linux counts it.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let wanted = arguments.first().map_or("", String::as_str);
    let rounds = arguments.get(1).and_then(|a| a.parse().ok()).unwrap_or(5);
    let source = data();
    let engine = Engine::default();
    let end_ms = SAMPLES * STEP_MS;
    for (text, read) in QUERIES.into_iter().filter(|(text, _)| text.contains(wanted)) {
        let expr = parse(text, &ParseOptions::default()).unwrap();
        let mut bits = 0;
        let mut round = || -> Duration {
            let started = cpu_time();
            let (query, options) = (Query { text, expr: &expr }, QueryOptions::default());
            let result = engine.range(&source, query, end_ms - 7_200_000, end_ms, STEP_MS, &options).unwrap();
            let elapsed = cpu_time().saturating_sub(started);
            bits = fingerprint(&result.value);
            elapsed
        };
        let cheapest = (0..rounds).map(|_| round()).min().unwrap_or_default();
        let per_step = cheapest.as_secs_f64() * 1e9 / (read as f64 * 241.0);
        println!("{:8.2} ms {per_step:8.1} ns  {bits:016x}  {text}", cheapest.as_secs_f64() * 1e3);
    }
}
