//! Prometheus's storage engine as a command (see `tests/interop/prometheus/engine.go`).
#![allow(dead_code, reason = "each test uses a part")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the oracle with `input` and gives what it prints.
pub(crate) fn run(args: &[&str], input: &str) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/bin/oracle");
    let mut child = Command::new(&program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}; cargo xtask prepare builds it", program.display()));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_string();
    // The oracle answers line by line: it must not wait for a reader while it is still written to.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it runs");
    writer.join().expect("no panic").expect("the oracle reads all");
    assert!(output.status.success(), "oracle {args:?} failed; cargo xtask prepare builds the current one");
    String::from_utf8(output.stdout).expect("text")
}
