//! A million random expressions through parser and printer: `tests/long promql-round-trip`. `THANOXIDE_SEED` repeats a run,
//! `THANOXIDE_ROUND_TRIPS` says how many.

#![allow(clippy::unwrap_used)]

#[path = "../tests/support/dice.rs"]
mod dice;
#[path = "../tests/support/grammar.rs"]
mod grammar;
#[path = "../tests/support/round_trip.rs"]
mod round_trip;
#[path = "../tests/support/syntax.rs"]
mod syntax;

fn main() {
    let queries = std::env::var("THANOXIDE_ROUND_TRIPS").map_or(1_100_000, |queries| queries.parse().unwrap());
    let refused = round_trip::run(queries);
    assert!(refused * 5 < queries, "too many are no queries");
}
