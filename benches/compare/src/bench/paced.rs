//! How long an acknowledgement takes when the load is far from the limit: 66,000 samples a second, one peer at a time.

use std::time::{Duration, Instant};

use anyhow::Result;
use thanoxide_loadgen::replay::replay;
use thanoxide_loadgen::shape::Shape;
use thanoxide_loadgen::workload::{SERIES_PER_REQUEST, Workload};

use super::{Benchmark, INTERVAL_MS, note_commands, progress, start_ms, stop_all};
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;
use crate::stats;

const SERIES: u64 = 100_000;
const SAMPLES_PER_S: u64 = 66_000;
const SWEEPS: usize = 20;

/// Acknowledgement times at a fixed pace.
pub(crate) struct Paced;

impl Benchmark for Paced {
    fn name(&self) -> &'static str {
        "paced"
    }

    fn about(&self) -> &'static str {
        "acknowledgement times at 66 k samples/s; --sizes 100k, --rounds 20 sweeps"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let sizes = if setting.sizes.is_empty() { &[SERIES] } else { setting.sizes.as_slice() };
        sizes.iter().map(|&series| run_size(setting, series)).collect()
    }
}

fn run_size(setting: &Setting, series: u64) -> Result<Report> {
    let sweeps = setting.rounds.unwrap_or(SWEEPS);
    let (mut acks, mut cpu_s, mut stopped) = (Vec::new(), Vec::new(), Vec::new());
    for peer in &setting.peers {
        let running = Running::empty(peer, setting.cores)?;
        let mut workload = Workload::new(Shape::L10, series, start_ms(), INTERVAL_MS, 1);
        send_paced(&running, &mut workload, 1)?;
        let before = running.usage()?;
        acks.push(send_paced(&running, &mut workload, sweeps)?);
        cpu_s.push((running.usage()? - before).cpu_s);
        progress(&format!("paced {series}: {} done", peer.name()));
        stopped.push(running);
    }
    let title = format!("paced: {series} series at {SAMPLES_PER_S} samples/s, one request at a time");
    let mut report = Report::new(title, setting.peer_names());
    for (name, rank) in [("ack p50", 0.5), ("ack p99", 0.99), ("ack max", 1.0)] {
        report.add(name, "ms", Better::Lower, acks.iter().map(|all| 1e3 * stats::quantile(all, rank)).collect());
    }
    let samples = (series * sweeps as u64) as f64;
    report.add("CPU per sample", "ns", Better::Lower, cpu_s.iter().map(|cpu_s| 1e9 * cpu_s / samples).collect());
    note_commands(&mut report, &stopped);
    stop_all(stopped)?;
    Ok(report)
}

/// Sends sweeps, each request at its time; how long each took.
fn send_paced(running: &Running, workload: &mut Workload, sweeps: usize) -> Result<Vec<f64>> {
    let pause = Duration::from_secs_f64(SERIES_PER_REQUEST as f64 / SAMPLES_PER_S as f64);
    let (target, mut acks) = (running.write_endpoint()?, Vec::new());
    let (began, mut sent) = (Instant::now(), 0);
    for _ in 0..sweeps {
        for body in workload.sweep()? {
            std::thread::sleep((pause * sent).saturating_sub(began.elapsed()));
            acks.extend(replay(&target, workload.headers(), &[vec![body]])?);
            sent += 1;
        }
    }
    Ok(acks)
}
