//! The seeds of the fuzz targets, through the checks of the fuzz targets.

#![allow(clippy::unwrap_used)]

#[path = "../../../fuzz/checks/promql.rs"]
mod promql;
#[path = "../../../fuzz/checks/regexp.rs"]
mod regexp;

use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(seeds).unwrap() {
        check(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 10, "{count} seeds of {target}");
}

#[test]
fn seeds_are_survived() {
    replay("promql_parse", promql::parse);
    replay("promql_print", promql::print);
    replay("promql_eval", promql::eval);
    replay("regexp", regexp::agree);
}
