//! A slice of the long run `promql-round-trip`: what is printed reads back. The seed is printed.

#![allow(clippy::unwrap_used)]

#[path = "support/dice.rs"]
mod dice;
#[path = "support/grammar.rs"]
mod grammar;
#[path = "support/round_trip.rs"]
mod round_trip;
#[path = "support/syntax.rs"]
mod syntax;

#[test]
fn what_is_printed_reads_back() {
    let queries = 5_000;
    assert!(round_trip::run(queries) * 5 < queries, "too many are no queries");
}
