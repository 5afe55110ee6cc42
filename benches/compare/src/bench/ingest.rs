//! Remote write at full speed: every series gets its next sample in every sweep, and all of it is counted at the end.
//!
//! The first sweep makes the series and is reported by itself. Each round after it is some sweeps, sent to one peer after
//! the other from the same bodies. CPU is counted until after the last round, with what a peer does between rounds.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{AGE_MS, Benchmark, INTERVAL_MS, agree, progress, seconds, start_ms};
use crate::answer::Answer;
use crate::peer::Peer;
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
const COUNT_ALL: &str = "sum by (job) (count_over_time({__name__=~\".+\"}[3h]))";
/// All that was acknowledged is readable so soon.
const READABLE_S: f64 = 1.0;
/// So long a peer that need not be exact is asked.
const PATIENCE_S: f64 = 30.0;
/// Above this size the peers run one after the other, for one round unless more are asked for.
const LARGE: u64 = 1_000_000;
/// Two hours of samples, and the sweeps over which the series begin, so that their chunks do not end together.
const TWO_HOURS_SWEEPS: usize = 480;
const BEGIN_SWEEPS: usize = 120;

/// Samples per CPU-second, and all that goes with it.
pub(crate) struct Ingest;

/// The same in remote write 2.0.
pub(crate) struct IngestSecond;

/// Bytes of memory per series: the same run, at sizes where it matters.
pub(crate) struct Memory;

/// The same after two hours, with chunks that end at different times.
pub(crate) struct MemoryTwoHours;

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
        "the same with memory per series in view; --sizes 500k,1M,2M"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let mut reports = run_sizes(setting, Protocol::V1, &[500_000, 1_000_000, 2_000_000])?;
        reports.iter_mut().for_each(keep_memory);
        Ok(reports)
    }
}

impl Benchmark for MemoryTwoHours {
    fn name(&self) -> &'static str {
        "memory2h"
    }

    fn about(&self) -> &'static str {
        "memory per series after two hours at 15 s, chunk phases spread; --sizes 200k"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let sizes = if setting.sizes.is_empty() { &[200_000][..] } else { &setting.sizes };
        let run = |&series: &u64| {
            let rounds = (TWO_HOURS_SWEEPS + BEGIN_SWEEPS) / SWEEPS_PER_ROUND;
            let load = Load { begin_sweeps: BEGIN_SWEEPS, rounds, ..Load::new(setting, Protocol::V1, series) };
            let mut report = load.report()?;
            keep_memory(&mut report);
            Ok(report)
        };
        sizes.iter().map(run).collect()
    }
}

fn keep_memory(report: &mut Report) {
    report.metrics.retain(|metric| metric.unit == "B/series");
}

fn run_sizes(setting: &Setting, protocol: Protocol, default_sizes: &[u64]) -> Result<Vec<Report>> {
    let sizes = if setting.sizes.is_empty() { default_sizes } else { &setting.sizes };
    let mut reports = Vec::new();
    for &series in sizes {
        reports.push(Load::new(setting, protocol, series).report()?);
    }
    note_growth(&mut reports, sizes);
    Ok(reports)
}

/// One size with few samples.
pub(crate) fn run_size(setting: &Setting, protocol: Protocol, series: u64, sweeps_per_round: usize) -> Result<Report> {
    Load { sweeps_per_round, ..Load::new(setting, protocol, series) }.report()
}

/// What every peer gets.
#[derive(Clone, Copy)]
struct Load<'a> {
    setting: &'a Setting,
    protocol: Protocol,
    series: u64,
    rounds: usize,
    sweeps_per_round: usize,
    /// Over so many sweeps the series begin; 1 is all at once.
    begin_sweeps: usize,
}

impl<'a> Load<'a> {
    fn new(setting: &'a Setting, protocol: Protocol, series: u64) -> Self {
        let rounds = setting.rounds.unwrap_or(if series > LARGE { 1 } else { ROUNDS });
        Load { setting, protocol, series, rounds, sweeps_per_round: SWEEPS_PER_ROUND, begin_sweeps: 1 }
    }

    fn sweeps(&self) -> usize {
        1 + self.rounds * self.sweeps_per_round
    }

    /// Early enough that the last sample is not from the future.
    fn start_ms(&self) -> i64 {
        start_ms() - (self.sweeps() as i64 * INTERVAL_MS - AGE_MS).max(0)
    }

    fn report(&self) -> Result<Report> {
        let (peers, start_ms) = (&self.setting.peers, self.start_ms());
        let together = if self.series > LARGE { 1 } else { peers.len() };
        let readings: Vec<Vec<Readings>> =
            peers.chunks(together).map(|peers| self.measure(peers, start_ms)).collect::<Result<_>>()?;
        let readings = readings.concat();
        let (series, sweeps) = (self.series, self.sweeps());
        let title =
            format!("ingest, {}: {series} series, {sweeps} samples each, 1 a request and series", self.protocol);
        let mut report = Report::new(title, self.setting.peer_names());
        add_metrics(&mut report, &readings, series);
        let counts: Vec<_> = readings.iter().map(|reading| (&reading.peer, &reading.counts)).collect();
        agree("count of all samples", &counts, &mut report)?;
        readings.iter().flat_map(|reading| &reading.commands).for_each(|command| report.note(command));
        Ok(report)
    }

    /// Some peers in interleaved rounds.
    fn measure(&self, peers: &[Peer], start_ms: i64) -> Result<Vec<Readings>> {
        let (series, rounds) = (self.series, self.rounds);
        progress(&format!("ingest: encoding {series} series"));
        let mut workload = Workload::speaking(self.protocol, Shape::L10, series, start_ms, INTERVAL_MS, 1)
            .beginning_over(self.begin_sweeps);
        let running = peers.iter().map(|peer| Running::empty(peer, self.setting.cores));
        let mut runs: Vec<Run> = running.map(|running| Run::new(running?)).collect::<Result<_>>()?;
        for round in 0..=rounds {
            let before = workload.sent();
            let sweeps = if round == 0 { 1 } else { self.sweeps_per_round };
            let bodies: Vec<Vec<Body>> = (0..sweeps).map(|_| workload.sweep()).collect::<Result<_>>()?;
            for run in &mut runs {
                run.round(workload.headers(), &bodies, workload.sent() - before, round == 0)?;
                progress(&format!("ingest {series}, round {round}/{rounds}: {}", run.last_round()));
                if round == rounds {
                    run.finish(workload.next_ms(), workload.sent())?;
                }
            }
        }
        runs.into_iter().map(Run::end).collect()
    }
}

/// A peer's way through the rounds.
struct Run {
    running: Running,
    readings: Readings,
}

/// What a peer used, and its answer.
#[derive(Clone)]
struct Readings {
    peer: Peer,
    commands: Vec<String>,
    at_ready: Usage,
    first: Round,
    rounds: Vec<Round>,
    acks: Vec<f64>,
    /// After the first sweep.
    at_steady: Usage,
    at_end: Usage,
    disk_bytes: f64,
    /// From the last acknowledgement to the first question that was answered with all samples.
    readable_s: f64,
    counts: Answer,
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
        let readings = Readings {
            peer: running.peer.clone(),
            commands: running.commands().to_vec(),
            at_ready,
            first: Round::default(),
            rounds: Vec::new(),
            acks: Vec::new(),
            at_steady: at_ready,
            at_end: at_ready,
            disk_bytes: f64::NAN,
            readable_s: f64::NAN,
            counts: Answer::default(),
        };
        Ok(Run { running, readings })
    }

    fn round(&mut self, headers: &str, bodies: &[Vec<Body>], samples: u64, is_first: bool) -> Result<()> {
        let (before, start) = (self.running.usage()?, Instant::now());
        let acks = replay(&self.running.write_endpoint()?, headers, bodies)?;
        let (wall_s, after) = (start.elapsed().as_secs_f64(), self.running.usage()?);
        let cpu_s = (after - before).cpu_s;
        let round = Round { samples: samples as f64, cpu_s, wall_s, longest_ack_s: stats::max(&acks) };
        let readings = &mut self.readings;
        if is_first {
            (readings.first, readings.at_steady) = (round, after);
        } else {
            readings.rounds.push(round);
            readings.acks.extend(acks);
        }
        Ok(())
    }

    fn last_round(&self) -> String {
        let round = self.readings.rounds.last().unwrap_or(&self.readings.first);
        let (name, rate) = (self.running.peer.name(), round.samples / round.wall_s);
        format!("{name} {:.0} ns CPU per sample, {rate:.0} samples/s", round.ns_per_sample())
    }

    /// Right after the last round.
    fn finish(&mut self, end_ms: i64, samples: u64) -> Result<()> {
        let acknowledged = Instant::now();
        self.readings.at_end = self.running.usage()?;
        self.await_readable(acknowledged, end_ms, samples)?;
        self.readings.disk_bytes = self.running.disk_bytes() as f64;
        Ok(())
    }

    /// Asks until every sample is there. An exact peer has a second for it; of others it is told how it was.
    fn await_readable(&mut self, acknowledged: Instant, end_ms: i64, samples: u64) -> Result<()> {
        let (time, name) = (seconds(end_ms), self.running.peer.name());
        loop {
            self.running.flush()?;
            let asked_s = acknowledged.elapsed().as_secs_f64();
            let counts = self.running.answer("query", &[("query", COUNT_ALL), ("time", &time)], &[])?;
            let (found, is_exact) = (counts.sum(), self.running.peer.recipe.is_exact);
            let is_whole = found == samples as f64;
            if is_whole || (!is_exact && asked_s > PATIENCE_S) {
                self.readings.counts = counts;
                self.readings.readable_s = if is_whole { asked_s } else { f64::NAN };
                return Ok(());
            }
            let is_late = is_exact && asked_s > READABLE_S;
            ensure!(!is_late, "{name}: {found} of {samples} samples readable {asked_s:.1} s after the last ack");
        }
    }

    fn end(self) -> Result<Readings> {
        self.running.stop()?;
        Ok(self.readings)
    }
}

impl Readings {
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

fn add_metrics(report: &mut Report, readings: &[Readings], series: u64) {
    use Better::{Higher, Lower};
    let of = |value: &dyn Fn(&Readings) -> f64| readings.iter().map(value).collect::<Vec<f64>>();
    let series = series as f64;
    report.add("samples per CPU-second", "", Higher, of(&|r| 1.0 / r.cpu_per_sample()));
    report.add("CPU per sample", "ns", Lower, of(&|r| 1e9 * r.cpu_per_sample()));
    report.add("CPU per sample, median round", "ns", Lower, of(&|r| stats::median(&r.round_ns())));
    report.add("CPU per sample, best round", "ns", Lower, of(&|r| stats::min(&r.round_ns())));
    let wall = |r: &Readings| r.rounds.iter().map(|round| round.wall_s).sum::<f64>();
    report.add("samples per second", "", Higher, of(&|r| r.steady_samples() / wall(r)));
    report.add("ack p50", "ms", Lower, of(&|r| 1e3 * stats::median(&r.acks)));
    report.add("ack p99", "ms", Lower, of(&|r| 1e3 * stats::quantile(&r.acks, 0.99)));
    report.add("ack max", "ms", Lower, of(&|r| 1e3 * stats::max(&r.acks)));
    report.add("all readable after the last ack", "ms", Lower, of(&|r| 1e3 * r.readable_s));
    report.add("CPU per new series", "ns", Lower, of(&|r| r.first.ns_per_sample()));
    report.add("ack max, new series", "ms", Lower, of(&|r| 1e3 * r.first.longest_ack_s));
    let resident = |r: &Readings| r.at_end.resident_bytes - r.at_ready.resident_bytes;
    report.add("resident", "B/series", Lower, of(&|r| resident(r) / series));
    report.add("peak", "B/series", Lower, of(&|r| (r.at_end.peak_bytes - r.at_ready.resident_bytes) / series));
    report.add("resident when empty", "MB", Lower, of(&|r| r.at_ready.resident_bytes / 1e6));
    let written = |r: &Readings| (r.at_end - r.at_ready).written_bytes;
    report.add("written", "B/sample", Lower, of(&|r| written(r) / r.all_samples()));
    report.add("on disk", "B/sample", Lower, of(&|r| r.disk_bytes / r.all_samples()));
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
