//! Disks that fail or are full at any call that changes something: reads stay up, writes are told to come again, and the
//! engine goes on by itself once the disk is well. Over a take-over, appends, late samples, cuts, deletions, compactions
//! and snapshots.
//!
//! One of `THANOXIDE_FAULT_STEP` calls is looked at.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/crash.rs"]
mod crash;
#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/stock.rs"]
mod stock;
#[path = "support/values.rs"]
mod values;
#[path = "support/world.rs"]
mod world;

use engine_support::tenant;
use thanoxide_tsdb::engine::Engine;
use world::{START_MS, World, check_error, compact, step};

const ROUNDS: i64 = 9;

/// Whoever cannot start is started again.
fn open(world: &World) -> Engine {
    let engine = world.open().inspect_err(check_error).or_else(|_| world.open()).unwrap();
    // A tenant that could not be opened is tried again by the next write.
    if engine.open_tenant(&tenant()).is_err() {
        engine.open_tenant(&tenant()).unwrap();
    }
    engine
}

/// What fails in a round says so; it is not tried again before the next one. Says whether all was done.
fn tend(world: &mut World, engine: &Engine, round: i64) -> bool {
    let failed = world.tend(engine, round);
    for (deed, error) in &failed {
        println!("round {round}, {deed}: {error}");
        check_error(error);
    }
    failed.is_empty()
}

/// Rounds of all that an engine does.
fn live(world: &mut World, engine: &Engine) {
    for round in 0..ROUNDS {
        assert!(world.write_round(engine, round, 5), "round {round}");
        let all = tend(world, engine, round);
        world.look(engine).unwrap();
        if !all {
            // As if it were stopped here.
            world.fork().check();
        }
    }
}

/// Calls of a life on a disk that is well: those of the start, and all.
fn calls() -> (u64, u64) {
    let mut world = World::new();
    let engine = world.open().unwrap();
    let before = world.faults.calls();
    live(&mut world, &engine);
    assert!(engine.reader(&tenant()).unwrap().blocks().iter().any(|block| block.compaction.level > 1));
    (before, world.faults.calls())
}

#[test]
fn one_failed_call_is_survived_whichever_it_is() {
    let (_, calls) = calls();
    for call in (1..=calls).step_by(step()) {
        println!("call {call} of {calls} fails");
        let mut world = World::new();
        world.faults.fail_at(call);
        let engine = open(&world);
        live(&mut world, &engine);
        drop(engine);
        world.check();
    }
    println!("{calls} calls, each failed once");
}

#[test]
fn a_disk_that_fills_up_at_any_call_is_survived() {
    let (before, calls) = calls();
    for call in (before + 1..=calls).step_by(step()) {
        println!("full at call {call} of {calls}");
        let mut world = World::new();
        let engine = world.open().unwrap();
        world.faults.fill_at(call);
        for round in 0..ROUNDS {
            world.write_round(&engine, round, 1);
            tend(&mut world, &engine, round);
            world.look(&engine).unwrap();
        }
        world.fork().check();
        // Once there is room the next calls work.
        world.faults.set_full(false);
        assert!(world.write_round(&engine, ROUNDS, 1));
        let failed = world.tend(&engine, ROUNDS);
        assert!(failed.is_empty(), "{failed:?}");
        world.look(&engine).unwrap();
        drop(engine);
        world.check();
    }
    println!("full at each of {} calls", calls - before);
}

/// Disks on which compactions went as far as a full disk lets them: of the blocks that others were made of some are left.
fn compacted() -> Vec<World> {
    let lived = World::lived(ROUNDS);
    let tried = |call| {
        let world = lived.fork();
        let engine = world.open().unwrap();
        let before = world.faults.calls();
        world.faults.fill_at(before + call);
        let done = compact(&engine);
        (world.faults.calls() - before, done.is_ok(), world.fork())
    };
    let (calls, all, _) = tried(u64::MAX / 2);
    assert!(all);
    (1..=calls).map(tried).map(|(_, _, world)| world).collect()
}

/// A start of which a call fails, or that finds the disk full from then on; once it is well, the engine goes on or is started
/// again. Says whether there are so many calls.
fn start(world: &World, call: u64, full: bool) -> (Engine, bool) {
    if full {
        world.faults.fill_at(call)
    } else {
        world.faults.fail_at(call)
    }
    let opened = world.open().inspect_err(check_error);
    let reached = world.faults.calls() >= call;
    world.faults.fail_at(0);
    world.faults.fill_at(0);
    world.faults.set_full(false);
    let engine = opened.unwrap_or_else(|_| open(world));
    engine.open_tenant(&tenant()).unwrap();
    (engine, reached)
}

/// Neither at once nor later, when the block that was made of it is gone, too.
#[test]
fn a_block_that_a_start_cannot_remove_does_not_come_back() {
    let mut starts = 0;
    for compacted in compacted().into_iter().step_by(step()) {
        for (call, full) in (1..).flat_map(|call| [(call, false), (call, true)]) {
            let mut world = compacted.fork();
            let (engine, reached) = start(&world, call, full);
            world.look(&engine).unwrap();
            world.delete(&engine, 2, i64::MIN..START_MS + 200 * 60_000).unwrap();
            engine.clean_tombstones(&tenant()).unwrap();
            world.look(&engine).unwrap();
            drop(engine);
            world.check();
            starts += 1;
            if !reached {
                break;
            }
        }
    }
    println!("{starts} starts");
}
