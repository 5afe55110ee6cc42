//! A slice of the long run `promql-differential`: random queries beside Prometheus's own engine. The seed is printed;
//! `THANOXIDE_SEED` repeats it.

#![allow(clippy::unwrap_used)]

#[path = "support/dataset.rs"]
mod dataset;
#[path = "support/dice.rs"]
mod dice;
#[path = "support/differential.rs"]
mod differential;
#[allow(dead_code, reason = "the series are read here, answers of the HTTP API are not")]
#[path = "support/golden.rs"]
mod golden;
#[path = "support/grammar.rs"]
mod grammar;
#[path = "support/memory.rs"]
mod memory;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/rules.rs"]
mod rules;

use std::time::{Duration, Instant};

use differential::End;

/// Always the same questions, so that a change is judged by what it changed; the long run asks new ones.
const SEED: u64 = 20261127;
/// In CI.
const LONG: (usize, Duration) = (150_000, Duration::from_secs(180));
/// Elsewhere.
const SHORT: (usize, Duration) = (20_000, Duration::from_secs(60));

#[test]
fn random_queries_are_answered_as_prometheus_answers_them() {
    let (queries, time) = if std::env::var_os("CI").is_some() { LONG } else { SHORT };
    let end = End { queries, time: Some(Instant::now() + time) };
    assert!(differential::run(dice::seed(Some(SEED)), end), "answers differ, or too few queries give data");
}
