//! Every test of the workspace, after the set-up that they need.

use std::process::Command;

use anyhow::Result;

use crate::setup;

/// `cargo xtask test`: prepares, builds the programs that tests start, and runs every test.
pub(crate) fn run(args: &[String]) -> Result<()> {
    setup::prepare()?;
    setup::run(cargo().args(["build", "--workspace", "--bins"]))?;
    setup::run(cargo().args(["test", "--workspace"]).args(args))
}

fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(setup::root());
    command
}
