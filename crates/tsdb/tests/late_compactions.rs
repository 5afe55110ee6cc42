//! Blocks of late samples that are compacted with blocks in order, while the head holds samples of the same time.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::path::Path;
use std::sync::Arc;

use engine_support::{Samples, env, labels, options, read, tenant, write};
use thanoxide_env::SimDisk;
use thanoxide_model::Labels;
use thanoxide_tsdb::engine::{Engine, EngineOptions};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Blocks of six hours begin here.
const START_MS: i64 = 33 * 6 * HOUR_MS;

fn minutes(from: i64, count: i64, seconds: i64) -> Vec<(Labels, Vec<(i64, f64)>)> {
    let time_ms = |i: i64| START_MS + (from + i) * MINUTE_MS + seconds * 1000;
    vec![(labels(0), (0..count).map(|i| (time_ms(i), i as f64)).collect())]
}

fn open(disk: &SimDisk) -> Engine {
    let options = EngineOptions { out_of_order_window_ms: 12 * HOUR_MS, ..options() };
    Engine::open(Path::new("/data"), options, env(Arc::new(disk.clone()))).unwrap()
}

/// The last of three blocks that fill a range is one of late samples, and the samples in order of its time are in the head.
#[test]
fn the_next_head_begins_where_blocks_in_order_end() {
    let (disk, mut model) = (SimDisk::default(), Samples::new());
    let engine = open(&disk);
    write(&engine, &minutes(0, 7 * 60, 0), &mut model).unwrap();
    write(&engine, &minutes(5 * 60, 10, 30), &mut model).unwrap();
    write(&engine, &minutes(6 * 60 + 30, 10, 30), &mut model).unwrap();
    assert!(engine.maintain(&|_, _| true).failed.is_empty());
    let ends = |engine: &Engine| -> Vec<i64> {
        engine.reader(&tenant()).unwrap().blocks().iter().map(|block| (block.max_time - START_MS) / HOUR_MS).collect()
    };
    assert_eq!(ends(&engine), [2, 4, 6, 8]);
    let compact = |engine: &Engine| {
        engine.compact_tenant(&tenant(), &[2 * HOUR_MS, 6 * HOUR_MS], &|_| true, &|| true).unwrap();
    };
    compact(&engine);
    assert_eq!(read(&engine), model);
    drop(engine);
    let engine = open(&disk);
    assert_eq!(read(&engine), model, "after a restart");
    // Once the head is cut they are compacted.
    write(&engine, &minutes(8 * 60, 2 * 60, 0), &mut model).unwrap();
    assert!(engine.maintain(&|_, _| true).failed.is_empty());
    compact(&engine);
    assert_eq!(ends(&engine), [6, 8]);
    drop(engine);
    assert_eq!(read(&open(&disk)), model);
}
