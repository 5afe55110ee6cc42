//! Remote write at full speed: every series gets its next sample in every sweep, and all of it is counted at the end.
//!
//! The first sweep makes the series and is reported by itself. Each round after it is some sweeps, sent to one peer after
//! the other from the same bodies. CPU is counted until after the last round, with what a peer does between rounds.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{AGE_MS, Benchmark, INTERVAL_MS, agree, note_commands, progress, seconds, start_all, start_ms, stop_all};
use crate::answer::Answer;
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;
use crate::stats;
use crate::usage::Usage;
use thanoxide_loadgen::replay::replay;
use thanoxide_loadgen::shape::Shape;
use thanoxide_loadgen::template::Protocol;
use thanoxide_loadgen::workload::{Body, Workload};

const ROUNDS: usize = 5;
/// With five rounds and the first sweep: 21 samples per series.
const SWEEPS_PER_ROUND: usize = 4;
/// Every sample there is, by job.
const COUNT_ALL: &str = "sum by (job) (count_over_time({__name__=~\".+\"}[2h]))";

/// Samples per CPU-second, and all that goes with it.
pub(crate) struct Ingest;

/// The same in remote write 2.0.
pub(crate) struct IngestSecond;

/// Bytes of memory per series: the same run, at sizes where it matters.
pub(crate) struct Memory;

impl Benchmark for Ingest {
    fn name(&self) -> &'static str {
        "ingest"
    }

    fn about(&self) -> &'static str {
        "remote write in a closed loop; --sizes 100k"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        run_sizes(setting, Protocol::V1, &[100_000])
    }
}

impl Benchmark for IngestSecond {
    fn name(&self) -> &'static str {
        "ingest2"
    }

    fn about(&self) -> &'static str {
        "the same in remote write 2.0; --sizes 100k"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        run_sizes(setting, Protocol::V2, &[100_000])
    }
}

impl Benchmark for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn about(&self) -> &'static str {
        "the same with memory per series in view; --sizes 200k,1M"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let mut reports = run_sizes(setting, Protocol::V1, &[200_000, 1_000_000])?;
        reports.iter_mut().for_each(|report| report.metrics.retain(|metric| metric.unit == "B/series"));
        Ok(reports)
    }
}

fn run_sizes(setting: &Setting, protocol: Protocol, default_sizes: &[u64]) -> Result<Vec<Report>> {
    let sizes = if setting.sizes.is_empty() { default_sizes } else { &setting.sizes };
    let mut reports = Vec::new();
    for &series in sizes {
        reports.push(run_size(setting, protocol, series, SWEEPS_PER_ROUND)?);
    }
    note_growth(&mut reports, sizes);
    Ok(reports)
}

/// One size with all peers at once.
pub(crate) fn run_size(setting: &Setting, protocol: Protocol, series: u64, sweeps_per_round: usize) -> Result<Report> {
    let rounds = setting.rounds.unwrap_or(ROUNDS);
    let span_ms = (1 + rounds * sweeps_per_round) as i64 * INTERVAL_MS;
    ensure!(span_ms < AGE_MS, "{rounds} rounds of {sweeps_per_round} sweeps reach into the future");
    progress(&format!("ingest: encoding {series} series"));
    let mut workload = Workload::speaking(protocol, Shape::L10, series, start_ms(), INTERVAL_MS, 1);
    let mut runs: Vec<Run> = start_all(setting)?.into_iter().map(Run::new).collect::<Result<_>>()?;
    for round in 0..=rounds {
        let sweeps = if round == 0 { 1 } else { sweeps_per_round };
        let bodies: Vec<Vec<Body>> = (0..sweeps).map(|_| workload.sweep()).collect::<Result<_>>()?;
        for run in &mut runs {
            run.round(workload.headers(), &bodies, workload.sweep_samples() * sweeps as u64, round == 0)?;
            progress(&format!("ingest {series}, round {round}/{rounds}: {}", run.last_round()));
        }
    }
    runs.iter_mut().try_for_each(Run::finish)?;
    let title =
        format!("ingest, {protocol}: {series} series, {} samples each, 1 a request and series", span_ms / INTERVAL_MS);
    let mut report = Report::new(title, setting.peer_names());
    add_metrics(&mut report, &runs, series);
    compare_counts(&mut report, &runs, workload.next_ms())?;
    let running: Vec<Running> = runs.into_iter().map(|run| run.running).collect();
    note_commands(&mut report, &running);
    stop_all(running)?;
    Ok(report)
}

/// A peer's way through the rounds.
struct Run {
    running: Running,
    at_ready: Usage,
    first: Round,
    rounds: Vec<Round>,
    acks: Vec<f64>,
    /// After the first sweep.
    at_steady: Usage,
    at_end: Usage,
    disk_bytes: f64,
}

#[derive(Clone, Copy, Default)]
struct Round {
    samples: f64,
    cpu_s: f64,
    wall_s: f64,
    longest_ack_s: f64,
}

impl Run {
    fn new(running: Running) -> Result<Self> {
        let at_ready = running.usage()?;
        Ok(Run {
            running,
            at_ready,
            first: Round::default(),
            rounds: Vec::new(),
            acks: Vec::new(),
            at_steady: at_ready,
            at_end: at_ready,
            disk_bytes: f64::NAN,
        })
    }

    fn round(&mut self, headers: &str, bodies: &[Vec<Body>], samples: u64, is_first: bool) -> Result<()> {
        let (before, start) = (self.running.usage()?, Instant::now());
        let acks = replay(&self.running.write_endpoint()?, headers, bodies)?;
        let (wall_s, after) = (start.elapsed().as_secs_f64(), self.running.usage()?);
        let cpu_s = (after - before).cpu_s;
        let round = Round { samples: samples as f64, cpu_s, wall_s, longest_ack_s: stats::max(&acks) };
        if is_first {
            (self.first, self.at_steady) = (round, after);
        } else {
            self.rounds.push(round);
            self.acks.extend(acks);
        }
        Ok(())
    }

    fn last_round(&self) -> String {
        let round = self.rounds.last().unwrap_or(&self.first);
        let (name, rate) = (self.running.peer.name(), round.samples / round.wall_s);
        format!("{name} {:.0} ns CPU per sample, {rate:.0} samples/s", round.ns_per_sample())
    }

    fn finish(&mut self) -> Result<()> {
        self.at_end = self.running.usage()?;
        self.disk_bytes = self.running.disk_bytes() as f64;
        Ok(())
    }

    fn steady_samples(&self) -> f64 {
        self.rounds.iter().map(|round| round.samples).sum()
    }

    fn all_samples(&self) -> f64 {
        self.steady_samples() + self.first.samples
    }

    /// CPU seconds per sample of everything after the first sweep.
    fn cpu_per_sample(&self) -> f64 {
        (self.at_end - self.at_steady).cpu_s / self.steady_samples()
    }

    fn round_ns(&self) -> Vec<f64> {
        self.rounds.iter().map(Round::ns_per_sample).collect()
    }
}

impl Round {
    fn ns_per_sample(&self) -> f64 {
        1e9 * self.cpu_s / self.samples
    }
}

fn add_metrics(report: &mut Report, runs: &[Run], series: u64) {
    use Better::{Higher, Lower};
    let of = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    let series = series as f64;
    report.add("samples per CPU-second", "", Higher, of(&|r| 1.0 / r.cpu_per_sample()));
    report.add("CPU per sample", "ns", Lower, of(&|r| 1e9 * r.cpu_per_sample()));
    report.add("CPU per sample, median round", "ns", Lower, of(&|r| stats::median(&r.round_ns())));
    report.add("CPU per sample, best round", "ns", Lower, of(&|r| stats::min(&r.round_ns())));
    let wall = |r: &Run| r.rounds.iter().map(|round| round.wall_s).sum::<f64>();
    report.add("samples per second", "", Higher, of(&|r| r.steady_samples() / wall(r)));
    report.add("ack p50", "ms", Lower, of(&|r| 1e3 * stats::median(&r.acks)));
    report.add("ack p99", "ms", Lower, of(&|r| 1e3 * stats::quantile(&r.acks, 0.99)));
    report.add("ack max", "ms", Lower, of(&|r| 1e3 * stats::max(&r.acks)));
    report.add("CPU per new series", "ns", Lower, of(&|r| r.first.ns_per_sample()));
    report.add("ack max, new series", "ms", Lower, of(&|r| 1e3 * r.first.longest_ack_s));
    let resident = |r: &Run| r.at_end.resident_bytes - r.at_ready.resident_bytes;
    report.add("resident", "B/series", Lower, of(&|r| resident(r) / series));
    report.add("peak", "B/series", Lower, of(&|r| (r.at_end.peak_bytes - r.at_ready.resident_bytes) / series));
    report.add("resident when empty", "MB", Lower, of(&|r| r.at_ready.resident_bytes / 1e6));
    let written = |r: &Run| (r.at_end - r.at_ready).written_bytes;
    report.add("written", "B/sample", Lower, of(&|r| written(r) / r.all_samples()));
    report.add("on disk", "B/sample", Lower, of(&|r| r.disk_bytes / r.all_samples()));
}

/// Every peer must hold every sample.
fn compare_counts(report: &mut Report, runs: &[Run], end_ms: i64) -> Result<()> {
    let time = seconds(end_ms);
    let fields = [("query", COUNT_ALL), ("time", time.as_str())];
    let answers: Result<Vec<Answer>> = runs
        .iter()
        .map(|run| {
            run.running.flush()?;
            run.running.answer("query", &fields, &[])
        })
        .collect();
    let answers = answers?;
    ensure!(answers.iter().all(|answer| answer.series_count() > 0), "a peer has none of the samples");
    let pairs: Vec<(&Running, &Answer)> = runs.iter().map(|run| &run.running).zip(&answers).collect();
    agree("count of all samples", &pairs, report)
}

/// How cost grows with size, where there are several sizes.
pub(crate) fn note_growth(reports: &mut [Report], sizes: &[u64]) {
    let Some(names) = reports.first().map(|report| report.peers.clone()) else { return };
    for (peer, name) in names.iter().enumerate() {
        let costs = reports.iter().map(|report| {
            let metric = report.metrics.iter().find(|metric| metric.name == "CPU per sample");
            metric.map_or(f64::NAN, |metric| metric.values[peer])
        });
        let points: Vec<(f64, f64)> = sizes.iter().map(|&s| s as f64).zip(costs).map(|(s, ns)| (s, s * ns)).collect();
        if let (Some(k), Some(last)) = (stats::growth(&points), reports.last_mut()) {
            last.note(format!("CPU of a sweep grows as series^{k:.2}: {name}"));
        }
    }
}
