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
#[path = "support/failing_reads.rs"]
mod failing_reads;
#[path = "support/stock.rs"]
mod stock;
#[path = "support/values.rs"]
mod values;
#[path = "support/world.rs"]
mod world;

use engine_support::tenant;
use failing_reads::{each_read, each_read_of, lived, query, start_fails_at};
use world::{DEEDS, Deed, World};

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

#[test]
fn of_starts() {
    for (name, world) in [("start", lived()), ("take-over", World::new())] {
        each_read(name, |fault, call| start_fails_at(&world, fault, call));
    }
}
