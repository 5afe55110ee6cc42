//! Reading expressions: our parser in this process beside Prometheus's in the oracle's, for the same texts.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::{Value, json};
use thanoxide_promql::parser::{ParseOptions, parse};

use super::blocks::shared;
use super::{Benchmark, progress};
use crate::report::{Better, Report};
use crate::setting::Setting;
use crate::stats;

const ROUNDS: usize = 5;
/// All expressions are read so often in a round, so that a reading takes long enough.
const REPEATS: usize = 20;

/// CPU time of parsing.
pub(crate) struct Parse;

/// What one parser did with all expressions, once.
#[derive(Debug, Deserialize)]
struct Parsed {
    taken: Vec<bool>,
    nanoseconds: f64,
}

impl Benchmark for Parse {
    fn name(&self) -> &'static str {
        "parse"
    }

    fn about(&self) -> &'static str {
        "reading the corpus's expressions, beside Prometheus's parser"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let exprs = expressions()?;
        let mut costs = [Vec::new(), Vec::new()];
        let rounds = setting.rounds.unwrap_or(ROUNDS);
        for round in 1..=rounds {
            let (ours, stock) = (ours(&exprs), stock(&exprs)?);
            let differ = ours.taken.iter().zip(&stock.taken).position(|(a, b)| a != b);
            ensure!(differ.is_none(), "the round is void, one parser refuses {:?}", differ.map(|at| &exprs[at]));
            costs[0].push(ours.nanoseconds / exprs.len() as f64);
            costs[1].push(stock.nanoseconds / exprs.len() as f64);
            progress(&format!("parse, round {round}/{rounds}"));
        }
        let names = ["thanoxide", "oracle"].map(str::to_string).to_vec();
        let mut report = Report::new(format!("parse: {} expressions", exprs.len()), names);
        report.add(
            "CPU per expression, median",
            "ns",
            Better::Lower,
            costs.each_ref().map(|c| stats::median(c)).to_vec(),
        );
        report.add("CPU per expression, best", "ns", Better::Lower, costs.each_ref().map(|c| stats::min(c)).to_vec());
        report.note("every expression is taken or refused by both alike; garbage is collected at 400 %");
        Ok(vec![report])
    }
}

/// The golden expressions, good and bad.
fn expressions() -> Result<Vec<String>> {
    let path = shared("golden/expr/expr.jsonl.gz");
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = |line: std::io::Result<String>| {
        let case: Value = serde_json::from_str(&line?).context("a bad line")?;
        Ok(case["expr"].as_str().context("a case without an expression")?.to_string())
    };
    BufReader::new(GzDecoder::new(file)).lines().map(text).collect()
}

fn ours(exprs: &[String]) -> Parsed {
    let options = ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..ParseOptions::default()
    };
    let start = cpu_nanoseconds();
    for _ in 1..REPEATS {
        exprs.iter().for_each(|expr| drop(black_box(parse(black_box(expr), &options))));
    }
    let taken = exprs.iter().map(|expr| parse(expr, &options).is_ok()).collect();
    Parsed { taken, nanoseconds: (cpu_nanoseconds() - start) / REPEATS as f64 }
}

fn stock(exprs: &[String]) -> Result<Parsed> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/bin/oracle-batch");
    let mut command = Command::new(&program);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}: cargo xtask prepare", program.display()))?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    writeln!(stdin, "{}", json!({ "parse": exprs, "rounds": REPEATS }))?;
    drop(stdin);
    let output = child.wait_with_output()?;
    serde_json::from_slice(&output.stdout).context("the oracle's answer is no JSON")
}

/// What this thread used.
fn cpu_nanoseconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
