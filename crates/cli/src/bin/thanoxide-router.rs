//! `thanoxide-router`: the command `receive` as a program of its own; with `--receive.hashrings` it routes.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    thanoxide_cli::program::main(Some("receive"))
}
