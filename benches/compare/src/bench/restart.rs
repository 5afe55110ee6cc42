//! kill -9 and start again: how soon a server is ready, how soon it answers rightly, and what memory that takes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use thanoxide_loadgen::replay::replay;
use thanoxide_loadgen::shape::Shape;
use thanoxide_loadgen::workload::Workload;

use super::{AGE_MS, Benchmark, INTERVAL_MS, note_commands, progress, seconds, start_ms, stop_all};
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;

/// Series and samples of each.
const CASES: [(u64, usize); 2] = [(500_000, 60), (200_000, 480)];
/// So many lines say how far the load has come.
const TOLD: usize = 10;
/// So long a peer that is ready and need not be exact is asked: some lose what they acknowledged last.
const PATIENCE: Duration = Duration::from_secs(10);
/// Counts every sample.
const COUNT_ALL: &str = "sum(count_over_time({__name__=~\".+\"}[3h]))";

/// Time to ready after a crash.
pub(crate) struct Restart;

impl Benchmark for Restart {
    fn name(&self) -> &'static str {
        "restart"
    }

    fn about(&self) -> &'static str {
        "kill -9 and start again: 500k series x 60 samples, 200k x 480; --sizes N [--samples 60]"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let asked: Vec<(u64, usize)> =
            setting.sizes.iter().map(|&series| (series, setting.samples.unwrap_or(60))).collect();
        let cases = if asked.is_empty() { &CASES[..] } else { &asked };
        cases.iter().map(|&(series, samples)| run_case(setting, series, samples)).collect()
    }
}

/// What one peer needed.
struct Recovery {
    ready_s: f64,
    answered_s: f64,
    memory_ratio: f64,
    before_bytes: f64,
    cpu_s: f64,
}

fn run_case(setting: &Setting, series: u64, samples: usize) -> Result<Report> {
    ensure!(samples as i64 * INTERVAL_MS <= AGE_MS, "{samples} samples reach into the future");
    let (mut all, mut stopped) = (Vec::new(), Vec::new());
    for peer in &setting.peers {
        let mut running = Running::empty(peer, setting.cores)?;
        let end_ms = load(&running, series, samples)?;
        all.push(recover(setting, &mut running, (series * samples as u64) as f64, end_ms)?);
        stopped.push(running);
    }
    let title = format!("restart: kill -9 with {series} series of {samples} samples");
    let mut report = Report::new(title, setting.peer_names());
    let mut add = |name: &str, unit, value: fn(&Recovery) -> f64| {
        report.add(name, unit, Better::Lower, all.iter().map(value).collect());
    };
    add("ready", "s", |r| r.ready_s);
    add("first right answer", "s", |r| r.answered_s);
    add("CPU until ready", "s", |r| r.cpu_s);
    add("peak memory until ready / before", "", |r| r.memory_ratio);
    add("memory before", "MB", |r| r.before_bytes / 1e6);
    note_commands(&mut report, &stopped);
    stop_all(stopped)?;
    Ok(report)
}

/// Writes everything, a sample of a series in each request, as scrapes send them; the time after the last sample.
fn load(running: &Running, series: u64, samples: usize) -> Result<i64> {
    let mut workload = Workload::new(Shape::L10, series, start_ms(), INTERVAL_MS, 1);
    let target = running.write_endpoint()?;
    for sweep in 1..=samples {
        replay(&target, workload.headers(), &[workload.sweep()?])?;
        if sweep % samples.div_ceil(TOLD) == 0 {
            progress(&format!("restart {series}: {} loaded {sweep}/{samples}", running.peer.name()));
        }
    }
    Ok(workload.next_ms())
}

fn recover(setting: &Setting, running: &mut Running, samples: f64, end_ms: i64) -> Result<Recovery> {
    let before_bytes = running.usage()?.resident_bytes;
    let began = Instant::now();
    let ready_s = running.restart(setting.cores)?;
    let usage = running.usage()?;
    let answered_s = await_samples(running, samples, end_ms, began)?;
    let memory_ratio = usage.peak_bytes / before_bytes;
    progress(&format!("restart: {} ready after {ready_s:.2} s", running.peer.name()));
    Ok(Recovery { ready_s, answered_s, memory_ratio, before_bytes, cpu_s: usage.cpu_s })
}

/// Asks until all samples are there; how long after the start that was, NaN if they never were.
fn await_samples(running: &Running, samples: f64, end_ms: i64, began: Instant) -> Result<f64> {
    let (time, name, ready) = (seconds(end_ms), running.peer.name(), Instant::now());
    loop {
        let (body, _) = running.ask("query", &[("query", COUNT_ALL), ("time", &time)])?;
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let count = answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
        if count == Some(samples) {
            return Ok(began.elapsed().as_secs_f64());
        }
        ensure!(!running.peer.recipe.is_exact, "{name}: {count:?} of {samples} samples after the restart");
        if ready.elapsed() > PATIENCE {
            progress(&format!("restart: {name} has {count:?} of {samples} samples"));
            return Ok(f64::NAN);
        }
    }
}
