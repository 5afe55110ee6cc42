//! Disks that do not give what is there, at any call that reads: once, or from then on until they are well. What needs it
//! says so and names it; nothing is lost, nothing is taken for damaged, and once the disk is well all goes on.
//!
//! Each deed is looked at on a copy of one disk that has all kinds of files, with each of its reads failing; a start also
//! on what a stock program left. One of `THANOXIDE_FAULT_STEP` reads is looked at.
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

use engine_support::{labels, tenant};
use thanoxide_model::Matcher;
use thanoxide_tsdb::engine::{Engine, EngineError};
use world::{DEEDS, Deed, START_MS, World, check_error, step};

/// The rounds before the one that is looked at.
const ROUNDS: i64 = 9;

fn lived() -> World {
    World::lived(ROUNDS)
}

/// How reads fail.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Once,
    UntilHealed,
}

/// The reads from the n-th on of those to come fail.
fn fail(world: &World, fault: Fault, call: u64) {
    let call = world.faults.reads() + call;
    match fault {
        Fault::Once => world.faults.fail_read_at(call),
        Fault::UntilHealed => world.faults.fail_reads_from(call),
    }
}

fn heal(world: &World) {
    world.faults.fail_read_at(0);
    world.faults.fail_reads_from(0);
}

/// An error that names what could not be read, or what it is in.
fn check_named(world: &World, error: &EngineError) {
    check_error(error);
    let failed = world.faults.failed_read().expect("a read failed");
    let text = error.to_string();
    let named = failed.ancestors().take_while(|path| path.starts_with(crash::ROOT));
    assert!(named.into_iter().any(|path| text.contains(&*path.to_string_lossy())), "{error} for {}", failed.display());
}

/// All that queries ask.
fn query(world: &World, engine: &Engine) -> Result<(), EngineError> {
    world.look(engine)?;
    let Some(reader) = engine.reader(&tenant()) else { return Ok(()) };
    let matchers = [Matcher::equal("i", "3")];
    let some = reader.select(&matchers, i64::MIN, i64::MAX)?;
    assert!(some.iter().all(|series| series.labels == labels(3)));
    reader.label_names(&matchers, i64::MIN, i64::MAX)?;
    reader.label_values(b"i", &[], i64::MIN, i64::MAX)?;
    reader.estimate(&matchers, i64::MIN, i64::MAX).map(drop)
}

/// Once the disk is well, all goes on: first what takes samples away, so that what a failure left behind would show.
fn goes_on(world: &mut World, engine: &Engine, deed: Deed, deletes: bool) {
    heal(world);
    if deletes {
        world.delete(engine, 2, i64::MIN..START_MS + 200 * 60_000).unwrap();
    }
    world.fork().check();
    deed(world, engine, ROUNDS).unwrap();
    assert!(world.write_round(engine, ROUNDS + 2, 1));
    let failed = world.tend(engine, ROUNDS + 2);
    assert!(failed.is_empty(), "{failed:?}");
    query(world, engine).unwrap();
    let stats = engine.reader(&tenant()).unwrap().stats();
    assert_eq!((stats.unread_blocks, stats.corrupt_blocks), (0, 0));
    assert!(engine.quarantined().is_empty() && engine.damaged_chunks() == 0, "{:?}", engine.quarantined());
}

/// The n-th read of a deed fails. Says whether there are so many.
fn fails_at(lived: &World, deed: Deed, fault: Fault, call: u64) -> bool {
    let mut world = lived.fork();
    let engine = world.open().unwrap();
    fail(&world, fault, call);
    let first = world.faults.reads();
    if let Err(error) = deed(&mut world, &engine, ROUNDS) {
        check_named(&world, &error);
    }
    // Whatever fails meanwhile says so.
    world.write_round(&engine, ROUNDS + 1, 2);
    let reached = world.faults.reads() >= first + call;
    let _ = query(&world, &engine).inspect_err(|error| check_named(&world, error));
    goes_on(&mut world, &engine, deed, call.is_multiple_of(2));
    drop(engine);
    world.check();
    reached
}

fn each_read_of(name: &str, lived: &World, deed: Deed) {
    for fault in [Fault::Once, Fault::UntilHealed] {
        let calls = (1..).step_by(step()).take_while(|call| {
            println!("{name}: read {call} fails, {fault:?}");
            fails_at(lived, deed, fault, *call)
        });
        println!("{name}: {} reads failed, {fault:?}", calls.count());
    }
}

#[test]
fn of_queries() {
    each_read_of("queries", &lived(), |world, engine, _| query(world, engine));
}

#[test]
fn of_all_that_is_done() {
    let lived = lived();
    // With nothing done it is the writes behind that fail.
    each_read_of("writes", &lived, |_, _, _| Ok(()));
    for (name, deed) in DEEDS {
        // The last round was an odd one: of what is not done in each, all is done here.
        let deed: Deed = match name {
            "snapshot" => |_, engine, _| engine.snapshot(),
            "clean-up" => |_, engine, _| engine.clean_tombstones(&tenant()).map(drop),
            _ => deed,
        };
        each_read_of(name, &lived, deed);
    }
}

/// The n-th read of a start fails: there is an engine or an error, and the next try has all.
fn start_fails_at(lived: &World, fault: Fault, call: u64) -> bool {
    let mut world = lived.fork();
    fail(&world, fault, call);
    let first = world.faults.reads();
    let opened = world.open().inspect_err(|error| check_named(&world, error));
    let reached = world.faults.reads() >= first + call;
    if let Ok(engine) = &opened {
        world.write_round(engine, ROUNDS + 1, 2);
        let _ = query(&world, engine).inspect_err(|error| check_named(&world, error));
    }
    heal(&world);
    let engine = match opened {
        Ok(engine) => engine,
        Err(_) => world.open().unwrap(),
    };
    // What was left out is tried again, before anything else needs it.
    engine.maintain(&|_, _| true);
    goes_on(&mut world, &engine, |world, engine, _| query(world, engine), call.is_multiple_of(2));
    drop(engine);
    world.check();
    reached
}

#[test]
fn of_starts() {
    for (name, world) in [("start", lived()), ("take-over", World::new())] {
        for fault in [Fault::Once, Fault::UntilHealed] {
            let calls = (1..).step_by(step()).take_while(|call| {
                println!("{name}: read {call} fails, {fault:?}");
                start_fails_at(&world, fault, *call)
            });
            println!("{name}: {} reads failed, {fault:?}", calls.count());
        }
    }
}
