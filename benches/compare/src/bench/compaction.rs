//! The blocks of a day become one: our library in a program of its own, beside Prometheus's compactor in the oracle's.
//!
//! Each gets the same blocks by their paths, in the order of their times, and a core to itself; then it writes, syncs and ends. What
//! they made must be the same to the byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::blocks::data::{Data, listed};
use super::{Benchmark, progress};
use crate::cores::Cores;
use crate::peer::{OURS, Peer};
use crate::process::Process;
use crate::report::{Better, Report};
use crate::setting::Setting;
use crate::stats;
use crate::usage::{Usage, disk_bytes};

const ORACLE: &str = "oracle";
const SERIES: u64 = 25_000;
const ROUNDS: usize = 3;
/// What compacts with our library, beside our program.
const EXAMPLE: &str = "examples/compact";
const ADVICE: &str = "cargo build --release -p thanoxide-series --example compact";

/// A day of two replicas, 5.4 s apart.
const FIRST: Data = Data { name: "day-0", shape: "l10", size: SERIES, flags: &["-dur", "24h", "-replica", "0"] };
const SECOND: Data = Data { name: "day-1", flags: &["-dur", "24h", "-replica", "1"], ..FIRST };
/// What is compacted: chunks are copied, or those of two replicas merged sample by sample.
const CASES: [(&str, &[Data]); 2] = [("no overlap", &[FIRST]), ("two replicas, 1:1", &[FIRST, SECOND])];

/// Input samples per CPU-second, and the most memory.
pub(crate) struct Compaction;

impl Benchmark for Compaction {
    fn name(&self) -> &'static str {
        "compaction"
    }

    fn about(&self) -> &'static str {
        "a day of blocks of 2 h becomes one block: no overlap, and two replicas; --sizes 25k"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let compactors: Vec<Compactor> = setting.peers.iter().filter_map(Compactor::of).collect();
        if let Some(missing) = compactors.iter().find(|compactor| !compactor.program.is_file()) {
            ensure!(setting.name == "all", "no {}: {ADVICE}", missing.program.display());
            progress(&format!("compaction: left out, no {EXAMPLE} beside our program: {ADVICE}"));
            return Ok(Vec::new());
        }
        ensure!(!compactors.is_empty(), "none of the peers compacts, only {OURS} and {ORACLE} do");
        let sizes = if setting.sizes.is_empty() { &[SERIES] } else { setting.sizes.as_slice() };
        let runs = sizes.iter().flat_map(|&size| CASES.map(|case| (size, case)));
        runs.map(|(size, case)| run_case(setting, &compactors, size, case)).collect()
    }
}

/// A program that compacts, and what it has used in each round.
#[derive(Clone)]
struct Compactor {
    peer: Peer,
    program: PathBuf,
    verb: &'static str,
    used: Vec<Usage>,
    wall_s: Vec<f64>,
}

fn run_case(setting: &Setting, compactors: &[Compactor], size: u64, (about, data): (&str, &[Data])) -> Result<Report> {
    let (blocks, samples) = inputs(data, size)?;
    let title = format!("compaction: {} blocks of 2 h, {size} series, {about}", blocks.len());
    let mut report = Report::new(title, compactors.iter().map(|c| c.peer.name().to_string()).collect());
    let mut compactors = compactors.to_vec();
    let rounds = setting.rounds.unwrap_or(ROUNDS);
    let mut block_bytes = Vec::new();
    for round in 1..=rounds {
        let made: Vec<TempDir> =
            compactors.iter_mut().map(|c| c.compact(&blocks, setting.cores)).collect::<Result<_>>()?;
        progress(&format!("compaction, {about}, round {round}/{rounds}"));
        if round == 1 {
            compare(&mut report, &made)?;
            block_bytes = made.iter().map(|dir| Ok(disk_bytes(&result(dir)?) as f64)).collect::<Result<_>>()?;
        }
    }
    add_metrics(&mut report, &compactors, samples);
    report.add("the new block", "MB", Better::Lower, block_bytes.iter().map(|bytes| bytes / 1e6).collect());
    compactors.iter().for_each(|compactor| report.note(compactor.shown(setting.cores)));
    Ok(report)
}

/// The blocks in the order of their times, and how many samples they have.
fn inputs(data: &[Data], size: u64) -> Result<(Vec<PathBuf>, f64)> {
    let mut all = Vec::new();
    for data in data {
        all.extend(listed(&data.blocks(size)?)?);
    }
    // Their names begin with their times.
    all.sort_by_key(|(path, _)| path.file_name().map(ToOwned::to_owned));
    let samples: Option<f64> = all.iter().map(|(_, meta)| meta["stats"]["numSamples"].as_f64()).sum();
    Ok((all.into_iter().map(|(path, _)| path).collect(), samples.context("a block that does not count its samples")?))
}

impl Compactor {
    /// What compacts for a peer, if anything does.
    fn of(peer: &Peer) -> Option<Self> {
        let (program, verb) = match peer.name() {
            OURS => (peer.program.with_file_name(EXAMPLE), "chain"),
            ORACLE => (peer.program.clone(), "compact"),
            _ => return None,
        };
        Some(Compactor { peer: peer.clone(), program, verb, used: Vec::new(), wall_s: Vec::new() })
    }

    /// Makes one block in a new directory.
    fn compact(&mut self, blocks: &[PathBuf], cores: Cores) -> Result<TempDir> {
        let dir = TempDir::new()?;
        let into = into(&dir);
        fs::create_dir(&into)?;
        let mut command = Command::new(&self.program);
        command.arg(self.verb).arg(into).args(blocks);
        if self.is_single(cores) {
            command.env("GOMAXPROCS", "1");
        }
        let began = Instant::now();
        let process = Process::start(command, cores.server, &dir.path().join("log"))?;
        let used = process.finish().with_context(|| format!("{} does not compact", self.peer.name()))?;
        self.wall_s.push(began.elapsed().as_secs_f64());
        self.used.push(used);
        Ok(dir)
    }

    fn is_single(&self, cores: Cores) -> bool {
        self.peer.recipe.is_go && cores.server.is_some()
    }

    /// How it was started, with placeholders for paths.
    fn shown(&self, cores: Cores) -> String {
        let program = self.program.file_name().unwrap_or_default().to_string_lossy();
        let environment = if self.is_single(cores) { "GOMAXPROCS=1 " } else { "" };
        format!("{environment}{program} {} {{dir}}/result {{blocks}}", self.verb)
    }

    fn median(&self, value: impl Fn(&Usage) -> f64) -> f64 {
        stats::median(&self.used.iter().map(value).collect::<Vec<f64>>())
    }
}

fn into(dir: &TempDir) -> PathBuf {
    dir.path().join("result")
}

/// The block that was made.
fn result(dir: &TempDir) -> Result<PathBuf> {
    let (block, _) = listed(&into(dir))?.pop().context("no block was made")?;
    Ok(block)
}

/// Fails if two made different blocks.
fn compare(report: &mut Report, made: &[TempDir]) -> Result<()> {
    let [one, others @ ..] = made else { return Ok(()) };
    for other in others {
        let difference = difference(&result(one)?, &result(other)?)?;
        ensure!(difference.is_none(), "the round is void, not the same bytes: {}", difference.unwrap_or_default());
    }
    report.note(if others.is_empty() {
        "bytes not compared, there is no other peer"
    } else {
        "index and chunks have the same bytes"
    });
    Ok(())
}

/// The first file that differs, but for `meta.json`, which has a block's random name.
fn difference(one: &Path, other: &Path) -> Result<Option<String>> {
    let (names, others) = (files(one)?, files(other)?);
    if names != others {
        return Ok(Some(format!("{names:?} and {others:?}")));
    }
    for name in names {
        if fs::read(one.join(&name))? != fs::read(other.join(&name))? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn files(block: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(block.join("chunks")).context("a block without chunks")?;
    let mut names = vec!["index".to_string()];
    for entry in entries {
        names.push(format!("chunks/{}", entry?.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names)
}

fn add_metrics(report: &mut Report, compactors: &[Compactor], samples: f64) {
    use Better::{Higher, Lower};
    let of = |value: &dyn Fn(&Compactor) -> f64| compactors.iter().map(value).collect::<Vec<f64>>();
    report.add("input samples per CPU-second", "", Higher, of(&|c| samples / c.median(|used| used.cpu_s)));
    report.add("CPU", "s", Lower, of(&|c| c.median(|used| used.cpu_s)));
    report.add("wall", "s", Lower, of(&|c| stats::median(&c.wall_s)));
    report.add("peak memory", "MB", Lower, of(&|c| c.median(|used| used.peak_bytes) / 1e6));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(chunk: &str) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("chunks")).unwrap();
        fs::write(dir.path().join("index"), "index").unwrap();
        fs::write(dir.path().join("chunks/000001"), chunk).unwrap();
        dir
    }

    #[test]
    fn blocks_differ_by_any_byte_and_any_file() {
        let (one, same, other) = (block("a"), block("a"), block("b"));
        assert_eq!(difference(one.path(), same.path()).unwrap(), None);
        assert_eq!(difference(one.path(), other.path()).unwrap().unwrap(), "chunks/000001");
        fs::write(same.path().join("chunks/000002"), "").unwrap();
        assert!(difference(one.path(), same.path()).unwrap().is_some());
    }

    #[test]
    fn ours_and_the_oracle_compact() {
        let compactor = |name: &str| Compactor::of(&Peer::new(name, format!("/programs/{name}")).unwrap());
        assert_eq!(compactor(OURS).unwrap().program, Path::new("/programs/examples/compact"));
        let shown = compactor(ORACLE).unwrap().shown(Cores::PINNED);
        assert_eq!(shown, "GOMAXPROCS=1 oracle compact {dir}/result {blocks}");
        assert!(compactor("thanos").is_none());
    }
}
