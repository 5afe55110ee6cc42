//! Reads that fail, as in `read_faults`, while a backup is made, blocks are taken in from elsewhere, a head is handed back to
//! stock programs, and when one that was handed back is opened again.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/crash.rs"]
mod crash;
#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/failing_reads.rs"]
mod failing_reads;
#[path = "support/no_links.rs"]
mod no_links;
#[path = "support/stock.rs"]
mod stock;
#[path = "support/values.rs"]
mod values;
#[path = "support/world.rs"]
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crash::{ROOT, of_block};
use engine_support::{Samples, labels, tenant};
use failing_reads::{
    Fault, ROUNDS, check_named, each_read, each_read_of, fail, goes_on, heal, lived, query, start_fails_at,
};
use no_links::NoLinks;
use stock::stock_deletes;
use thanoxide_env::Disk;
use thanoxide_tsdb::block::block_id;
use thanoxide_tsdb::engine::{Engine, EngineError};
use world::{Deed, START_MS, World, begin_of, minutes};

const COPIES: &str = "/backups";
const ELSEWHERE: &str = "/elsewhere";

/// A copy has all that must be there. What a failed one left stays in the way of its name.
fn back_up(world: &mut World, engine: &Engine, _: i64) -> Result<(), EngineError> {
    let unused = |path: &PathBuf| !world.disk.exists(path).unwrap();
    let into = (0..).map(|n| Path::new(COPIES).join(format!("{n}"))).find(unused).unwrap();
    engine.backup(&into)?;
    world.fork().check_at(&into);
    Ok(())
}

#[test]
fn of_backups() {
    let mut lived = lived();
    lived.disk.create_dir_all(Path::new(COPIES)).unwrap();
    each_read_of("backup", &lived, back_up);
    lived.shown = |disk| Arc::new(NoLinks(disk));
    each_read_of("backup on another device", &lived, back_up);
}

/// A world beside which blocks lie that another engine cut of samples in order and late ones.
fn beside_blocks() -> World {
    let (lived, mut other) = (lived(), World::elsewhere());
    let engine = other.open().unwrap();
    assert!(other.write(&engine, &minutes(1..4, 60, 200, 20), 1));
    assert!(other.write(&engine, &minutes(1..3, 90, 60, 50), 1));
    assert!(engine.flush_tenant(&tenant()).unwrap().len() > 3);
    drop(engine);
    lived.disk.import(&other.disk, Path::new(ROOT), Path::new(ELSEWHERE)).unwrap();
    lived
}

/// Takes in each block that is not there yet.
fn import(world: &mut World, engine: &Engine, _: i64) -> Result<(), EngineError> {
    for path in world.disk.list(&Path::new(ELSEWHERE).join("tenant-a")).unwrap() {
        let Some(id) = block_id(&path) else { continue };
        let known = engine.reader(&tenant()).unwrap().blocks();
        if known.iter().any(|meta| meta.ulid == id) {
            continue;
        }
        let samples = of_block(&world.disk, &path).unwrap();
        add(&mut world.may, &samples);
        engine.import_block(&tenant(), &path)?;
        add(&mut world.must, &samples);
    }
    Ok(())
}

fn add(model: &mut Samples, samples: &Samples) {
    for (labels, samples) in samples {
        model.entry(labels.clone()).or_default().extend(samples);
    }
}

#[test]
fn of_imports() {
    each_read_of("import", &beside_blocks(), import);
}

/// What a stock program finds, which knows nothing of our own files.
fn check_for_stock(world: &World) {
    let tenant_dir = Path::new(ROOT).join(tenant().as_str());
    let ours = world.disk.list(Path::new(ROOT)).unwrap().into_iter().filter(|path| !world.disk.is_dir(path).unwrap());
    let marks = ["generation", "handed-back"].map(|name| tenant_dir.join(name));
    ours.chain(marks).for_each(|path| world.disk.remove_file(&path).unwrap());
    world.check();
}

/// The n-th read of a hand-back fails: all is still ours, and is handed back by the next try or goes on with the next start.
fn hand_back_fails_at(lived: &World, fault: Fault, call: u64, before: bool, again: bool) -> bool {
    let mut world = lived.fork();
    let engine = world.open().unwrap();
    if before {
        engine.hand_back().unwrap();
    }
    fail(&world, fault, call);
    let first = world.faults.reads();
    let handed_back = engine.hand_back().inspect_err(|error| check_named(&world, fault, error)).is_ok();
    let reached = world.faults.reads() >= first + call;
    let _ = query(&world, &engine).inspect_err(|error| check_named(&world, fault, error));
    heal(&world);
    // As if it were stopped here.
    world.fork().check();
    query(&world, &engine).unwrap();
    if again {
        engine.hand_back().unwrap();
    }
    drop(engine);
    if handed_back || again {
        check_for_stock(&world.fork());
    }
    let engine = world.open().unwrap();
    goes_on(&mut world, &engine, |world, engine, _| query(world, engine), call.is_multiple_of(2));
    drop(engine);
    world.check();
    reached
}

#[test]
fn of_hand_backs() {
    let lived = lived();
    for (name, before) in [("hand-back", false), ("second hand-back", true)] {
        each_read(name, |fault, call| {
            hand_back_fails_at(&lived, fault, call, before, false)
                & hand_back_fails_at(&lived, fault, call, before, true)
        });
    }
}

/// A series that only the head has.
const NEW_SERIES: usize = 30;

fn handed_back() -> World {
    let mut world = lived();
    let engine = world.open().unwrap();
    assert!(world.write(&engine, &minutes(NEW_SERIES..NEW_SERIES + 1, begin_of(ROUNDS), 20, 0), 1));
    engine.hand_back().unwrap();
    world
}

/// A stock program came between and deleted what our own log still has.
fn deleted_by_stock() -> World {
    let mut world = handed_back();
    let (labels, before_ms) = (labels(NEW_SERIES), START_MS + (begin_of(ROUNDS) + 10) * 60_000);
    stock_deletes(&world.disk, &Path::new(ROOT).join(tenant().as_str()), &labels, before_ms).unwrap();
    for model in [&mut world.must, &mut world.may] {
        model.get_mut(&labels).unwrap().retain(|t, _| *t >= before_ms);
        assert_eq!(model[&labels].len(), 10);
    }
    world
}

#[test]
fn of_starts_behind_hand_backs() {
    for (name, world) in [("return", handed_back()), ("return behind a stock program", deleted_by_stock())] {
        each_read(name, |fault, call| start_fails_at(&world, fault, call));
    }
}

fn hand_back(world: &mut World, engine: &Engine, _: i64) -> Result<(), EngineError> {
    engine.hand_back()?;
    check_for_stock(&world.fork());
    Ok(())
}

/// What a start left out is not in a copy then, and whoever wants one is told; once the disk is well it has all at once.
fn copy_behind_start(lived: &World, fault: Fault, call: u64, copy: Deed) -> bool {
    let mut world = lived.fork();
    fail(&world, fault, call);
    let first = world.faults.reads();
    let opened = world.open();
    let reached = world.faults.reads() >= first + call;
    if let Ok(engine) = opened {
        let _ = copy(&mut world, &engine, ROUNDS).inspect_err(|error| check_named(&world, fault, error));
        heal(&world);
        copy(&mut world, &engine, ROUNDS).unwrap();
    }
    world.check();
    reached
}

const COPYING: [(&str, Deed); 2] = [("backup", back_up), ("hand-back", hand_back)];

#[test]
fn of_starts_before_copies() {
    let lived = lived();
    for (name, copy) in COPYING {
        each_read(&format!("{name} behind a start"), |fault, call| copy_behind_start(&lived, fault, call, copy));
    }
}

#[test]
fn while_a_tenant_is_not_served_there_are_no_copies_that_lack_it() {
    let mut world = lived();
    world.faults.hide(Some(&Path::new(ROOT).join("tenant-a/generation")));
    let engine = world.open().unwrap();
    for (name, copy) in COPYING {
        let error = copy(&mut world, &engine, ROUNDS).expect_err(name);
        assert!(error.is_retryable() && error.to_string().contains("tenant-a"), "{error}");
    }
    world.faults.hide(None);
    for (name, copy) in COPYING {
        copy(&mut world, &engine, ROUNDS).expect(name);
    }
    drop(engine);
    world.check();
}
