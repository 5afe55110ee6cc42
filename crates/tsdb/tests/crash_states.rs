//! Whatever a crash leaves: the engine starts, has all that was acknowledged and nothing else.
//!
//! A slice of all states is looked at here; `tests/long crash-states` looks at more, by `THANOXIDE_CRASH_STATES`, the
//! number of random states at each moment.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/crash.rs"]
mod crash;
#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/stock.rs"]
mod stock;

use std::path::Path;

use crash::{Batch, HOUR_MS, Life, ROOT};
use engine_support::{Samples, labels};
use stock::stock_head;
use thanoxide_env::{Disk, SimDisk};

fn random_choices() -> usize {
    std::env::var("THANOXIDE_CRASH_STATES").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// Done again at each start, although an earlier one did it; and after each of several blocks.
const NOT_NEEDED: [&str; 1] = ["sync of names /data/tenant-a"];

const START_MS: i64 = 100 * 2 * HOUR_MS;

/// Samples of `series` from `from_min` on, one each minute.
fn minutes(series: std::ops::Range<usize>, from_min: i64, count: i64) -> Batch {
    let samples = |s: usize| (0..count).map(move |i| (START_MS + (from_min + i) * 60_000, (s as i64 + i * i) as f64));
    series.map(|s| (labels(s), samples(s).collect())).collect()
}

/// Appends, with a new series now and then, over restarts.
fn appends(disk: SimDisk) -> Result<Life, String> {
    let mut life = Life::begin(disk, "append", Samples::new())?;
    for i in 0..24 {
        if i == 23 {
            life.settle();
        }
        life.write(&minutes(0..3 + i as usize / 4, i * 4, 4))?;
        if i % 8 == 7 {
            life.open()?;
        }
    }
    Ok(life)
}

/// Appends until blocks are cut, again and again, and the log is shortened.
fn cuts(disk: SimDisk) -> Result<Life, String> {
    let mut life = Life::begin(disk, "append", Samples::new())?;
    for i in 0..12 {
        if i == 8 {
            life.settle();
        }
        life.phase("append");
        // Each time some series end and others begin.
        life.write(&minutes(i as usize..i as usize + 4, i * 60, 30))?;
        life.write(&minutes(i as usize..i as usize + 4, i * 60 + 30, 30))?;
        life.phase("cut");
        let done = life.engine().maintain(&|_, _| true);
        if let Some((_, error)) = done.failed.first() {
            return Err(format!("cut: {error}"));
        }
    }
    life.phase("append");
    life.write(&minutes(20..22, 12 * 60, 30))?;
    Ok(life)
}

/// Takes over what a stock program left, and goes on.
fn takes_over(disk: SimDisk, seed: u64) -> Result<Life, String> {
    let known = stock_head(&disk, &Path::new(ROOT).join("tenant-a"), START_MS, 60 + 10 * seed as i64, seed);
    let mut life = Life::begin(disk.clone(), "take-over", known)?;
    life.write(&minutes(0..3, 300, 2))?;
    let left = |name: &str| disk.exists(&Path::new(ROOT).join("tenant-a").join(name)).unwrap();
    if left("wal") || left("wbl") || left("chunks_head") {
        return Err("the stock files were not put aside".to_string());
    }
    // What was put aside goes.
    life.open()?;
    if left("wbl.taken-over") || left("chunks_head.taken-over") {
        return Err("what was put aside is left".to_string());
    }
    life.settle();
    life.write(&minutes(0..3, 310, 2))?;
    Ok(life)
}

fn report(name: &str, life: Life) {
    let counts = life.check(random_choices(), 16).unwrap_or_else(|e| panic!("{name}: {e}"));
    println!("{name}: {counts:?}");
}

#[test]
fn of_appends() {
    report("appends", appends(SimDisk::default()).unwrap());
}

#[test]
fn of_cuts() {
    report("cuts", cuts(SimDisk::default()).unwrap());
}

#[test]
fn of_take_overs() {
    for seed in 0..6 {
        report("take-overs", takes_over(SimDisk::default(), seed).unwrap());
    }
}

/// A failed sync drops what it should have written; the engine must not believe a later one.
#[test]
fn of_failed_syncs() {
    let calls = {
        let disk = SimDisk::default();
        drop(appends(disk.clone()).unwrap());
        disk.data_syncs()
    };
    let mut states = 0;
    for call in 1..=calls {
        let disk = SimDisk::default();
        disk.fail_sync(call);
        let life = appends(disk).unwrap();
        let counts = life.check(0, 0).unwrap_or_else(|e| panic!("sync {call} of {calls} failed: {e}"));
        states += counts.values().sum::<usize>();
    }
    println!("{calls} failed syncs: {states} states");
}

type Story = dyn Fn(SimDisk) -> Result<Life, String>;

/// The test of the test: without any one of its syncs and renames the engine loses something, or is not there at all.
/// What comes last in a life, nothing relies on yet.
#[test]
fn every_sync_and_rename_is_needed() {
    let takes_over = |disk| takes_over(disk, 1);
    let lives: [(&str, &Story); 3] = [("appends", &appends), ("cuts", &cuts), ("take-overs", &takes_over)];
    for (name, run) in lives {
        let whole = run(SimDisk::default()).unwrap();
        let spared = |call: u64| {
            let disk = SimDisk::default();
            disk.skip(call);
            run(disk.clone()).and_then(|life| life.check(0, 0)).ok()?;
            disk.skipped_call()
        };
        let spared: Vec<String> = (whole.first_call..=whole.settled_calls).filter_map(spared).collect();
        let calls = whole.settled_calls + 1 - whole.first_call;
        println!("{name}: {calls} syncs and renames, not needed: {spared:?}");
        assert!(spared.iter().all(|call| NOT_NEEDED.contains(&call.as_str())), "{name}: {spared:#?}");
    }
}
