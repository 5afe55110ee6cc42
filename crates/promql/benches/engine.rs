//! Range queries over series in memory: 3000 series, 720 samples 30 s apart, 2 h at a step of 30 s.
#![allow(missing_docs)]

#[path = "../tests/support/memory.rs"]
mod memory;

use memory::Memory;
use thanoxide_model::Labels;
use thanoxide_model::series::Columns;
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::{Engine, Query, QueryOptions};

fn main() {
    divan::main();
}

const PODS: usize = 1000;

fn data() -> Memory {
    let series = (0..PODS).flat_map(|pod| (0..3).map(move |container| (pod, container)));
    Memory::new(series.flat_map(|(pod, container)| {
        ["http_requests_total", "http_responses_total"].map(|name| {
            let (pod, container) = (format!("pod-{pod}"), format!("container-{container}"));
            let labels = Labels::from_pairs([("__name__", name), ("pod", &pod), ("container", &container)]);
            let mut columns = Columns::default();
            for k in 0..720 {
                columns.push(k * 30_000, (k * 17 % 1000 + k * 10) as f64);
            }
            (labels, columns)
        })
    }))
}

#[divan::bench(args = [
    "http_requests_total",
    "rate(http_requests_total[1m])",
    "sum(http_requests_total)",
    "sum(rate(http_requests_total[1m]))",
    "sum by (pod) (rate(http_requests_total[5m]))",
    "topk(5, http_requests_total)",
    "sum by (pod) (http_requests_total) / sum by (pod) (http_responses_total)",
    "avg_over_time(http_requests_total[10m])",
    "max_over_time(http_requests_total[10m])",
], sample_count = 10)]
fn range_query(bencher: divan::Bencher<'_, '_>, text: &str) {
    let source = data();
    let expr = parse(text, &ParseOptions::default()).expect("the queries above are valid");
    let engine = Engine::default();
    let (start_ms, end_ms) = (7_200_000, 14_400_000);
    bencher.bench(|| {
        engine
            .range(&source, Query { text, expr: &expr }, start_ms, end_ms, 30_000, &QueryOptions::default())
            .expect("the queries above have answers")
    });
}
