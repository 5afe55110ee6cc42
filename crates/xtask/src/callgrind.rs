//! Instructions of the hottest loops, counted by valgrind: the same on a busy machine as on a quiet one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::setup::{on_path, root};

const PACKAGE: &str = "thanoxide-loops";
/// Beyond this a loop counts as dearer or cheaper; less is the memory allocator's mood.
const NOTABLE: f64 = 0.02;

/// Counts all loops and compares them with the record, or makes a new one.
pub(crate) fn run(flag: Option<&str>) -> Result<()> {
    ensure!(matches!(flag, None | Some("--record")), "callgrind takes nothing but --record");
    ensure!(on_path("valgrind"), "valgrind is missing: apt-get install valgrind");
    let program = build()?;
    let mut counts = BTreeMap::new();
    for name in output(Command::new(&program).arg("list"))?.lines() {
        counts.insert(name.to_string(), count(&program, name)?);
    }
    match flag {
        Some(_) => Ok(fs::write(record_path(), written(&counts))?),
        None => compare(&counts, &read(&fs::read_to_string(record_path()).context("no record")?)?),
    }
}

fn record_path() -> PathBuf {
    root().join("benches/loops/baseline.txt")
}

fn build() -> Result<PathBuf> {
    let build = Command::new(env!("CARGO")).current_dir(root()).args(["build", "--release", "-p", PACKAGE]).status()?;
    ensure!(build.success(), "{PACKAGE} does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release").join(PACKAGE))
}

/// Instructions an item.
fn count(program: &PathBuf, name: &str) -> Result<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured*"]);
    let text = output(valgrind.arg(program).arg(name))?;
    let number = |before: &str, after: &str| {
        let line = text.lines().find(|line| line.contains(before) && line.ends_with(after))?;
        line.trim_end_matches(after).rsplit(' ').next()?.parse::<f64>().ok()
    };
    let items = number("", " items").with_context(|| format!("{name} says no number of items:\n{text}"))?;
    let instructions = number("Collected : ", "").with_context(|| format!("no count of {name}:\n{text}"))?;
    println!("{name:18} {:9.1} instructions an item", instructions / items);
    Ok(instructions / items)
}

/// What a program prints, to either stream.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    match output.status.success() {
        true => Ok(text),
        false => bail!("{command:?} failed:\n{text}"),
    }
}

fn written(counts: &BTreeMap<String, f64>) -> String {
    counts.iter().map(|(name, count)| format!("{name} {count:.1}\n")).collect()
}

fn read(text: &str) -> Result<BTreeMap<String, f64>> {
    let line = |line: &str| Some((line.split_once(' ')?.0.to_string(), line.split_once(' ')?.1.parse().ok()?));
    text.lines().map(|text| line(text).with_context(|| format!("no record of a loop: {text:?}"))).collect()
}

fn compare(counts: &BTreeMap<String, f64>, record: &BTreeMap<String, f64>) -> Result<()> {
    println!("\n{:18} {:>9} {:>9} {:>7}", "loop", "record", "now", "ratio");
    for (name, now) in counts {
        let before = record.get(name).copied().unwrap_or(f64::NAN);
        let ratio = now / before;
        let verdict = match ratio {
            _ if ratio > 1.0 + NOTABLE => "dearer",
            _ if ratio < 1.0 - NOTABLE => "cheaper",
            _ => "",
        };
        println!("{name:18} {before:9.1} {now:9.1} {ratio:7.3} {verdict}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let counts = BTreeMap::from([("a".to_string(), 1.5), ("b-c".to_string(), 200.0)]);
        assert_eq!(read(&written(&counts)).unwrap(), counts);
        assert!(read("a\n").is_err() && read("a x\n").is_err());
    }
}
