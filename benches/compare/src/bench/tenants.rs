//! Many small tenants: what an idle one costs, and how soon all are back after kill -9. Peers without tenants sit it out.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use thanoxide_loadgen::replay::replay;
use thanoxide_loadgen::shape::Shape;
use thanoxide_loadgen::workload::Workload;

use super::{Benchmark, INTERVAL_MS, note_commands, progress, seconds, start_ms, stop_all};
use crate::peer::OURS;
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;

const TENANTS: [u64; 2] = [100, 1_000];
const SERIES: u64 = 200;
const SAMPLES: usize = 5;
/// So long the tenants are left alone.
const IDLE: Duration = Duration::from_secs(10);
const WITH_TENANTS: [&str; 2] = [OURS, "thanos"];

/// Memory, threads, files and CPU of an idle tenant.
pub(crate) struct Tenants;

impl Benchmark for Tenants {
    fn name(&self) -> &'static str {
        "tenants"
    }

    fn about(&self) -> &'static str {
        "idle tenants of 200 series: memory, threads, files, CPU, restart; --sizes 100,1k"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let mut setting = setting.clone();
        setting.peers.retain(|peer| WITH_TENANTS.contains(&peer.name()));
        ensure!(!setting.peers.is_empty(), "no peer has tenants");
        let sizes = if setting.sizes.is_empty() { &TENANTS[..] } else { setting.sizes.as_slice() };
        sizes.iter().map(|&tenants| run_size(&setting, tenants)).collect()
    }
}

/// What one peer needed.
#[derive(Default)]
struct Cost {
    bytes: f64,
    threads: f64,
    files: f64,
    idle_cpu: f64,
    ready_s: f64,
}

fn run_size(setting: &Setting, tenants: u64) -> Result<Report> {
    let (mut costs, mut stopped) = (Vec::new(), Vec::new());
    for peer in &setting.peers {
        let mut running = Running::empty(peer, setting.cores)?;
        costs.push(cost(setting, &mut running, tenants)?);
        progress(&format!("tenants {tenants}: {} done", peer.name()));
        stopped.push(running);
    }
    let title = format!("tenants: {tenants} idle ones of {SERIES} series, {SAMPLES} samples each");
    let mut report = Report::new(title, setting.peer_names());
    let mut add = |name: &str, unit, value: fn(&Cost) -> f64| {
        report.add(name, unit, Better::Lower, costs.iter().map(value).collect());
    };
    add("memory per tenant", "KB", |c| c.bytes / 1e3);
    add("threads per tenant", "", |c| c.threads);
    add("open files per tenant", "", |c| c.files);
    add("CPU of all, idle", "% of a core", |c| 100.0 * c.idle_cpu);
    add("ready after kill -9", "s", |c| c.ready_s);
    note_commands(&mut report, &stopped);
    stop_all(stopped)?;
    Ok(report)
}

fn cost(setting: &Setting, running: &mut Running, tenants: u64) -> Result<Cost> {
    let (before, threads, files) = (running.usage()?, threads(running), files(running));
    let mut workload = Workload::new(Shape::L10, SERIES, start_ms(), INTERVAL_MS, 1);
    let target = running.write_endpoint()?;
    for _ in 0..SAMPLES {
        let bodies = [workload.sweep()?];
        for tenant in 0..tenants {
            let headers = format!("{}THANOS-TENANT: tenant-{tenant:05}\r\n", workload.headers());
            replay(&target, &headers, &bodies)?;
        }
    }
    let loaded = running.usage()?;
    thread::sleep(IDLE);
    let idle_cpu = (running.usage()? - loaded).cpu_s / IDLE.as_secs_f64();
    let per_tenant = |grown: f64| grown / tenants as f64;
    let mut cost = Cost {
        bytes: per_tenant(running.usage()?.peak_bytes - before.resident_bytes),
        threads: per_tenant(self::threads(running) - threads),
        files: per_tenant(self::files(running) - files),
        idle_cpu,
        ready_s: f64::NAN,
    };
    cost.ready_s = running.restart(setting.cores)?;
    check_all_there(running, tenants, workload.next_ms())?;
    Ok(cost)
}

fn check_all_there(running: &Running, tenants: u64, time_ms: i64) -> Result<()> {
    let fields = [("query", "count({__name__=~\".+\"})".to_string()), ("time", seconds(time_ms))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (body, _) = running.ask("query", &fields)?;
    let answer: serde_json::Value = serde_json::from_slice(&body)?;
    let count = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0");
    ensure!(count == (tenants * SERIES).to_string(), "{count} series after the restart");
    Ok(())
}

fn threads(running: &Running) -> f64 {
    entries(running, "task")
}

fn files(running: &Running) -> f64 {
    entries(running, "fd")
}

fn entries(running: &Running, what: &str) -> f64 {
    let count = |id| fs::read_dir(format!("/proc/{id}/{what}")).map_or(0, Iterator::count);
    running.process_ids().into_iter().map(count).sum::<usize>() as f64
}
