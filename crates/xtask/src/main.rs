//! Checks and set-up of the workspace: `cargo xtask <command>`.
//!
//! * `test [ARGS…]`: installs what the tests need, builds the helpers, runs every test. ARGS go to `cargo test`.
//! * `layers`: checks the direction of dependencies (see ARCHITECTURE.md).
//! * `prepare`: only the set-up part of `test`.
//! * `callgrind [--record]`: counts the instructions of the hottest loops and compares them with those on record.
//! * `peers`: builds stock programs that benchmarks compare with.

use anyhow::{Result, bail};

mod callgrind;
mod layers;
mod setup;
mod test;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("callgrind") => callgrind::run(args.next().as_deref()),
        Some("layers") => layers::check(),
        Some("peers") => setup::peers(),
        Some("prepare") => setup::prepare(),
        Some("test") => test::run(&args.collect::<Vec<_>>()),
        other => bail!("unknown command {other:?}: one of test, layers, prepare, peers, callgrind"),
    }
}
