//! A stock router, with its five workers a node, before an ingester of ours and before one of its own.
//!
//! The ingester has a core to itself, the router shares the generator's. Ours syncs every write before it answers, stock's none. At the
//! end each has every sample.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use thanoxide_loadgen::replay::replay;
use thanoxide_loadgen::shape::Shape;
use thanoxide_loadgen::workload::{Body, Workload};

use super::{AGE_MS, Benchmark, INTERVAL_MS, note_commands, progress, seconds, start_ms, stop_all};
use crate::cores::Cores;
use crate::peer::{OURS, Peer};
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;
use crate::stats;

const STOCK: &str = "thanos";
const SERIES: u64 = 100_000;
const ROUNDS: usize = 5;
const SWEEPS: usize = 4;

/// Throughput of an ingester behind a stock router.
pub(crate) struct Relay;

impl Benchmark for Relay {
    fn name(&self) -> &'static str {
        "relay"
    }

    fn about(&self) -> &'static str {
        "a stock router before our ingester, and before stock's; wants --peers thanos=PATH; --sizes 100k"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let stock = setting.peers.iter().find(|peer| peer.name() == STOCK);
        let Some(stock) = stock else {
            ensure!(setting.name == "all", "the router is stock's: give its path with --peers {STOCK}=PATH");
            progress("relay: left out, no --peers thanos=PATH");
            return Ok(Vec::new());
        };
        let sizes = if setting.sizes.is_empty() { &[SERIES] } else { setting.sizes.as_slice() };
        sizes.iter().map(|&series| run_size(setting, stock, series)).collect()
    }
}

/// An ingester and the router before it.
struct Run {
    ingester: Running,
    router: Running,
    samples: u64,
    wall_s: f64,
    ingester_cpu_s: f64,
    router_cpu_s: f64,
    acks: Vec<f64>,
}

fn run_size(setting: &Setting, stock: &Peer, series: u64) -> Result<Report> {
    let rounds = setting.rounds.unwrap_or(ROUNDS);
    let sent = (1 + rounds * SWEEPS) as i64;
    ensure!(sent * INTERVAL_MS < AGE_MS, "{rounds} rounds reach into the future");
    let mut workload = Workload::new(Shape::L10, series, start_ms(), INTERVAL_MS, 1);
    let ingesters: Vec<&Peer> = setting.peers.iter().filter(|peer| [OURS, STOCK].contains(&peer.name())).collect();
    let names = ingesters.iter().map(|peer| format!("onto {}", peer.name())).collect();
    let start = |peer: &&Peer| Run::start(peer, stock, setting.cores);
    let mut runs: Vec<Run> = ingesters.iter().map(start).collect::<Result<_>>()?;
    let first = [workload.sweep()?];
    for run in &mut runs {
        replay(&run.router.write_endpoint()?, workload.headers(), &first)?;
    }
    for round in 1..=rounds {
        let bodies: Vec<Vec<Body>> = (0..SWEEPS).map(|_| workload.sweep()).collect::<Result<_>>()?;
        for run in &mut runs {
            run.round(&workload, &bodies)?;
            let (name, rate) = (run.ingester.peer.name(), run.samples as f64 / run.wall_s);
            progress(&format!("relay {series}, round {round}/{rounds}: onto {name} {rate:.0} samples/s"));
        }
    }
    runs.iter().try_for_each(|run| run.check_all_there(workload.sweep_samples() * sent as u64, workload.next_ms()))?;
    let mut report = Report::new(format!("relay: {series} series from a stock router to an ingester"), names);
    add_metrics(&mut report, &runs);
    let running: Vec<Running> = runs.into_iter().flat_map(|run| [run.ingester, run.router]).collect();
    note_commands(&mut report, &running);
    // The router goes before the ingester does.
    stop_all(running.into_iter().rev().collect())?;
    Ok(report)
}

impl Run {
    fn start(peer: &Peer, stock: &Peer, cores: Cores) -> Result<Self> {
        let ingester = Running::empty(peer, cores)?;
        let values = [
            ("hashrings", format!("[{{\"endpoints\":[\"{}\"]}}]", ingester.address("grpc")?)),
            ("replicas", "1".to_string()),
            ("compression", "snappy".to_string()),
        ];
        let router = Running::router(stock, &values, Cores { server: cores.generator, ..cores })?;
        Ok(Run { ingester, router, samples: 0, wall_s: 0.0, ingester_cpu_s: 0.0, router_cpu_s: 0.0, acks: Vec::new() })
    }

    fn round(&mut self, workload: &Workload, bodies: &[Vec<Body>]) -> Result<()> {
        let (ingester, router, start) = (self.ingester.usage()?, self.router.usage()?, Instant::now());
        self.acks.extend(replay(&self.router.write_endpoint()?, workload.headers(), bodies)?);
        self.wall_s += start.elapsed().as_secs_f64();
        self.ingester_cpu_s += (self.ingester.usage()? - ingester).cpu_s;
        self.router_cpu_s += (self.router.usage()? - router).cpu_s;
        self.samples += workload.sweep_samples() * bodies.len() as u64;
        Ok(())
    }

    fn check_all_there(&self, sent: u64, end_ms: i64) -> Result<()> {
        let (query, time) = ("sum(count_over_time({__name__=~\".+\"}[2h]))", seconds(end_ms));
        let (body, _) = self.ingester.ask("query", &[("query", query), ("time", &time)])?;
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let count = answer["data"]["result"][0]["value"][1].as_str().context("no count")?.to_string();
        ensure!(count == sent.to_string(), "{}: {count} of {sent} samples are there", self.ingester.peer.name());
        Ok(())
    }
}

fn add_metrics(report: &mut Report, runs: &[Run]) {
    use Better::{Higher, Lower};
    let of = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    report.add("samples per second", "", Higher, of(&|r| r.samples as f64 / r.wall_s));
    report.add("CPU of the ingester per sample", "ns", Lower, of(&|r| 1e9 * r.ingester_cpu_s / r.samples as f64));
    report.add("CPU of the router per sample", "ns", Lower, of(&|r| 1e9 * r.router_cpu_s / r.samples as f64));
    report.add("ack p50", "ms", Lower, of(&|r| 1e3 * stats::median(&r.acks)));
    report.add("ack p99", "ms", Lower, of(&|r| 1e3 * stats::quantile(&r.acks, 0.99)));
    report.add("ack max", "ms", Lower, of(&|r| 1e3 * stats::max(&r.acks)));
    report.note("ours has synced each write to disk when it answers, stock's has not");
}
