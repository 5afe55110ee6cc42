//! Samples out of order: taken in a window, read with the others, cut into blocks of their own; and deletions among them.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::path::Path;
use std::sync::Arc;

use engine_support::*;
use thanoxide_env::SystemDisk;
use thanoxide_model::{Labels, Matcher, Verdict};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions, OutOfOrder};
use thanoxide_tsdb::meta::HINT_FROM_OUT_OF_ORDER;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const BASE_MS: i64 = 1_000 * 2 * HOUR_MS;

fn open_with_window(dir: &Path, window_ms: i64) -> Engine {
    let options = EngineOptions { out_of_order_window_ms: window_ms, ..options() };
    Engine::open(dir, options, env(Arc::new(SystemDisk))).unwrap()
}

fn minutes(series: usize, minutes: impl Iterator<Item = i64>) -> Vec<(Labels, Vec<(i64, f64)>)> {
    vec![(labels(series), minutes.map(|m| (BASE_MS + m * MINUTE_MS, m as f64)).collect())]
}

/// What is said to one sample.
fn verdict(engine: &Engine, series: usize, minute: i64, out_of_order: OutOfOrder) -> Option<Verdict> {
    let options = AppendOptions { out_of_order, ..AppendOptions::default() };
    let appended = engine.append(&tenant(), &batch(&minutes(series, minute..=minute)), options).unwrap();
    appended.ticket.wait().unwrap();
    appended.rejected.first().map(|rejected| rejected.verdict)
}

#[test]
fn each_write_says_what_becomes_of_late_samples() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open_with_window(dir.path(), 30 * MINUTE_MS);
    write(&engine, &minutes(0, 0..=100), &mut Samples::new()).unwrap();
    let half = OutOfOrder::Window { window_ms: 15 * MINUTE_MS };
    let none = OutOfOrder::Window { window_ms: 0 };
    for (minute, out_of_order, expected) in [
        (70, OutOfOrder::AsSet, None),
        (69, OutOfOrder::AsSet, Some(Verdict::TooOld)),
        (85, half, None),
        (84, half, Some(Verdict::TooOld)),
        (99, none, Some(Verdict::OutOfOrder)),
        (30, none, Some(Verdict::OutOfBounds)),
        (99, OutOfOrder::Refuse, Some(Verdict::OutOfOrder)),
        (60, OutOfOrder::Refuse, Some(Verdict::TooOld)),
        (101, OutOfOrder::Refuse, None),
        (-1_000_000, OutOfOrder::CatchUp, None),
    ] {
        assert_eq!(verdict(&engine, 0, minute, out_of_order), expected, "{minute} {out_of_order:?}");
    }
    // A series that has nothing yet takes what is too old for the head to take in order.
    assert_eq!(verdict(&engine, 1, 72, OutOfOrder::AsSet), None);
    assert_eq!(read(&engine)[&labels(1)].len(), 1);
}

#[test]
fn a_replica_catches_up_without_a_window() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Samples::new();
    let engine = open(dir.path());
    write(&engine, &minutes(0, 600..660), &mut model).unwrap();
    for hour in (0..10).rev() {
        let missed = minutes(0, hour * 60..hour * 60 + 60);
        let options = AppendOptions { out_of_order: OutOfOrder::CatchUp, ..AppendOptions::default() };
        let appended = engine.append(&tenant(), &batch(&missed), options).unwrap();
        appended.ticket.wait().unwrap();
        assert!(appended.rejected.is_empty());
        model.get_mut(&labels(0)).unwrap().extend(missed[0].1.iter().map(|(t, v)| (*t, v.to_bits())));
    }
    assert_eq!(read(&engine), model);
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(read(&engine), model);
    engine.flush_tenant(&tenant()).unwrap();
    let metas = engine.reader(&tenant()).unwrap().blocks();
    let late = metas.iter().filter(|meta| meta.compaction.hints.iter().any(|hint| hint == HINT_FROM_OUT_OF_ORDER));
    let starts: Vec<i64> = late.map(|meta| (meta.min_time - BASE_MS) / HOUR_MS).collect();
    assert_eq!(starts, [0, 2, 4, 6, 8]);
    assert_eq!(read(&engine), model);
    // With the mark of the cut nothing is in the head any more.
    engine.close().unwrap();
    drop(engine);
    let engine = open(dir.path());
    assert_eq!((read(&engine), engine.reader(&tenant()).unwrap().stats().series), (model, 0));
}

#[test]
fn late_blocks_do_not_move_what_the_head_takes() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Samples::new();
    let engine = open_with_window(dir.path(), 4 * HOUR_MS);
    write(&engine, &minutes(0, (0..190).step_by(2)), &mut model).unwrap();
    write(&engine, &minutes(0, (1..189).step_by(2)), &mut model).unwrap();
    let done = engine.maintain(&|_, _| true);
    assert!(done.failed.is_empty() && done.cut.len() == 3, "{done:?}");
    assert_eq!(read(&engine), model);
    // The last late block reaches beyond the newest sample, and samples in order go on there.
    write(&engine, &minutes(0, 190..200), &mut model).unwrap();
    drop(engine);
    let engine = open_with_window(dir.path(), 4 * HOUR_MS);
    write(&engine, &minutes(0, 200..210), &mut model).unwrap();
    assert_eq!(read(&engine), model);
}

#[test]
fn what_is_deleted_in_the_head_stays_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Samples::new();
    let mut engine = open_with_window(dir.path(), 4 * HOUR_MS);
    for series in 0..3 {
        write(&engine, &minutes(series, (0..100).step_by(2)), &mut model).unwrap();
        write(&engine, &minutes(series, (1..99).step_by(2)), &mut model).unwrap();
    }
    let (from, to) = (BASE_MS + 30 * MINUTE_MS, BASE_MS + 300 * MINUTE_MS);
    let matchers = [Matcher::equal("i", "1")];
    engine.delete(&tenant(), &matchers, from, to).unwrap();
    model.get_mut(&labels(1)).unwrap().retain(|t, _| *t < from);
    assert_eq!(read(&engine), model);
    // A range of which all is deleted has no series.
    assert!(engine.reader(&tenant()).unwrap().select(&matchers, from, to).unwrap().is_empty());
    // What came later than the deletion counts, in order and late.
    write(&engine, &minutes(1, 100..110), &mut model).unwrap();
    write(&engine, &minutes(1, (41..45).step_by(2)), &mut model).unwrap();
    for snapshot in [false, true] {
        if snapshot {
            engine.snapshot().unwrap();
        }
        drop(engine);
        engine = open_with_window(dir.path(), 4 * HOUR_MS);
        assert_eq!(read(&engine), model, "snapshot: {snapshot}");
    }
    engine.flush_tenant(&tenant()).unwrap();
    assert_eq!(read(&engine), model);
    let metas = engine.reader(&tenant()).unwrap().blocks();
    let samples: u64 = metas.iter().map(|meta| meta.stats.num_samples).sum();
    assert_eq!(samples, model.values().map(|samples| samples.len() as u64).sum::<u64>());
    drop(engine);
    assert_eq!(read(&open(dir.path())), model);
}
