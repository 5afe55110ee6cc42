//! Whatever a crash leaves: the engine starts, has all that was acknowledged and nothing else.
//!
//! A slice of all states is looked at here; `tests/long crash-states` looks at more, by `THANOXIDE_CRASH_STATES`, the
//! number of random states at each moment, and `THANOXIDE_CRASH_LIVES`, the number of lives of each kind;
//! `THANOXIDE_CRASH_SEED` is the seed of the random ones.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/crash.rs"]
mod crash;
#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/crash_ledger.rs"]
mod ledger;
#[path = "support/lives.rs"]
mod lives;
#[path = "support/stock.rs"]
mod stock;
#[path = "support/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use crash::Life;
use lives::{
    appends, backs_up, comes_late, compacts, compacts_late, cuts, deletes, hands_back, imports, snapshots, takes_over,
};
use thanoxide_env::SimDisk;
use thanoxide_tsdb::block::block_id;

fn random_choices() -> usize {
    std::env::var("THANOXIDE_CRASH_STATES").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// A life without histograms, which is quicker to look at.
const FLOATS: lives::Number = 1;

/// What a life can spare, and why.
fn can_spare(life: &str, call: &str) -> bool {
    match life {
        // After each of several blocks of a cut of late samples, or of a take-over, but the last; and of the generation just
        // before that of the fence.
        "late samples" | "deletions" | "take-overs" | "backups" => call == "sync of names /data/tenant-a",
        // The fence where nobody came between, the generation as above; and the name of a chunk file while the stock files
        // from which it was made are still there.
        "hand-backs" => ["sync of names /data/tenant-a", "sync of names /data"].contains(&call),
        // What one compaction makes durable the next one may remove; and a block says of which time the head holds nothing any
        // more, as the mark in the log does of the cut blocks that it was made of.
        "compactions" | "late compactions" => {
            call == "sync of names /data/tenant-a" || call.starts_with("sync /data/log-") || is_removal(call)
        }
        _ => false,
    }
}

/// Of a block that is to go: what cannot be removed is tried again.
fn is_removal(call: &str) -> bool {
    call.strip_prefix("rename /").is_some_and(|path| block_id(Path::new(path)).is_some())
}

/// Looks at some lives of a kind: one here, `THANOXIDE_CRASH_LIVES` in a long run.
fn report(name: &'static str) {
    let run = lives().into_iter().find(|(kind, _)| *kind == name).unwrap().1;
    let lives = std::env::var("THANOXIDE_CRASH_LIVES").ok().and_then(|n| n.parse().ok());
    let lives: usize = lives.unwrap_or(if name == "take-overs" { 6 } else { 1 });
    let mut all = BTreeMap::new();
    for number in 0..lives {
        let checked = ledger::once(name, number, random_choices(), || {
            let life = run(SimDisk::default(), number)?;
            life.check(random_choices(), 16)
        });
        let counts = checked.unwrap_or_else(|e| panic!("{name} {number}: {e}"));
        counts.into_iter().for_each(|(phase, states)| *all.entry(phase).or_insert(0) += states);
    }
    println!("{name}, {lives} lives: {all:?}");
}

#[test]
fn of_appends() {
    report("appends");
}

#[test]
fn of_cuts() {
    report("cuts");
}

#[test]
fn of_compactions_and_deletions() {
    report("compactions");
}

#[test]
fn of_snapshots() {
    report("snapshots");
}

#[test]
fn of_late_samples() {
    report("late samples");
}

#[test]
fn of_compactions_of_late_samples() {
    report("late compactions");
}

#[test]
fn of_deletions_in_head_and_blocks() {
    report("deletions");
}

#[test]
fn of_hand_backs() {
    report("hand-backs");
}

#[test]
fn of_take_overs() {
    report("take-overs");
}

#[test]
fn of_imports() {
    report("imports");
}

#[test]
fn of_backups() {
    report("backups");
}

/// Every kind of life, and what it does.
fn lives() -> [(&'static str, Story); 11] {
    [
        ("appends", appends),
        ("cuts", cuts),
        ("compactions", compacts),
        ("snapshots", snapshots),
        ("late samples", comes_late),
        ("late compactions", compacts_late),
        ("deletions", deletes),
        ("hand-backs", hands_back),
        ("take-overs", takes_over),
        ("imports", imports),
        ("backups", backs_up),
    ]
}

type Story = fn(SimDisk, lives::Number) -> Result<Life, String>;

/// A failed sync drops what it should have written; the engine must not believe a later one. All of them in a long run, a
/// part otherwise.
#[test]
fn of_failed_syncs() {
    for (name, run) in lives() {
        let calls = {
            let disk = SimDisk::default();
            drop(run(disk.clone(), FLOATS).unwrap());
            disk.data_syncs()
        };
        let step = if random_choices() > 8 { 1 } else { calls as usize / 3 };
        let mut counts = BTreeMap::new();
        for call in (1..=calls).step_by(step) {
            let disk = SimDisk::default();
            disk.fail_sync(call);
            let life = run(disk, FLOATS).unwrap_or_else(|e| panic!("{name}, sync {call} of {calls} fails: {e}"));
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
    for (name, run) in lives() {
        let whole = run(SimDisk::default(), FLOATS).unwrap();
        // These are the longest lives: all of their calls in a long run, a part otherwise.
        let long = ["compactions", "late compactions", "deletions", "imports", "backups"].contains(&name);
        let step = if long && random_choices() <= 8 { 13 } else { 1 };
        let spared = |call: u64| {
            let disk = SimDisk::default();
            disk.skip(call);
            run(disk.clone(), FLOATS).and_then(|life| life.check(0, 0)).ok()?;
            disk.skipped_call()
        };
        let spared: Vec<String> = (whole.first_call..=whole.settled_calls).step_by(step).filter_map(spared).collect();
        let calls = whole.settled_calls + 1 - whole.first_call;
        println!("{name}: {calls} syncs and renames, not needed: {spared:?}");
        assert!(spared.iter().all(|call| can_spare(name, call)), "{name}: {spared:#?}");
    }
}
