//! What the disk does not give at the moment is left out and named; the rest serves, and nothing of it is lost.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::path::Path;
use std::sync::Arc;

use engine_support::{Samples, append, batch, env, labels, options, read, tenant, write};
use thanoxide_env::{FaultDisk, SystemDisk};
use thanoxide_model::{Labels, TenantId};
use thanoxide_tsdb::engine::{AppendOptions, Engine};

const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_000 * 2 * HOUR_MS;

fn minutes(series: std::ops::Range<usize>, from: i64, count: i64) -> Vec<(Labels, Vec<(i64, f64)>)> {
    let samples = |s: usize| (from..from + count).map(move |i| (START_MS + i * 60_000, (s as i64 + i * i) as f64));
    series.map(|s| (labels(s), samples(s).collect())).collect()
}

fn open_on(disk: &FaultDisk, dir: &Path) -> Engine {
    Engine::open(dir, options(), env(Arc::new(disk.clone()))).unwrap()
}

fn write_other(engine: &Engine, from: i64, count: i64) {
    let other = TenantId::new("tenant-b").unwrap();
    let appended = engine.append(&other, &batch(&minutes(0..5, from, count)), AppendOptions::default()).unwrap();
    appended.ticket.wait().unwrap();
}

fn names(dir: &Path, prefix: &str) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    entries.filter(|name| name.to_string_lossy().starts_with(prefix)).count()
}

#[test]
fn a_tenant_that_cannot_be_read_holds_up_no_other_and_comes_back_whole() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultDisk::new(Arc::new(SystemDisk)));
    let mut model = Samples::new();
    let engine = open_on(&disk, dir.path());
    // Some of it is in a snapshot and in chunk files, some in the log only.
    write(&engine, &minutes(0..30, 0, 70), &mut model).unwrap();
    write(&engine, &minutes(0..30, 70, 70), &mut model).unwrap();
    engine.snapshot().unwrap();
    write(&engine, &minutes(10..40, 140, 20), &mut model).unwrap();
    write_other(&engine, 0, 10);
    drop(engine);
    disk.hide(Some(&dir.path().join(tenant().as_str())));
    // Twice, and log and snapshot are given up meanwhile.
    for start in 0..2 {
        let engine = open_on(&disk, dir.path());
        assert_eq!(engine.quarantined().len(), 1);
        assert_eq!(engine.quarantined()[0].0, tenant());
        assert_eq!(engine.tenants(), [TenantId::new("tenant-b").unwrap()]);
        let refused = append(&engine, &batch(&minutes(0..1, 200, 1))).unwrap_err();
        assert!(refused.is_retryable(), "{refused}");
        for i in 0..3 {
            write_other(&engine, 10 + start * 30 + i * 10, 10);
            engine.snapshot().unwrap();
            engine.maintain(&|_, _| true);
        }
        assert_eq!(names(dir.path(), "quarantine-"), 1);
    }
    let engine = open_on(&disk, dir.path());
    disk.hide(None);
    // The next write opens it.
    write(&engine, &minutes(0..40, 160, 10), &mut model).unwrap();
    assert!(engine.quarantined().is_empty());
    assert_eq!(read(&engine), model);
    assert_eq!(names(dir.path(), "quarantine-"), 0);
    write(&engine, &minutes(0..40, 170, 10), &mut model).unwrap();
    drop(engine);
    let engine = open_on(&disk, dir.path());
    assert_eq!(read(&engine), model);
    assert_eq!(engine.reader(&TenantId::new("tenant-b").unwrap()).unwrap().stats().series, 5);
}

#[test]
fn a_tenant_that_can_be_read_again_is_opened_by_maintenance_or_by_the_next_start() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultDisk::new(Arc::new(SystemDisk)));
    let mut model = Samples::new();
    write(&open_on(&disk, dir.path()), &minutes(0..10, 0, 50), &mut model).unwrap();
    let place = dir.path().join(tenant().as_str()).join("generation");
    disk.hide(Some(&place));
    let engine = open_on(&disk, dir.path());
    assert_eq!(engine.quarantined().len(), 1);
    disk.hide(None);
    engine.maintain(&|_, _| true);
    assert_eq!(read(&engine), model);
    drop(engine);
    disk.hide(Some(&place));
    let engine = open_on(&disk, dir.path());
    engine.snapshot().unwrap();
    drop(engine);
    disk.hide(None);
    assert_eq!(read(&open_on(&disk, dir.path())), model);
    assert_eq!(names(dir.path(), "quarantine-"), 0);
}

#[test]
fn a_block_that_cannot_be_read_is_left_out_until_it_can() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultDisk::new(Arc::new(SystemDisk)));
    let mut model = Samples::new();
    let engine = open_on(&disk, dir.path());
    for hour in 0..7 {
        write(&engine, &minutes(0..10, hour * 60, 60), &mut model).unwrap();
    }
    assert!(engine.maintain(&|_, _| true).failed.is_empty());
    let blocks = engine.reader(&tenant()).unwrap().blocks();
    assert!(blocks.len() > 1);
    drop(engine);
    let block = dir.path().join(tenant().as_str()).join(blocks[0].ulid.to_string());
    disk.hide(Some(&block.join("index")));
    let engine = open_on(&disk, dir.path());
    let stats = engine.reader(&tenant()).unwrap().stats();
    assert_eq!((stats.unread_blocks, stats.blocks), (1, blocks.len() - 1));
    let mut rest = model.clone();
    rest.values_mut().for_each(|samples| samples.retain(|t, _| *t >= blocks[0].max_time));
    assert_eq!(read(&engine), rest);
    disk.hide(None);
    engine.maintain(&|_, _| true);
    assert_eq!(read(&engine), model);
    assert_eq!(engine.reader(&tenant()).unwrap().stats().unread_blocks, 0);
    drop(engine);
    // One that is damaged is set aside for good, and named.
    std::fs::write(block.join("index"), b"nothing").unwrap();
    let engine = open_on(&disk, dir.path());
    assert_eq!(engine.reader(&tenant()).unwrap().stats().corrupt_blocks, 1);
    assert_eq!(read(&engine), rest);
}
