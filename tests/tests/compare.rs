//! The side-by-side benchmark runs and its answers agree; its figures are not judged here.

use std::process::Command;

use anyhow::{Result, ensure};
use thanoxide_testkit::program::own;

#[test]
fn smoke() -> Result<()> {
    let output = Command::new(own("thanoxide-compare")).arg("smoke").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    ensure!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
