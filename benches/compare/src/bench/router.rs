//! The router alone: remote write in, gRPC out to [nodes that swallow](crate::sink), which are alike for every peer.
//!
//! The first sweep is decoded by the nodes: each replica of every sample must arrive. The rounds after it count bytes only.

use std::time::Instant;

use anyhow::{Result, ensure};
use thanoxide_loadgen::replay::replay;
use thanoxide_loadgen::shape::Shape;
use thanoxide_loadgen::template::Protocol;
use thanoxide_loadgen::workload::{Body, Workload};

use super::{AGE_MS, Benchmark, INTERVAL_MS, note_commands, progress, start_ms, stop_all};
use crate::peer::{OURS, Peer};
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;
use crate::sink::{Sinks, Taken};
use crate::stats;
use crate::usage::Usage;

const ROUNDS: usize = 5;
const SERIES: u64 = 100_000;
/// In each round.
const SWEEPS: usize = 8;

/// Samples per CPU-second of a router, and what it puts on the wire.
pub(crate) struct Router;

/// What is routed, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    protocol: Protocol,
    nodes: usize,
    replicas: usize,
    compression: &'static str,
    /// Whether the nodes answer as ours do, where they are asked like that.
    ours: bool,
}

const ONE_TO_ONE: Case = Case { protocol: Protocol::V1, nodes: 1, replicas: 1, compression: "snappy", ours: false };
/// Stock was measured with one node behind it.
const CASES: [Case; 7] = [
    Case { compression: "none", ..ONE_TO_ONE },
    ONE_TO_ONE,
    Case { protocol: Protocol::V2, ..ONE_TO_ONE },
    Case { nodes: 3, ..ONE_TO_ONE },
    Case { nodes: 3, replicas: 3, compression: "none", ..ONE_TO_ONE },
    Case { nodes: 3, replicas: 3, ..ONE_TO_ONE },
    Case { nodes: 3, replicas: 3, ours: true, ..ONE_TO_ONE },
];
/// What continuous integration runs.
pub(crate) const SMALL: Case = Case { nodes: 3, replicas: 3, ..ONE_TO_ONE };

impl Benchmark for Router {
    fn name(&self) -> &'static str {
        "router"
    }

    fn about(&self) -> &'static str {
        "a router before nodes that swallow: replication 1 and 3, compression none and snappy; --sizes 100k"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let sizes = if setting.sizes.is_empty() { &[SERIES] } else { setting.sizes.as_slice() };
        let mut reports = Vec::new();
        for case in CASES {
            let mut of_case: Vec<Report> =
                sizes.iter().map(|&series| run_case(setting, case, series, SWEEPS)).collect::<Result<_>>()?;
            super::ingest::note_growth(&mut of_case, sizes);
            reports.extend(of_case);
        }
        Ok(reports)
    }
}

impl Case {
    /// Stock takes 2.0 for an empty 1.0.
    fn is_for(&self, peer: &Peer) -> bool {
        !peer.recipe.router_servers.is_empty() && (matches!(self.protocol, Protocol::V1) || peer.name() == OURS)
    }

    fn title(&self, series: u64) -> String {
        let Case { protocol, nodes, replicas, compression, ours } = self;
        let kind = if *ours { "own" } else { "stock" };
        let nodes = if *nodes == 1 { format!("1 {kind} node") } else { format!("{nodes} {kind} nodes") };
        format!("router, {protocol}: {series} series, replication {replicas} over {nodes}, compression {compression}")
    }
}

/// A router and the nodes behind it.
struct Run {
    running: Running,
    sinks: Sinks,
    at_ready: Usage,
    at_end: Usage,
    wire_bytes: u64,
    requests: u64,
    samples: u64,
    cpu_s: f64,
    wall_s: f64,
    round_ns: Vec<f64>,
    acks: Vec<f64>,
}

/// One case with every peer that can route.
pub(crate) fn run_case(setting: &Setting, case: Case, series: u64, sweeps: usize) -> Result<Report> {
    let rounds = setting.rounds.unwrap_or(ROUNDS);
    ensure!(((1 + rounds * sweeps) as i64) * INTERVAL_MS < AGE_MS, "{rounds} rounds reach into the future");
    let mut workload = Workload::speaking(case.protocol, Shape::L10, series, start_ms(), INTERVAL_MS, 1);
    let routers: Vec<_> = setting.peers.iter().filter(|peer| case.is_for(peer)).collect();
    ensure!(!routers.is_empty(), "no peer is a router");
    let names: Vec<String> = routers.iter().map(|peer| peer.name().to_string()).collect();
    let mut runs: Vec<Run> = Vec::new();
    for peer in routers {
        let sinks = Sinks::start(case.nodes, case.ours)?;
        let values = [
            ("hashrings", sinks.hashring()),
            ("replicas", case.replicas.to_string()),
            ("compression", case.compression.to_string()),
        ];
        runs.push(Run::new(Running::router(peer, &values, setting.cores)?, sinks)?);
    }
    let first = workload.sweep()?;
    for run in &mut runs {
        run.check_all_arrives(&workload, &first, case.replicas as u64)?;
    }
    for round in 1..=rounds {
        let bodies: Vec<Vec<Body>> = (0..sweeps).map(|_| workload.sweep()).collect::<Result<_>>()?;
        for run in &mut runs {
            run.round(&workload, &bodies)?;
            let (name, ns) = (run.running.peer.name(), run.round_ns.last().copied().unwrap_or(f64::NAN));
            progress(&format!("{}, round {round}/{rounds}: {name} {ns:.0} ns CPU per sample", case.title(series)));
        }
    }
    let mut report = Report::new(case.title(series), names);
    add_metrics(&mut report, &runs);
    let running: Vec<Running> = runs.into_iter().map(|run| run.running).collect();
    note_commands(&mut report, &running);
    stop_all(running)?;
    Ok(report)
}

impl Run {
    fn new(running: Running, sinks: Sinks) -> Result<Self> {
        let at_ready = running.usage()?;
        Ok(Run {
            running,
            sinks,
            at_ready,
            at_end: at_ready,
            wire_bytes: 0,
            requests: 0,
            samples: 0,
            cpu_s: 0.0,
            wall_s: 0.0,
            round_ns: Vec::new(),
            acks: Vec::new(),
        })
    }

    /// Sends a sweep; every replica of each sample must get to a node.
    fn check_all_arrives(&mut self, workload: &Workload, bodies: &[Body], replicas: u64) -> Result<()> {
        self.sinks.decode(true);
        replay(&self.running.write_endpoint()?, workload.headers(), &[bodies.to_vec()])?;
        let sent = workload.sweep_samples() * replicas;
        let taken = self.sinks.await_samples(sent)?;
        ensure!(
            taken.samples == sent,
            "{}: {sent} samples were to reach the nodes: {taken:?}",
            self.running.peer.name()
        );
        self.sinks.decode(false);
        Ok(())
    }

    fn round(&mut self, workload: &Workload, bodies: &[Vec<Body>]) -> Result<()> {
        let (before, taken, start) = (self.running.usage()?, self.sinks.settled()?, Instant::now());
        self.acks.extend(replay(&self.running.write_endpoint()?, workload.headers(), bodies)?);
        self.wall_s += start.elapsed().as_secs_f64();
        let now: Taken = self.sinks.settled()?;
        self.at_end = self.running.usage()?;
        let (samples, cpu_s) = (workload.sweep_samples() * bodies.len() as u64, (self.at_end - before).cpu_s);
        self.samples += samples;
        self.cpu_s += cpu_s;
        self.round_ns.push(1e9 * cpu_s / samples as f64);
        self.wire_bytes += now.wire_bytes - taken.wire_bytes;
        self.requests += now.requests - taken.requests;
        Ok(())
    }
}

fn add_metrics(report: &mut Report, runs: &[Run]) {
    use Better::{Higher, Lower};
    let of = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    report.add("samples per CPU-second", "", Higher, of(&|r| r.samples as f64 / r.cpu_s));
    report.add("CPU per sample", "ns", Lower, of(&|r| 1e9 * r.cpu_s / r.samples as f64));
    report.add("CPU per sample, median round", "ns", Lower, of(&|r| stats::median(&r.round_ns)));
    report.add("CPU per sample, best round", "ns", Lower, of(&|r| stats::min(&r.round_ns)));
    report.add("samples per second", "", Higher, of(&|r| r.samples as f64 / r.wall_s));
    report.add("on the wire", "B/sample", Lower, of(&|r| r.wire_bytes as f64 / r.samples as f64));
    report.add("calls to nodes", "per 2,000 samples", Lower, of(&|r| 2e3 * r.requests as f64 / r.samples as f64));
    report.add("ack p50", "ms", Lower, of(&|r| 1e3 * stats::median(&r.acks)));
    report.add("ack p99", "ms", Lower, of(&|r| 1e3 * stats::quantile(&r.acks, 0.99)));
    report.add("peak memory", "MB", Lower, of(&|r| r.at_end.peak_bytes / 1e6));
    report.add("resident when empty", "MB", Lower, of(&|r| r.at_ready.resident_bytes / 1e6));
}
