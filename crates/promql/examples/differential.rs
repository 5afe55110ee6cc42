//! Random queries over random data: ours beside Prometheus's own engine.
//!
//! `tests/long promql-differential` runs it, for `THANOXIDE_DIFF_QUERIES` queries. `THANOXIDE_SEED` repeats a run.

#![allow(clippy::unwrap_used)]

#[path = "../tests/support/dataset.rs"]
mod dataset;
#[path = "../tests/support/dice.rs"]
mod dice;
#[path = "../tests/support/differential.rs"]
mod differential;
#[allow(dead_code, reason = "the series are read here, answers of the HTTP API are not")]
#[path = "../tests/support/golden.rs"]
mod golden;
#[path = "../tests/support/grammar.rs"]
mod grammar;
#[path = "../tests/support/memory.rs"]
mod memory;
#[path = "../tests/support/oracle.rs"]
mod oracle;
#[path = "../tests/support/rules.rs"]
mod rules;

use differential::End;

fn main() {
    let queries = std::env::var("THANOXIDE_DIFF_QUERIES").map_or(200_000, |queries| queries.parse().unwrap());
    assert!(
        differential::run(dice::seed(None), End { queries, time: None }),
        "answers differ, or too few queries give data"
    );
}
