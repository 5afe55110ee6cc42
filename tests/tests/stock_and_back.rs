//! Ours, stock, ours again over one directory: whoever comes next has all that was acknowledged, once.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::ledger::Shard;
use thanoxide_testkit::program::{Program, own};
use thanoxide_testkit::raw_write::read_all;
use thanoxide_testkit::sender::Sender;
use tokio::task::JoinHandle;

const STEP_MS: i64 = 15_000;
const SERIES: usize = 150;
const STOP: Duration = Duration::from_secs(60);
/// Rounds before a stop comes: more than a chunk takes.
const ROUNDS: usize = 130;

/// So that all lives lie in one block, which has not ended long ago.
fn start_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = since.expect("the clock is past 1970").as_millis() as i64;
    (now_ms - 5 * 3_600_000) / STEP_MS * STEP_MS
}

fn run(command: &mut Command) -> Result<String> {
    let output =
        command.output().with_context(|| format!("{command:?}; cargo xtask prepare installs what tests need"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn promtool_dump(dir: &Path) -> Result<String> {
    run(Command::new("promtool").args(["tsdb", "dump"]).arg(dir))
}

fn export_wal(dir: &Path) -> Result<String> {
    run(Command::new(own("thanoxide")).args(["tools", "tsdb", "export-wal", "--tsdb.path"]).arg(dir))
}

/// Sends rounds without a pause until nobody takes them any more.
struct Load {
    acked: Arc<AtomicUsize>,
    task: JoinHandle<Shard>,
}

impl Load {
    fn start(mut shard: Shard, sender: Sender) -> Self {
        let acked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&acked);
        let task = tokio::spawn(async move {
            while shard.send(&sender).await.is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            shard
        });
        Load { acked, task }
    }

    /// Returns once so many rounds are acknowledged, or the load has ended.
    async fn await_rounds(&self, rounds: usize) {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while self.acked.load(Ordering::SeqCst) < rounds && !self.task.is_finished() {
            ticks.tick().await;
        }
    }
}

/// How one of our lives ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Stopped,
    Killed,
}

/// Loads a program of ours until it ends; gives the shards back. A killed one's directory is exported.
async fn loaded_until(end: End, mut program: Program, loads: Vec<(Shard, Sender)>, dir: &Path) -> Result<Vec<Shard>> {
    let loads: Vec<Load> = loads.into_iter().map(|(shard, sender)| Load::start(shard, sender)).collect();
    for load in &loads {
        load.await_rounds(ROUNDS).await;
    }
    match end {
        End::Stopped => ensure!(program.terminate(STOP)?.success(), "no clean stop; log:\n{}", program.log()),
        End::Killed => program.kill()?,
    }
    let mut shards = Vec::new();
    for load in loads {
        ensure!(load.acked.load(Ordering::SeqCst) >= ROUNDS, "the load ended early; log:\n{}", program.log());
        shards.push(load.task.await?);
    }
    if end == End::Killed {
        export_wal(dir)?;
    }
    Ok(shards)
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_goes_on_and_ours_goes_on_behind_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (tsdb, tenant) = (dir.path().join("tsdb"), dir.path().join("tsdb/default-tenant"));
    let standalone = || Program::standalone(dir.path(), &["--no-self-scrape"]);
    let mut shard = Shard::new("a", SERIES, start_ms(), STEP_MS);
    for end in [End::Stopped, End::Killed] {
        let ours = standalone()?;
        shard.check(&Api::new(ours.url("http"))).await.context("ours, after stock")?;
        let sender = Sender::new(format!("{}/api/v1/receive", ours.url("remote-write")));
        shard = loaded_until(end, ours, vec![(shard, sender)], &tsdb).await?.remove(0);
        shard.check_dump(&promtool_dump(&tenant)?).context("promtool dump")?;

        let mut stock = Program::prometheus(&tenant, dir.path())?;
        shard.check(&Api::new(stock.url("http"))).await.context("Prometheus, after ours")?;
        let sender = Sender::new(format!("{}/api/v1/write", stock.url("http")));
        for _ in 0..20 {
            shard.send(&sender).await.context("Prometheus goes on")?;
        }
        ensure!(stock.terminate(STOP)?.success(), "no clean stop; log:\n{}", stock.log());
    }
    let mut ours = standalone()?;
    let found = shard.check(&Api::new(ours.url("http"))).await.context("ours, at last")?;
    ensure!(found >= shard.acked_samples() && found > 2 * ROUNDS * SERIES, "{found} samples");
    ensure!(ours.terminate(STOP)?.success(), "no clean stop; log:\n{}", ours.log());
    // Nothing is doubled either, in whichever file it lies.
    shard.check_dump(&promtool_dump(&tenant)?).context("promtool dump, at last")?;
    Ok(())
}

/// What a store has of a tenant's only shard.
fn check_store(grpc: &str, tenant: &str, shard: &Shard) -> Result<usize> {
    let mut points = Vec::new();
    for (labels, samples) in read_all(grpc)? {
        let labels: Vec<(String, String)> = serde_json::from_str(&labels)?;
        let value = |name: &str| labels.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        if value("tenant_id") != Some(tenant) {
            continue;
        }
        let number: usize = value("series").context("no series label")?.parse()?;
        for sample in &samples {
            let bits = sample[1].as_str().context("no value")?;
            let value = f64::from_bits(u64::from_str_radix(bits, 16)?);
            points.push((number, sample[0].as_i64().context("no time")?, value));
        }
    }
    shard.check_points(points)
}

const TENANTS: [&str; 2] = ["team-a", "team-b"];

fn senders(url: &str, shards: Vec<Shard>) -> Vec<(Shard, Sender)> {
    let sender = |tenant: &&str| Sender::new(format!("{url}/api/v1/receive")).for_tenant(tenant);
    shards.into_iter().zip(TENANTS.iter().map(sender)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn thanos_goes_on_and_ours_goes_on_behind_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let check = |program: &Program, shards: &[Shard], who: &str| -> Result<()> {
        for (tenant, shard) in TENANTS.iter().zip(shards) {
            check_store(program.address("grpc"), tenant, shard).with_context(|| format!("{who}, {tenant}"))?;
        }
        Ok(())
    };
    let mut shards: Vec<Shard> = TENANTS.iter().map(|t| Shard::new(t, SERIES, start_ms(), STEP_MS)).collect();
    for end in [End::Killed, End::Stopped] {
        let ours = Program::receiver(&data, &[])?;
        check(&ours, &shards, "ours, after stock")?;
        let url = ours.url("remote-write");
        shards = loaded_until(end, ours, senders(&url, shards), &data).await?;
        for (tenant, shard) in TENANTS.iter().zip(&shards) {
            shard
                .check_dump(&promtool_dump(&data.join(tenant))?)
                .with_context(|| format!("promtool dump, {tenant}"))?;
        }
        let mut stock = match end {
            End::Killed => Program::stock_receiver(&data)?,
            End::Stopped => Program::stock_ring(&data, &["--replica", "stock"])?,
        };
        check(&stock, &shards, "Thanos, after ours")?;
        let mut after = Vec::new();
        for (mut shard, sender) in senders(&stock.url("remote-write"), shards) {
            for _ in 0..20 {
                shard.send(&sender).await.context("Thanos goes on")?;
            }
            after.push(shard);
        }
        shards = after;
        ensure!(stock.terminate(STOP)?.success(), "no clean stop; log:\n{}", stock.log());
    }
    let mut ours = Program::receiver(&data, &["--tsdb.flush-on-shutdown"])?;
    check(&ours, &shards, "ours, at last")?;
    ensure!(ours.terminate(STOP)?.success(), "no clean stop; log:\n{}", ours.log());
    // A stop that flushes leaves all in blocks; promtool wants a log all the same.
    for (tenant, shard) in TENANTS.iter().zip(&shards) {
        ensure!(!data.join(tenant).join("chunks_head").exists(), "{tenant} has a head");
        std::fs::create_dir_all(data.join(tenant).join("wal"))?;
        shard.check_dump(&promtool_dump(&data.join(tenant))?).with_context(|| format!("promtool dump, {tenant}"))?;
    }
    Ok(())
}
