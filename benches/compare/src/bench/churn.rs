//! Series that come and go: in every round a tenth of all series is replaced by series that were never there.
//!
//! At the end a last scrape is sent and asked for at once: everything that was acknowledged must be readable.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use thanoxide_loadgen::replay::replay;
use thanoxide_loadgen::shape::Shape;
use thanoxide_loadgen::workload::Workload;

use super::{Benchmark, INTERVAL_MS, note_commands, progress, seconds, start_all, start_ms, stop_all};
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;
use crate::stats;

const SERIES: u64 = 200_000;
const ROUNDS: usize = 10;
/// One request in so many is replaced in a round.
const EVERY: usize = 10;
/// What was acknowledged must be readable after so long.
const READABLE: Duration = Duration::from_secs(1);

/// New series per CPU-second, and the longest acknowledgement.
pub(crate) struct Churn;

impl Benchmark for Churn {
    fn name(&self) -> &'static str {
        "churn"
    }

    fn about(&self) -> &'static str {
        "a first sweep of new series, then a tenth of them replaced in each round; --sizes 200k"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let sizes = if setting.sizes.is_empty() { &[SERIES] } else { setting.sizes.as_slice() };
        sizes.iter().map(|&series| run_size(setting, series)).collect()
    }
}

/// A peer's readings.
struct Run {
    running: Running,
    first_cpu_s: f64,
    steady_cpu_s: f64,
    churn_cpu_s: f64,
    acks: Vec<f64>,
    readable_s: f64,
    grown_bytes: f64,
}

fn run_size(setting: &Setting, series: u64) -> Result<Report> {
    let rounds = setting.rounds.unwrap_or(ROUNDS);
    let mut workload = Workload::new(Shape::L10, series, start_ms(), INTERVAL_MS, 1);
    let mut runs: Vec<Run> = start_all(setting)?.into_iter().map(Run::new).collect();
    let before: Vec<f64> = runs.iter().map(|run| Ok(run.running.usage()?.resident_bytes)).collect::<Result<_>>()?;
    let (first, steady) = (workload.sweep()?, workload.sweep()?);
    for run in &mut runs {
        run.first_cpu_s = run.send(&first)?;
        run.send(&steady)?;
        run.acks.clear();
    }
    let mut replaced = 0;
    for round in 1..=rounds {
        replaced += workload.churn(EVERY.min(series.div_ceil(2_000) as usize), round);
        // A sweep with new series, then one without, so that what else a server does is in both.
        let (bodies, steady) = (workload.sweep()?, workload.sweep()?);
        for run in &mut runs {
            let cpu_s = run.send(&bodies)?;
            run.churn_cpu_s += cpu_s;
            run.steady_cpu_s += run.send(&steady)?;
            progress(&format!("churn {series}, round {round}/{rounds}: {} CPU {cpu_s:.2} s", run.running.peer.name()));
        }
    }
    let (bodies, time_ms) = (workload.sweep()?, workload.next_ms());
    for (run, before) in runs.iter_mut().zip(before) {
        run.send(&bodies)?;
        run.await_readable(series, time_ms)?;
        run.grown_bytes = run.running.usage()?.peak_bytes - before;
    }
    report(setting, runs, series, replaced, rounds)
}

impl Run {
    fn new(running: Running) -> Self {
        let nan = f64::NAN;
        Run {
            running,
            first_cpu_s: nan,
            steady_cpu_s: 0.0,
            churn_cpu_s: 0.0,
            acks: Vec::new(),
            readable_s: nan,
            grown_bytes: nan,
        }
    }

    /// Sends a sweep; its CPU seconds.
    fn send(&mut self, bodies: &[Vec<u8>]) -> Result<f64> {
        let before = self.running.usage()?;
        let headers = thanoxide_loadgen::template::Protocol::V1.headers();
        self.acks.extend(replay(&self.running.write_endpoint()?, headers, &[bodies.to_vec()])?);
        Ok((self.running.usage()? - before).cpu_s)
    }

    /// Asks until the last scrape is there whole; an exact peer has a second for it.
    fn await_readable(&mut self, series: u64, time_ms: i64) -> Result<()> {
        let began = Instant::now();
        let query = format!("count(count_over_time({{__name__=~\".+\"}}[{}ms]))", INTERVAL_MS * 3 / 2);
        let time = seconds(time_ms - INTERVAL_MS / 2);
        loop {
            self.running.flush()?;
            let asked = began.elapsed();
            let (body, _) = self.running.ask("query", &[("query", &query), ("time", &time)])?;
            let answer: serde_json::Value = serde_json::from_slice(&body)?;
            let count = answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
            if count.is_some_and(|count| count >= series as f64) {
                self.readable_s = asked.as_secs_f64();
                return Ok(());
            }
            let (exact, name) = (self.running.peer.recipe.is_exact, self.running.peer.name());
            ensure!(!exact || asked < READABLE, "{name}: {count:?} of {series} acknowledged series are readable");
            ensure!(asked < 30 * READABLE, "{name}: {count:?} of {series} series are readable after 30 s");
        }
    }
}

fn report(setting: &Setting, runs: Vec<Run>, series: u64, replaced: u64, rounds: usize) -> Result<Report> {
    use Better::{Higher, Lower};
    let title = format!("churn: {series} series, {replaced} replaced in {rounds} rounds");
    let mut report = Report::new(title, setting.peer_names());
    let of = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    report.add("new series per CPU-second, first sweep", "", Higher, of(&|r| series as f64 / r.first_cpu_s));
    report.add("CPU of a round with new series", "ms", Lower, of(&|r| 1e3 * r.churn_cpu_s / rounds as f64));
    report.add("CPU of a round without", "ms", Lower, of(&|r| 1e3 * r.steady_cpu_s / rounds as f64));
    report.add("ack p99", "ms", Lower, of(&|r| 1e3 * stats::quantile(&r.acks, 0.99)));
    report.add("ack max", "ms", Lower, of(&|r| 1e3 * stats::max(&r.acks)));
    report.add("asked after the last ack, all there", "ms", Lower, of(&|r| 1e3 * r.readable_s));
    let all = (series + replaced) as f64;
    report.add("peak memory, all series that ever were", "B/series", Lower, of(&|r| r.grown_bytes / all));
    let running: Vec<Running> = runs.into_iter().map(|run| run.running).collect();
    note_commands(&mut report, &running);
    stop_all(running)?;
    Ok(report)
}
