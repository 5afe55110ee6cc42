//! A start of a head with so many series that samples are applied page by page.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::collections::BTreeSet;

use engine_support::{append, batch, labels, open, tenant};
use thanoxide_tsdb::chunk::sample_count;
use thanoxide_tsdb::engine::{Engine, SelectedSeries};

const SERIES: usize = 17_000;

fn all(engine: &Engine) -> Vec<SelectedSeries> {
    engine.reader(&tenant()).unwrap().select(&[], i64::MIN, i64::MAX).unwrap()
}

/// A sample of each series; every hundredth series is late by one step, and so are its times.
fn sweep(engine: &Engine, step: i64) {
    sweep_each(engine, step, 15_000, |i| (step * 3 + i as i64) as f64);
}

fn sweep_each(engine: &Engine, step: i64, step_ms: i64, value: impl Fn(usize) -> f64) {
    let time_ms = |i: usize| step * step_ms - if i.is_multiple_of(100) { step_ms } else { 0 } + i as i64 * step % 7;
    let series: Vec<_> = (0..SERIES).map(|i| (labels(i), vec![(time_ms(i), value(i))])).collect();
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

/// Chunks end where they end in appends: with their range, when they are full by their bytes, and where that was foreseen.
#[test]
fn chunks_of_a_large_head_end_in_a_start_as_they_do_in_appends() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    // Of every third series 120 values take more bytes than a chunk may have.
    let bits = |step: i64, i: usize| (step as u64 * 17_000 + i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
    let wide = |step| move |i: usize| if i.is_multiple_of(3) { f64::from_bits(bits(step, i)) } else { 1.0 };
    (1..150).for_each(|step| sweep_each(&engine, step, 15_000, wide(step)));
    // Behind these steps of half an hour.
    (1..12).for_each(|step| sweep_each(&engine, step + 2, 1_800_000, wide(step)));
    let before = all(&engine);
    let first: BTreeSet<usize> = before.iter().map(|series| sample_count(&series.chunks[0])).collect();
    assert!(before.iter().all(|series| series.chunks.len() > 4) && first.len() > 2, "{first:?}");
    drop(engine);
    let engine = open(dir.path());
    assert!(all(&engine) == before);
}
