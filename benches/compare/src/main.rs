//! Side-by-side benchmarks: ours and each peer given by path do the same work, and one table says what it cost.
//!
//! ```text
//! cargo run --release -p thanoxide-compare -- ingest --sizes 100k,1M --peers victoria-metrics=/usr/bin/victoria-metrics
//! ```
//!
//! A [`peer`] is a recipe: how to start a program, where to write and ask. A [`bench`] starts all peers ([`running`]),
//! gives them the same bodies ([`workload`], [`shape`]) or queries in interleaved rounds, compares their answers
//! ([`answer`]) and makes a [`report`] from what `/proc` says they used ([`usage`]). Servers run on one core, this program
//! on another ([`cores`]).
//!
//! Invariants:
//! * The unit of cost is CPU time of the server, user and system, per unit of work; the machine may be shared.
//! * Every peer gets the same bytes, made before the clock starts.
//! * An answer of ours that is not Prometheus's voids the run.
//! * Whatever was started is stopped, and its directory removed, however a run ends.

use anyhow::{Context, Result};

mod answer;
mod bench;
mod chart;
mod cores;
mod peer;
mod process;
mod report;
mod running;
mod setting;
mod sink;
mod stats;
mod usage;

use bench::BENCHMARKS;
use setting::{Setting, usage};

/// What our programs have, for what of ours runs in this one.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Pictures of what was measured before.
fn draw(setting: &Setting) -> Result<()> {
    let (json, charts) =
        setting.json.as_ref().zip(setting.charts.as_ref()).context("charts wants --json and --charts")?;
    let text = std::fs::read_to_string(json).with_context(|| format!("cannot read {}", json.display()))?;
    chart::write_all(&report::from_json(&text)?, charts)
}

fn main() -> Result<()> {
    let mut setting = Setting::parse(std::env::args().skip(1))?;
    if setting.name == "charts" {
        return draw(&setting);
    }
    let benchmarks: Vec<_> = BENCHMARKS.iter().filter(|b| setting.asks_for(b)).collect();
    let first = benchmarks.first().with_context(|| format!("no benchmark {:?}\n{}", setting.name, usage()))?;
    if !first.is_pinned() {
        setting.cores = cores::Cores::FREE;
    }
    setting.peers.iter().try_for_each(peer::Peer::check)?;
    let description = setting.describe()?;
    println!("{description:#}");
    cores::pin(setting.cores.generator)?;
    let reports: Vec<Vec<_>> = benchmarks.iter().map(|benchmark| benchmark.run(&setting)).collect::<Result<_>>()?;
    let reports = reports.concat();
    reports.iter().for_each(|report| println!("\n{}", report.text()));
    if let Some(dir) = &setting.charts {
        chart::write_all(&reports, dir)?;
    }
    if let Some(path) = &setting.json {
        let text = format!("{:#}\n", report::json_of(description, &reports));
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
