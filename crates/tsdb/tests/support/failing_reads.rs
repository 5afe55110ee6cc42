//! Reads that fail by their number while something is done, and what must hold then and once the disk is well.
#![allow(dead_code, reason = "each test uses a part")]

use thanoxide_model::Matcher;
use thanoxide_tsdb::engine::{Engine, EngineError};

use crate::engine_support::{labels, tenant};
use crate::world::{Deed, START_MS, World, step};

/// The rounds before the one that is looked at.
pub(crate) const ROUNDS: i64 = 9;

pub(crate) fn lived() -> World {
    World::lived(ROUNDS)
}

/// How reads fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    Once,
    UntilHealed,
}

/// The reads from the n-th on of those to come fail.
pub(crate) fn fail(world: &World, fault: Fault, call: u64) {
    let call = world.faults.reads() + call;
    match fault {
        Fault::Once => world.faults.fail_read_at(call),
        Fault::UntilHealed => world.faults.fail_reads_from(call),
    }
}

pub(crate) fn heal(world: &World) {
    world.faults.fail_read_at(0);
    world.faults.fail_reads_from(0);
}

/// An error that names what could not be read, or what it is in.
pub(crate) fn check_named(world: &World, fault: Fault, error: &EngineError) {
    assert!(error.is_retryable(), "{error:?}");
    let failed = world.faults.failed_read().expect("a read failed");
    let text = error.to_string();
    if fault == Fault::UntilHealed && text.starts_with('/') {
        // Of several that failed this is the first, and only the last is known.
        return;
    }
    let mut named = failed.ancestors().filter(|path| path.parent().is_some());
    assert!(named.any(|path| text.contains(&*path.to_string_lossy())), "{error} for {}", failed.display());
}

/// All that queries ask.
pub(crate) fn query(world: &World, engine: &Engine) -> Result<(), EngineError> {
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
pub(crate) fn goes_on(world: &mut World, engine: &Engine, deed: Deed, deletes: bool) {
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
        check_named(&world, fault, &error);
    }
    // Whatever fails meanwhile says so.
    world.write_round(&engine, ROUNDS + 1, 2);
    let reached = world.faults.reads() >= first + call;
    let _ = query(&world, &engine).inspect_err(|error| check_named(&world, fault, error));
    goes_on(&mut world, &engine, deed, call.is_multiple_of(2));
    drop(engine);
    world.check();
    reached
}

/// Each read of a deed fails.
pub(crate) fn each_read_of(name: &str, lived: &World, deed: Deed) {
    each_read(name, |fault, call| fails_at(lived, deed, fault, call));
}

/// Goes on as long as there are reads to fail.
pub(crate) fn each_read(name: &str, fails_at: impl Fn(Fault, u64) -> bool) {
    for fault in [Fault::Once, Fault::UntilHealed] {
        let calls = (1..).step_by(step()).take_while(|call| {
            println!("{name}: read {call} fails, {fault:?}");
            fails_at(fault, *call)
        });
        println!("{name}: {} reads failed, {fault:?}", calls.count());
    }
}

/// The n-th read of a start fails: there is an engine or an error, and the next try has all.
pub(crate) fn start_fails_at(lived: &World, fault: Fault, call: u64) -> bool {
    let mut world = lived.fork();
    fail(&world, fault, call);
    let first = world.faults.reads();
    let opened = world.open().inspect_err(|error| check_named(&world, fault, error));
    let reached = world.faults.reads() >= first + call;
    if let Ok(engine) = &opened {
        world.write_round(engine, ROUNDS + 1, 2);
        let _ = query(&world, engine).inspect_err(|error| check_named(&world, fault, error));
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
