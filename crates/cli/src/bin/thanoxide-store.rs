//! `thanoxide-store`: the command `store` as a program of its own.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    thanoxide_cli::program::main(Some("store"))
}
