//! Reading expressions: our parser in this process beside Prometheus's in the oracle's, for the same texts.

use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::json;
use thanoxide_promql::parser::{ParseOptions, parse};

use super::{Benchmark, progress};
use crate::report::{Better, Report};
use crate::setting::Setting;
use crate::stats;

mod corpus;

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
        let names = ["thanoxide", "oracle"].map(str::to_string).to_vec();
        let mut report = Report::new("parse: CPU per expression, medians", names);
        let rounds = setting.rounds.unwrap_or(ROUNDS);
        let mut means = [Vec::new(), Vec::new()];
        for (name, exprs) in corpus::all()? {
            let costs = measured(&exprs, rounds)?;
            costs.iter().zip(&mut means).for_each(|(cost, all)| all.push(*cost));
            report.add(format!("{name}, {} expressions", exprs.len()), "ns", Better::Lower, costs.to_vec());
            progress(&format!("parse, {name}"));
        }
        report.add("geometric mean", "ns", Better::Lower, means.map(|costs| stats::geometric_mean(&costs)).to_vec());
        report.note("both take or refuse every expression alike; Go collects garbage at 400 %");
        Ok(vec![report])
    }
}

/// Nanoseconds an expression, ours and the oracle's, in interleaved rounds.
fn measured(exprs: &[String], rounds: usize) -> Result<[f64; 2]> {
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let (ours, stock) = (ours(exprs), stock(exprs)?);
        let differ = ours.taken.iter().zip(&stock.taken).position(|(a, b)| a != b);
        ensure!(differ.is_none(), "the round is void, one parser refuses {:?}", differ.map(|at| &exprs[at]));
        costs[0].push(ours.nanoseconds / exprs.len() as f64);
        costs[1].push(stock.nanoseconds / exprs.len() as f64);
    }
    Ok(costs.map(|costs| stats::median(&costs)))
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
