//! `sum by (job) (rate(x_total[5m]))` over an hour of fresh samples, loaded through remote write.

use anyhow::{Result, ensure};

use super::{Benchmark, INTERVAL_MS, agree, note_commands, progress, seconds, start_all, start_ms, stop_all};
use crate::answer::Answer;
use crate::peer::Peer;
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;
use crate::stats;
use thanoxide_loadgen::replay::replay;
use thanoxide_loadgen::shape::Shape;
use thanoxide_loadgen::workload::Workload;

const NAME: &str = "x_total";
const QUERY: &str = "sum by (job) (rate(x_total[5m]))";
const SERIES: u64 = 20_000;
const HOUR_MS: i64 = 3_600_000;
const STEP: &str = "30";
const ROUNDS: usize = 5;
/// CPU is counted in steps of 10 ms: several queries share a reading.
const QUERIES_PER_ROUND: usize = 5;
/// Samples of a series in one request while loading.
const LOAD_SAMPLES: usize = 12;

/// A rate over what came in within the last hours.
pub(crate) struct Query;

impl Benchmark for Query {
    fn name(&self) -> &'static str {
        "query"
    }

    fn about(&self) -> &'static str {
        "sum by (job) (rate(x_total[5m])) over 1 h, step 30 s, in the head; --sizes 20k"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let sizes = if setting.sizes.is_empty() { &[SERIES] } else { setting.sizes.as_slice() };
        sizes.iter().map(|&series| run_size(setting, series, HOUR_MS)).collect()
    }
}

/// One size with all peers, over so much time.
pub(crate) fn run_size(setting: &Setting, series: u64, span_ms: i64) -> Result<Report> {
    let mut workload = Workload::new(Shape::Counters(NAME), series, start_ms(), INTERVAL_MS, LOAD_SAMPLES);
    let (start, end) = (seconds(workload.next_ms()), seconds(workload.next_ms() + span_ms));
    let running = start_all(setting)?;
    load(&running, &mut workload, span_ms)?;
    let fields = [("query", QUERY), ("start", start.as_str()), ("end", end.as_str()), ("step", STEP)];
    let title = format!("query: {QUERY}, {series} series, {} min at 15 s, step {STEP} s", span_ms / 60_000);
    let mut report = Report::new(title, setting.peer_names());
    compare_answers(&mut report, &running, &fields)?;
    let mut runs: Vec<Run> = running.into_iter().map(Run::new).collect();
    let rounds = setting.rounds.unwrap_or(ROUNDS);
    for round in 1..=rounds {
        for run in &mut runs {
            run.round(&fields)?;
            progress(&format!("query, round {round}/{rounds}: {}", run.last_round()));
        }
    }
    add_metrics(&mut report, &runs, rounds * QUERIES_PER_ROUND);
    let running: Vec<Running> = runs.into_iter().map(|run| run.running).collect();
    note_commands(&mut report, &running);
    stop_all(running)?;
    Ok(report)
}

fn load(running: &[Running], workload: &mut Workload, span_ms: i64) -> Result<()> {
    let end_ms = workload.next_ms() + span_ms;
    while workload.next_ms() < end_ms {
        let bodies = [workload.sweep()?];
        for peer in running {
            replay(&peer.write_endpoint()?, workload.headers(), &bodies)?;
        }
        progress(&format!("query: {} s of samples to load", (end_ms - workload.next_ms()).max(0) / 1000));
    }
    running.iter().try_for_each(Running::flush)
}

/// Also warms every peer up.
fn compare_answers(report: &mut Report, running: &[Running], fields: &[(&str, &str)]) -> Result<()> {
    let answers: Result<Vec<Answer>> = running.iter().map(|peer| peer.answer("query_range", fields, &[])).collect();
    let answers = answers?;
    ensure!(answers.iter().all(|answer| answer.point_count() > 0), "a peer answers nothing");
    let pairs: Vec<(&Peer, &Answer)> = running.iter().map(|running| &running.peer).zip(&answers).collect();
    agree(QUERY, &pairs, report)
}

/// A peer's way through the rounds.
struct Run {
    running: Running,
    walls_s: Vec<f64>,
    cpu_s: Vec<f64>,
    peak_bytes: Vec<f64>,
}

impl Run {
    fn new(running: Running) -> Self {
        Run { running, walls_s: Vec::new(), cpu_s: Vec::new(), peak_bytes: Vec::new() }
    }

    fn round(&mut self, fields: &[(&str, &str)]) -> Result<()> {
        self.running.reset_peak()?;
        let before = self.running.usage()?;
        for _ in 0..QUERIES_PER_ROUND {
            self.walls_s.push(self.running.ask("query_range", fields)?.1);
        }
        let after = self.running.usage()?;
        self.cpu_s.push((after - before).cpu_s / QUERIES_PER_ROUND as f64);
        self.peak_bytes.push(after.peak_bytes);
        Ok(())
    }

    fn last_round(&self) -> String {
        let recent = &self.walls_s[self.walls_s.len() - QUERIES_PER_ROUND..];
        let cpu_ms = 1e3 * self.cpu_s.last().unwrap_or(&f64::NAN);
        format!("{} {:.1} ms, CPU {cpu_ms:.1} ms", self.running.peer.name(), 1e3 * stats::median(recent))
    }
}

fn add_metrics(report: &mut Report, runs: &[Run], queries: usize) {
    let mut add = |name: &str, unit, value: &dyn Fn(&Run) -> f64| {
        report.add(name, unit, Better::Lower, runs.iter().map(value).collect());
    };
    add("CPU per query", "ms", &|r| 1e3 * r.cpu_s.iter().sum::<f64>() / r.cpu_s.len() as f64);
    add("CPU per query, best round", "ms", &|r| 1e3 * stats::min(&r.cpu_s));
    add("wall p50", "ms", &|r| 1e3 * stats::median(&r.walls_s));
    add("wall min", "ms", &|r| 1e3 * stats::min(&r.walls_s));
    add("wall max", "ms", &|r| 1e3 * stats::max(&r.walls_s));
    add("peak memory of the process", "MB", &|r| stats::max(&r.peak_bytes) / 1e6);
    report.note(format!("{queries} queries each"));
}
