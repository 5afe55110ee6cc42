//! Whatever a crash leaves: the engine starts, has all that was acknowledged and nothing else.
//!
//! A slice of all states is looked at here; `tests/long crash-states` looks at more, by `THANOXIDE_CRASH_STATES`, the
//! number of random states at each moment, and `THANOXIDE_CRASH_LIVES`, the number of lives of each kind.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/crash.rs"]
mod crash;
#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/stock.rs"]
mod stock;

use std::collections::BTreeMap;
use std::path::Path;

use crash::{Batch, HANDED_BACK, HOUR_MS, Life, ROOT};
use engine_support::{Samples, labels, tenant};
use stock::{stock_deletes, stock_head};
use thanoxide_env::{Disk, SimDisk};
use thanoxide_model::Matcher;
use thanoxide_tsdb::engine::{EngineError, EngineOptions};

fn random_choices() -> usize {
    std::env::var("THANOXIDE_CRASH_STATES").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// What a life can spare, and why.
fn can_spare(life: &str, call: &str) -> bool {
    match life {
        // After each of several blocks of a cut, or of a take-over, and of the generation just before that of the fence.
        "late samples" | "take-overs" => call == "sync of names /data/tenant-a",
        // The fence where nobody came between, the generation as above; and the name of a chunk file while the stock files
        // from which it was made are still there.
        "hand-backs" => ["sync of names /data/tenant-a", "sync of names /data"].contains(&call),
        // What one compaction makes durable the next one may remove. The name of a block's meta file matters for a count only,
        // and its directory is synced once more behind it; a mark of the log says what the block that was cut says, too; a
        // block that should be gone goes at the next start.
        "compactions" => {
            let removes_block = call.strip_prefix("rename /data/tenant-a/").is_some_and(|name| name.len() == 26);
            let names = call.starts_with("sync of names /data/tenant-a") || call.ends_with("/meta.json.tmp");
            names || removes_block || call.starts_with("sync /data/log-")
        }
        _ => false,
    }
}

const START_MS: i64 = 100 * 2 * HOUR_MS;

/// Samples of `series` from `from_min` on, one each minute.
fn minutes(series: std::ops::Range<usize>, from_min: i64, count: i64) -> Batch {
    let samples = |s: usize| (0..count).map(move |i| (START_MS + (from_min + i) * 60_000, (s as i64 + i * i) as f64));
    series.map(|s| (labels(s), samples(s).collect())).collect()
}

/// What fails because of the disk is tried again, as a program does it. On a disk that is well nothing may fail.
fn again<T>(life: &Life, what: impl Fn() -> Result<T, EngineError>) -> Result<T, EngineError> {
    if life.disk.may_fail() { what().or_else(|_| what()).or_else(|_| what()) } else { what() }
}

/// Appends, with a new series now and then, over restarts.
fn appends(disk: SimDisk, more: usize) -> Result<Life, String> {
    let mut life = Life::begin(disk, "append", Samples::new())?;
    for i in 0..24 {
        if i == 23 {
            life.settle();
        }
        life.write(&minutes(0..3 + i as usize / 4 + more, i * 4, 4))?;
        if i % 8 == 7 {
            life.open()?;
        }
    }
    Ok(life)
}

/// Appends until blocks are cut, again and again, and the log is shortened.
fn cuts(disk: SimDisk, more: usize) -> Result<Life, String> {
    let mut life = Life::begin(disk, "append", Samples::new())?;
    for i in 0..12 {
        if i == 8 {
            life.settle();
        }
        life.phase("append");
        // Each time some series end and others begin.
        life.write(&minutes(i as usize..i as usize + 4 + more, i * 60, 30))?;
        life.write(&minutes(i as usize..i as usize + 4 + more, i * 60 + 30, 30))?;
        life.phase("cut");
        again(&life, || match life.engine().maintain(&|_, _| true).failed.pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        })
        .map_err(|e| format!("cut: {e}"))?;
    }
    life.phase("append");
    life.write(&minutes(20..22 + more, 12 * 60, 30))?;
    Ok(life)
}

/// Takes over what a stock program left, and goes on.
fn takes_over(disk: SimDisk, seed: u64) -> Result<Life, String> {
    let stock = SimDisk::default();
    let known = stock_head(&stock, &Path::new(ROOT).join("tenant-a"), START_MS, 60 + 10 * seed as i64, seed);
    disk.import(&stock, Path::new(ROOT), Path::new(ROOT)).unwrap();
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

/// Compacts blocks, deletes from them and cleans up.
fn compacts(disk: SimDisk, more: usize) -> Result<Life, String> {
    let mut life = Life::begin(disk, "append", Samples::new())?;
    for i in 0..10 {
        life.write(&minutes(i as usize..i as usize + 4 + more, i * 60, 60))?;
        again(&life, || life.engine().maintain(&|_, _| true).failed.pop().map_or(Ok(()), |(_, e)| Err(e)))
            .map_err(|e| format!("cut: {e}"))?;
    }
    let ranges_ms = [2 * HOUR_MS, 6 * HOUR_MS];
    let compact = |life: &Life| {
        let compacted = again(life, || life.engine().compact_tenant(&tenant(), &ranges_ms, &|_| true, &|| true));
        compacted.map(drop).map_err(|e| format!("compaction: {e}"))
    };
    life.phase("compaction");
    compact(&life)?;
    life.phase("delete");
    for series in 2..5 {
        let before_ms = START_MS + 3 * HOUR_MS;
        let name = labels(series);
        life.delete(&name, before_ms, |life| {
            let matchers = [Matcher::equal("i", series.to_string())];
            let deleted = again(life, || life.engine().delete(&tenant(), &matchers, i64::MIN, before_ms - 1));
            deleted.map_err(|e| format!("delete: {e}"))
        })?;
    }
    life.phase("clean-up");
    again(&life, || life.engine().clean_tombstones(&tenant())).map_err(|e| format!("clean-up: {e}"))?;
    life.settle();
    life.phase("append");
    life.write(&minutes(10..14 + more, 600, 60))?;
    life.open()?;
    life.phase("compaction");
    compact(&life)?;
    life.phase("append");
    life.write(&minutes(10..14 + more, 660, 60))?;
    Ok(life)
}

/// Snapshots between appends, each of which gives up the log before it.
fn snapshots(disk: SimDisk, more: usize) -> Result<Life, String> {
    let mut life = Life::begin(disk, "append", Samples::new())?;
    for i in 0..6 {
        life.phase("append");
        // Chunks are full after some of these.
        life.write(&minutes(0..3 + i as usize + more, i * 50, 50))?;
        if i == 4 {
            life.settle();
        }
        life.phase("snapshot");
        again(&life, || life.engine().snapshot()).map_err(|e| format!("snapshot: {e}"))?;
        if i % 3 == 2 {
            life.open()?;
        }
    }
    life.phase("append");
    life.write(&minutes(0..3 + more, 300, 10))?;
    Ok(life)
}

/// Hands back, goes on where nobody came between, and hands back once more.
fn hands_back(disk: SimDisk, more: usize) -> Result<Life, String> {
    let options = EngineOptions { out_of_order_window_ms: 12 * HOUR_MS, ..engine_support::options() };
    let mut life = Life::begin_with(disk, "append", Samples::new(), options)?;
    for i in 0..3 {
        life.phase("append");
        life.write(&minutes(0..4 + more, i * 80, 40))?;
        life.write(&minutes(1..6 + more, i * 80 + 40, 40))?;
        life.write(&late_minutes(4..7, i * 80 + 30, 12))?;
        if i == 2 {
            life.settle();
        }
        life.phase("hand-back");
        again(&life, || life.engine().hand_back()).map_err(|e| format!("hand-back: {e}"))?;
        life.phase(HANDED_BACK);
        life.phase("hand-back");
        if i == 1 {
            // A stock program goes on, deletes and stops; what it deleted must not come back from our own log.
            life.stop();
            let until_ms = START_MS + 100 * 60_000;
            life.delete(&labels(1), until_ms, |life| {
                stock_deletes(&life.disk, &Path::new(ROOT).join("tenant-a"), &labels(1), until_ms)
            })?;
        }
        life.open()?;
        let left = |name: &str| life.disk.exists(&Path::new(ROOT).join("tenant-a").join(name)).unwrap();
        if left("wal") || left("chunks_head") || left("handed-back") {
            return Err("the stock files are left".to_string());
        }
    }
    life.phase("append");
    life.write(&minutes(0..4 + more, 300, 10))?;
    Ok(life)
}

/// Late samples between those in order: logged, in snapshots, cut into blocks of their own.
fn comes_late(disk: SimDisk, more: usize) -> Result<Life, String> {
    let options = EngineOptions { out_of_order_window_ms: 12 * HOUR_MS, ..engine_support::options() };
    let mut life = Life::begin_with(disk, "append", Samples::new(), options)?;
    for i in 0..8 {
        if i == 6 {
            life.settle();
        }
        life.phase("append");
        life.write(&minutes(0..3 + more, i * 60, 60))?;
        life.phase("late");
        // Behind the newest of the same series, and of series that have nothing else.
        life.write(&late_minutes(i as usize % 3..3 + i as usize, i * 60 - 45, 40))?;
        life.phase("late-snapshot");
        if i % 2 == 0 {
            again(&life, || life.engine().snapshot()).map_err(|e| format!("snapshot: {e}"))?;
        }
        life.phase("late");
        life.write(&late_minutes(1..4, i * 60 - 90, 20))?;
        life.phase("late-cut");
        again(&life, || life.engine().maintain(&|_, _| true).failed.pop().map_or(Ok(()), |(_, e)| Err(e)))
            .map_err(|e| format!("cut: {e}"))?;
        // Makes the marks of the cut durable, too.
        life.write(&late_minutes(7..8, i * 60, 2))?;
        if i % 3 == 2 {
            life.open()?;
        }
    }
    life.phase("append");
    life.write(&minutes(20..22, 8 * 60, 30))?;
    Ok(life)
}

/// Deletes in the head, in blocks and in both as one, of samples in order and late ones.
fn deletes(disk: SimDisk, more: usize) -> Result<Life, String> {
    let options = EngineOptions { out_of_order_window_ms: 12 * HOUR_MS, ..engine_support::options() };
    let mut life = Life::begin_with(disk, "append", Samples::new(), options)?;
    for i in 0..8 {
        if i == 6 {
            life.settle();
        }
        life.phase("append");
        life.write(&minutes(0..5 + more, i * 60, 60))?;
        life.write(&late_minutes(0..6, i * 60 - 45, 20))?;
        life.phase("head-delete");
        for series in [i as usize % 5, (i as usize + 2) % 5] {
            let (name, before_ms) = (labels(series), START_MS + (i * 60 - 30) * 60_000);
            life.delete(&name, before_ms, |life| {
                let matchers = [Matcher::equal("i", series.to_string())];
                let deleted = again(life, || life.engine().delete(&tenant(), &matchers, i64::MIN, before_ms - 1));
                deleted.map_err(|e| format!("delete: {e}"))
            })?;
        }
        life.phase("append");
        life.write(&late_minutes(0..3, i * 60 - 40, 3))?;
        life.phase("deleted-snapshot");
        if i % 2 == 0 {
            again(&life, || life.engine().snapshot()).map_err(|e| format!("snapshot: {e}"))?;
        }
        life.phase("deleted-cut");
        again(&life, || life.engine().maintain(&|_, _| true).failed.pop().map_or(Ok(()), |(_, e)| Err(e)))
            .map_err(|e| format!("cut: {e}"))?;
        if i % 3 == 2 {
            life.open()?;
        }
    }
    life.phase("append");
    life.write(&minutes(20..22, 8 * 60, 30))?;
    Ok(life)
}

/// As [`minutes`], of times between.
fn late_minutes(series: std::ops::Range<usize>, from_min: i64, count: i64) -> Batch {
    let mut batch = minutes(series, from_min, count);
    batch.iter_mut().flat_map(|(_, samples)| samples).for_each(|(t, _)| *t += 30_000 + from_min % 7);
    batch
}

/// Looks at some lives of a kind: one here, `THANOXIDE_CRASH_LIVES` in a long run, each with one series more.
fn report(name: &str, lives: usize, run: impl Fn(usize) -> Result<Life, String>) {
    let more = std::env::var("THANOXIDE_CRASH_LIVES").ok().and_then(|n| n.parse().ok()).unwrap_or(lives);
    let mut all = BTreeMap::new();
    for number in 0..more.max(lives) {
        let life = run(number).unwrap_or_else(|e| panic!("{name} {number}: {e}"));
        let counts = life.check(random_choices(), 16).unwrap_or_else(|e| panic!("{name} {number}: {e}"));
        counts.into_iter().for_each(|(phase, states)| *all.entry(phase).or_insert(0) += states);
    }
    println!("{name}: {all:?}");
}

#[test]
fn of_appends() {
    report("appends", 1, |more| appends(SimDisk::default(), more));
}

#[test]
fn of_cuts() {
    report("cuts", 1, |more| cuts(SimDisk::default(), more));
}

#[test]
fn of_compactions_and_deletions() {
    report("compactions", 1, |more| compacts(SimDisk::default(), more));
}

#[test]
fn of_snapshots() {
    report("snapshots", 1, |more| snapshots(SimDisk::default(), more));
}

#[test]
fn of_late_samples() {
    report("late samples", 1, |more| comes_late(SimDisk::default(), more));
}

#[test]
fn of_deletions_in_head_and_blocks() {
    report("deletions", 1, |more| deletes(SimDisk::default(), more));
}

#[test]
fn of_hand_backs() {
    report("hand-backs", 1, |more| hands_back(SimDisk::default(), more));
}

#[test]
fn of_take_overs() {
    report("take-overs", 6, |seed| takes_over(SimDisk::default(), seed as u64));
}

/// Every kind of life, and what it does.
fn lives() -> [(&'static str, Box<Story>); 8] {
    [
        ("appends", Box::new(|disk| appends(disk, 0))),
        ("cuts", Box::new(|disk| cuts(disk, 0))),
        ("compactions", Box::new(|disk| compacts(disk, 0))),
        ("snapshots", Box::new(|disk| snapshots(disk, 0))),
        ("late samples", Box::new(|disk| comes_late(disk, 0))),
        ("deletions", Box::new(|disk| deletes(disk, 0))),
        ("hand-backs", Box::new(|disk| hands_back(disk, 0))),
        ("take-overs", Box::new(|disk| takes_over(disk, 1))),
    ]
}

type Story = dyn Fn(SimDisk) -> Result<Life, String>;

/// A failed sync drops what it should have written; the engine must not believe a later one. All of them in a long run, a
/// part otherwise.
#[test]
fn of_failed_syncs() {
    for (name, run) in lives() {
        let calls = {
            let disk = SimDisk::default();
            drop(run(disk.clone()).unwrap());
            disk.data_syncs()
        };
        let step = if random_choices() > 8 { 1 } else { calls as usize / 4 };
        let mut counts = BTreeMap::new();
        for call in (1..=calls).step_by(step) {
            let disk = SimDisk::default();
            disk.fail_sync(call);
            let life = run(disk).unwrap_or_else(|e| panic!("{name}, sync {call} of {calls} fails: {e}"));
            let checked = life.check(random_choices() / 16, 0);
            for (phase, states) in checked.unwrap_or_else(|e| panic!("{name}, sync {call} of {calls} fails: {e}")) {
                *counts.entry(phase).or_insert(0) += states;
            }
        }
        println!("{name}, one of {calls} syncs fails: {counts:?}");
    }
}

/// The test of the test: without any one of its syncs and renames the engine loses something, or is not there at all.
/// What comes last in a life, nothing relies on yet.
#[test]
fn every_sync_and_rename_is_needed() {
    // The tombstones of a range that is deleted again are not needed, nor is what made them durable.
    for (name, run) in lives().into_iter().filter(|(name, _)| *name != "deletions") {
        let whole = run(SimDisk::default()).unwrap();
        // This is the longest life: all of its calls in a long run, a part otherwise.
        let step = if name == "compactions" && random_choices() <= 8 { 13 } else { 1 };
        let spared = |call: u64| {
            let disk = SimDisk::default();
            disk.skip(call);
            run(disk.clone()).and_then(|life| life.check(0, 0)).ok()?;
            disk.skipped_call()
        };
        let spared: Vec<String> = (whole.first_call..=whole.settled_calls).step_by(step).filter_map(spared).collect();
        let calls = whole.settled_calls + 1 - whole.first_call;
        println!("{name}: {calls} syncs and renames, not needed: {spared:?}");
        assert!(spared.iter().all(|call| can_spare(name, call)), "{name}: {spared:#?}");
    }
}
