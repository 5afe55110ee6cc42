//! Heads become blocks, logs get shorter, and no sample is lost, doubled or forgotten on the way.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine_support::*;
use thanoxide_env::{Env, FaultDisk, ManualClock, SeededRandom, SystemDisk};
use thanoxide_model::{Labels, Verdict};
use thanoxide_tsdb::engine::{Engine, EngineOptions};

const HOUR_MS: i64 = 3_600_000;
const BASE_MS: i64 = 1_000 * 2 * HOUR_MS;

fn keep_all(_: &thanoxide_model::TenantId, _: thanoxide_tsdb::meta::BlockId) -> bool {
    false
}

fn step(series: std::ops::Range<usize>, t: i64) -> Vec<(Labels, Vec<(i64, f64)>)> {
    series.map(|i| (labels(i), vec![(t, (t + i as i64) as f64)])).collect()
}

#[test]
fn ranges_are_cut_once_the_head_is_half_a_range_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut model = Samples::new();
    let start = BASE_MS + 600_000;
    for minute in 0..60 * 7 {
        write(&engine, &step(0..20, start + minute * 60_000), &mut model).unwrap();
        let done = engine.maintain(&keep_all);
        assert!(done.failed.is_empty(), "{:?}", done.failed);
    }
    assert_eq!(read(&engine), model);
    let metas = engine.reader(&tenant()).unwrap().blocks();
    let ranges: Vec<_> = metas.iter().map(|m| (m.min_time - BASE_MS, m.max_time - BASE_MS)).collect();
    // The first block begins with its first sample, all end aligned.
    assert_eq!(ranges, [(600_000, 2 * HOUR_MS), (2 * HOUR_MS, 4 * HOUR_MS), (4 * HOUR_MS, 6 * HOUR_MS)]);
    assert_eq!((metas[0].stats.num_series, metas[0].stats.num_samples), (20, 20 * 110));
    assert_eq!((metas[0].compaction.level, &metas[0].compaction.sources), (1, &vec![metas[0].ulid]));
    // What a block holds is not taken again.
    let late = append(&engine, &batch(&step(30..31, BASE_MS + 6 * HOUR_MS - 1))).unwrap();
    assert_eq!(late.rejected[0].verdict, Verdict::OutOfBounds);
    drop(engine);
    assert_eq!(read(&open(dir.path())), model);
}

/// As stock's receiver with a largest duration above the smallest.
#[test]
fn blocks_may_span_several_ranges_of_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions { block_duration_ms: HOUR_MS / 2, cut_duration_ms: Some(2 * HOUR_MS), ..options() };
    let engine = Engine::open(dir.path(), options.clone(), env(Arc::new(SystemDisk))).unwrap();
    let mut model = Samples::new();
    for minute in 0..60 * 4 {
        write(&engine, &step(0..5, BASE_MS + minute * 60_000), &mut model).unwrap();
        assert!(engine.maintain(&keep_all).failed.is_empty());
    }
    let metas = engine.reader(&tenant()).unwrap().blocks();
    let ranges: Vec<_> = metas.iter().map(|m| (m.min_time - BASE_MS, m.max_time - BASE_MS)).collect();
    assert_eq!(ranges, [(0, 2 * HOUR_MS)]);
    // A chunk ends with its half hour.
    assert_eq!((metas[0].stats.num_samples, metas[0].stats.num_chunks), (5 * 120, 5 * 4));
    // So old a sample was never taken: half a smallest block, not half a largest.
    let late = append(&engine, &batch(&step(9..10, BASE_MS + 4 * HOUR_MS - 20 * 60_000))).unwrap();
    assert_eq!(late.rejected[0].verdict, Verdict::OutOfBounds);
    assert_eq!(read(&engine), model);
    drop(engine);
    let bad = EngineOptions { cut_duration_ms: Some(45 * 60_000), ..options };
    assert!(Engine::open(dir.path(), bad, env(Arc::new(SystemDisk))).is_err());
}

#[test]
fn series_that_ended_are_forgotten_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut model = Samples::new();
    write(&engine, &step(0..500, BASE_MS), &mut model).unwrap();
    write(&engine, &step(0..10, BASE_MS + 4 * HOUR_MS), &mut model).unwrap();
    engine.maintain(&keep_all);
    let stats = engine.reader(&tenant()).unwrap().stats();
    assert_eq!((stats.series, stats.chunks, stats.blocks), (10, 10, 1));
    assert_eq!(stats.times_ms, Some((BASE_MS, BASE_MS + 4 * HOUR_MS)));
    write(&engine, &step(400..420, BASE_MS + 4 * HOUR_MS + 1), &mut model).unwrap();
    assert_eq!(read(&engine), model);
    let values = engine.reader(&tenant()).unwrap().label_values(b"i", &[], BASE_MS + 3 * HOUR_MS, i64::MAX).unwrap();
    assert_eq!(values.len(), 30);
    drop(engine);
    assert_eq!(read(&open(dir.path())), model);
}

#[test]
fn the_log_stays_short() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path());
    let mut model = Samples::new();
    let mut largest = 0;
    for step_number in 0..400 {
        let t = BASE_MS + step_number * 10 * 60_000;
        // Some series stay, some come and go.
        let first = 100 + step_number as usize * 5;
        write(&engine, &step(0..30, t), &mut model).unwrap();
        write(&engine, &step(first..first + 5, t), &mut model).unwrap();
        let failed = engine.maintain(&keep_all).failed;
        assert!(failed.is_empty(), "{failed:?}");
        largest = largest.max(engine.reader(&tenant()).unwrap().log_bytes().unwrap());
        if step_number % 100 == 99 {
            drop(engine);
            engine = open(dir.path());
            assert_eq!(read(&engine), model, "after step {step_number}");
        }
    }
    assert!(largest < 400 * 1024, "{largest}");
}

#[test]
fn readers_miss_and_double_nothing_during_cuts() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for minute in 0..60 * 12 {
                append(&engine, &batch(&step(0..20, BASE_MS + minute * 60_000))).unwrap();
                engine.maintain(&keep_all);
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            // `read` finds doubles itself.
            for samples in read(&engine).values() {
                let times: Vec<_> = samples.keys().collect();
                assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 60_000));
                assert_eq!(times.first().copied(), Some(&BASE_MS));
            }
        }
    });
    assert_eq!(engine.reader(&tenant()).unwrap().stats().blocks, 5);
}

#[test]
fn an_idle_head_is_cut_when_its_time_has_passed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(BASE_MS));
    let env = Env {
        clock: Arc::<ManualClock>::clone(&clock),
        disk: Arc::new(SystemDisk),
        random: Arc::new(SeededRandom::new(1)),
    };
    let engine = Engine::open(dir.path(), options(), env).unwrap();
    let mut model = Samples::new();
    write(&engine, &step(0..5, BASE_MS + 1), &mut model).unwrap();
    clock.advance(Duration::from_millis(2 * HOUR_MS as u64));
    assert!(engine.maintain(&keep_all).cut.is_empty());
    clock.advance(Duration::from_millis(HOUR_MS as u64));
    assert_eq!(engine.maintain(&keep_all).cut.len(), 1);
    assert_eq!(engine.reader(&tenant()).unwrap().stats().series, 0);
    assert_eq!(read(&engine), model);
}

#[test]
fn a_flush_leaves_nothing_in_the_head() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut model = Samples::new();
    for minute in 0..150 {
        write(&engine, &step(0..5, BASE_MS + HOUR_MS + minute * 60_000), &mut model).unwrap();
    }
    assert_eq!(engine.flush_tenant(&tenant()).unwrap().len(), 2);
    assert_eq!(engine.reader(&tenant()).unwrap().stats().head_times_ms, None);
    assert_eq!(engine.flush_tenant(&tenant()).unwrap().len(), 0);
    assert_eq!(read(&engine), model);
    // Newer samples go on, in a block of their own.
    write(&engine, &step(0..7, BASE_MS + HOUR_MS + 150 * 60_000), &mut model).unwrap();
    engine.flush_all();
    assert_eq!(read(&engine), model);
    drop(engine);
    assert_eq!(read(&open(dir.path())), model);
}

#[test]
fn blocks_go_once_they_are_old_and_spare() {
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions { retention_ms: Some(6 * HOUR_MS), ..options() };
    let engine = Engine::open(dir.path(), options, env(Arc::new(SystemDisk))).unwrap();
    let mut model = Samples::new();
    for hour in 0..15 {
        write(&engine, &step(0..5, BASE_MS + hour * HOUR_MS), &mut model).unwrap();
    }
    let kept = engine.maintain(&keep_all);
    assert_eq!((kept.cut.len(), kept.removed.len()), (6, 0));
    let first = engine.reader(&tenant()).unwrap().blocks()[0].ulid;
    let removed = engine.maintain(&|_, block| block == first);
    assert_eq!(removed.removed, [(tenant(), first)]);
    assert!(!dir.path().join("tenant-a").join(first.to_string()).exists());
    // Counted from the newest block's end, twelve hours in: what the head holds does not age blocks.
    let gone = engine.maintain(&|_, _| true);
    assert_eq!(gone.removed.len(), 2);
    model.values_mut().for_each(|samples| samples.retain(|t, _| *t >= BASE_MS + 6 * HOUR_MS));
    assert_eq!(read(&engine), model);
}

#[test]
fn a_corrupt_block_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut model = Samples::new();
    write(&engine, &step(0..5, BASE_MS), &mut model).unwrap();
    let bad = engine.flush_tenant(&tenant()).unwrap()[0];
    drop(engine);
    let tenant_dir = dir.path().join("tenant-a");
    std::fs::write(tenant_dir.join(bad.to_string()).join("meta.json"), b"").unwrap();
    std::fs::create_dir(tenant_dir.join(format!("{bad}.tmp-for-creation"))).unwrap();
    let engine = open(dir.path());
    assert!(tenant_dir.join(format!("{bad}.corrupt")).exists());
    assert!(!tenant_dir.join(format!("{bad}.tmp-for-creation")).exists());
    let mut after = Samples::new();
    write(&engine, &step(0..5, BASE_MS + 1), &mut after).unwrap();
}

/// Whatever call fails, once: nothing acknowledged is lost or doubled, neither at once nor after a restart.
#[test]
fn no_failure_loses_an_acknowledged_sample() {
    for fail_at in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new(Arc::new(SystemDisk));
        let Ok(engine) = Engine::open(dir.path(), options(), env(Arc::new(disk.clone()))) else {
            panic!("no fault yet")
        };
        disk.fail_at(disk.calls() + fail_at);
        let mut model = Samples::new();
        let before = disk.calls();
        for t in 0..8 {
            let padding = 200 * (t as usize + 1);
            let samples = step(padding..padding + 200, BASE_MS + t * HOUR_MS);
            // A sender sends again what was not acknowledged.
            if write(&engine, &samples, &mut model).is_err() {
                write(&engine, &samples, &mut model).unwrap();
            }
            engine.maintain(&keep_all);
            assert_eq!(read(&engine), model, "call {fail_at}");
        }
        engine.flush_all();
        let calls = disk.calls() - before;
        assert_eq!(read(&engine), model, "call {fail_at}");
        drop(engine);
        disk.fail_at(0);
        let engine = Engine::open(dir.path(), options(), env(Arc::new(disk))).unwrap();
        assert_eq!(read(&engine), model, "call {fail_at}, after a restart");
        if calls < fail_at {
            return;
        }
    }
}

/// A crash may come after any call: here everything after the n-th fails, and a new engine takes over.
#[test]
fn no_crash_loses_an_acknowledged_sample() {
    for crash_at in (1..).step_by(3) {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new(Arc::new(SystemDisk));
        let engine = Engine::open(dir.path(), options(), env(Arc::new(disk.clone()))).unwrap();
        let start = disk.calls();
        let mut model = Samples::new();
        let mut crashed = false;
        for t in 0..8 {
            let first = 200 * (t as usize + 1);
            if disk.calls() - start >= crash_at {
                disk.set_full(true);
                crashed = true;
            }
            let _ = write(&engine, &step(first..first + 200, BASE_MS + t * HOUR_MS), &mut model);
            if disk.calls() - start >= crash_at {
                disk.set_full(true);
                crashed = true;
            }
            engine.maintain(&keep_all);
        }
        drop(engine);
        assert!(contains(&read(&open(dir.path())), &model), "crash at {crash_at}");
        if !crashed {
            return;
        }
    }
}
