//! A start of a head with so many series that samples are applied page by page.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use engine_support::{append, batch, labels, open, tenant};
use thanoxide_tsdb::engine::{Engine, SelectedSeries};

const SERIES: usize = 17_000;

fn all(engine: &Engine) -> Vec<SelectedSeries> {
    engine.reader(&tenant()).unwrap().select(&[], i64::MIN, i64::MAX).unwrap()
}

/// A sample of each series; every hundredth series is late by one step, and so are its times.
fn sweep(engine: &Engine, step: i64) {
    let time_ms = |i: usize| step * 15_000 - if i.is_multiple_of(100) { 15_000 } else { 0 } + (i % 7) as i64;
    let series: Vec<_> = (0..SERIES).map(|i| (labels(i), vec![(time_ms(i), (step * 3 + i as i64) as f64)])).collect();
    let appended = append(engine, &batch(&series)).unwrap();
    assert!(appended.rejected.is_empty());
    appended.ticket.wait().unwrap();
}

#[test]
fn a_large_head_is_the_same_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    (1..6).for_each(|step| sweep(&engine, step));
    let before = all(&engine);
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(engine.open_report().counts.samples, 5 * SERIES as u64);
    assert!(all(&engine) == before);
    // What a snapshot has is not taken again from the log behind it.
    engine.snapshot().unwrap();
    (6..9).for_each(|step| sweep(&engine, step));
    let before = all(&engine);
    drop(engine);
    let engine = open(dir.path());
    let counts = engine.open_report().counts;
    assert_eq!((counts.series, counts.samples, counts.known), (SERIES as u64, 3 * SERIES as u64, 0));
    assert!(all(&engine) == before);
}
