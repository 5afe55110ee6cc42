//! Series come and go; the memory of those that went comes back.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use engine_support::{append, batch, open, tenant};
use thanoxide_model::Labels;
use thanoxide_tsdb::engine::Engine;

const HOUR_MS: i64 = 3_600_000;
const SERIES: usize = 6_000;

fn labels(generation: usize, i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("metric_{}", i % 37)),
        ("job", format!("job-{}", i % 13)),
        ("pod", format!("pod-{generation}-{i:05}")),
    ])
}

/// Twelve samples of each of some series, ten minutes apart.
fn fill(engine: &Engine, series: &[Labels], from_ms: i64) {
    for step in 0..12 {
        let samples = series.iter().map(|labels| (labels.clone(), vec![(from_ms + step * HOUR_MS / 6, step as f64)]));
        assert!(append(engine, &batch(&samples.collect::<Vec<_>>())).unwrap().rejected.is_empty());
    }
}

#[test]
fn memory_is_as_before_after_generations_of_series() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let memory = || engine.reader(&tenant()).unwrap().memory();
    // A twentieth of the series stays all the time.
    let staying: Vec<Labels> = (0..SERIES).step_by(20).map(|i| labels(9, i)).collect();
    let mut first = None;
    for generation in 0..4 {
        let from_ms = generation as i64 * 4 * HOUR_MS;
        let passing = (0..SERIES).map(|i| labels(generation, i));
        fill(&engine, &staying.iter().cloned().chain(passing).collect::<Vec<_>>(), from_ms);
        let full = memory();
        fill(&engine, &staying, from_ms + 2 * HOUR_MS);
        assert!(!engine.maintain(&|_, _| true).cut.is_empty());
        let left = memory();
        assert_eq!(engine.reader(&tenant()).unwrap().stats().series, SERIES / 20);
        assert!(left.total() * 3 < full.total(), "{left:?} of {full:?}");
        let first = *first.get_or_insert(left);
        assert!(left.total() * 10 <= first.total() * 11, "{left:?} after {first:?}");
    }
}
