//! Three of our ingesters behind one of our routers, replication factor 3: each of them dies and freezes in its turn, rings grow and shrink, and no write
//! fails and nothing acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use thanoxide_testkit::ledger::Shard;
use thanoxide_testkit::nodes::{Node, ring_router, write_ring};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::read_all;
use thanoxide_testkit::sender::Sender;

const SERIES: usize = 300;
const STEP_MS: i64 = 1000;
const DEADLINE: Duration = Duration::from_secs(120);
/// Rounds that must be acknowledged while a node is away.
const ROUNDS_AWAY: u64 = 10;

struct Cluster {
    nodes: Vec<Node>,
    router: Program,
    file: PathBuf,
}

impl Cluster {
    fn start(root: &Path, nodes: usize, in_ring: usize) -> Result<Self> {
        let nodes: Vec<Node> = (0..nodes).map(|number| Node::start(root, number)).collect::<Result<_>>()?;
        let file = root.join("hashrings.json");
        write_ring(&file, &nodes[..in_ring])?;
        let router = ring_router(root, &file)?;
        Ok(Cluster { nodes, router, file })
    }

    /// Waits until the router has a ring of so many nodes.
    async fn await_ring(&self, nodes: usize) -> Result<()> {
        let (wanted, end) = (format!("thanos_receive_hashring_nodes{{name=\"\"}} {nodes}"), Instant::now() + DEADLINE);
        while !reqwest::get(format!("{}/metrics", self.router.url("http"))).await?.text().await?.contains(&wanted) {
            ensure!(Instant::now() < end, "the ring of {nodes} is not used; log:\n{}", self.router.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Every acknowledged sample lies on some node, and no node has another value for it.
    fn check(&self, shard: &Shard) -> Result<()> {
        let mut found: BTreeMap<String, BTreeMap<i64, Value>> = BTreeMap::new();
        for node in &self.nodes {
            for (labels, samples) in read_all(&node.grpc)? {
                let of_series = found.entry(labels).or_default();
                for sample in samples {
                    let time_ms = sample[0].as_i64().context("no time")?;
                    let before = of_series.insert(time_ms, sample[1].clone());
                    ensure!(before.is_none_or(|value| value == sample[1]), "{time_ms}: nodes differ");
                }
            }
        }
        ensure!(found.len() == SERIES, "{} of {SERIES} series are there", found.len());
        for (labels, samples) in &found {
            let times: BTreeSet<i64> = samples.keys().copied().collect();
            let lost: Vec<&i64> = shard.acked().difference(&times).collect();
            ensure!(lost.is_empty(), "{labels}: {} acknowledged samples are lost: {lost:?}", lost.len());
        }
        Ok(())
    }
}

/// Writes round after round until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<(Shard, Vec<String>)>,
}

impl Load {
    fn start(router: &Program) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let sender = Sender::new(format!("{}/api/v1/receive", router.url("remote-write")));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let task = tokio::spawn(async move {
            let mut shard = Shard::new("a", SERIES, 1_790_000_000_000, STEP_MS);
            let mut failures = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                match shard.send(&sender).await {
                    Ok(()) => _ = count.fetch_add(1, Ordering::Relaxed),
                    Err(e) => failures.push(e.to_string()),
                }
            }
            (shard, failures)
        });
        Load { stop, acknowledged, task }
    }

    /// Waits for so many more acknowledged rounds.
    async fn rounds(&self, rounds: u64) -> Result<()> {
        let (wanted, end) = (self.acknowledged.load(Ordering::Relaxed) + rounds, Instant::now() + DEADLINE);
        while self.acknowledged.load(Ordering::Relaxed) < wanted {
            ensure!(Instant::now() < end, "only {} rounds", self.acknowledged.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn finish(self) -> Result<Shard> {
        self.stop.store(true, Ordering::Relaxed);
        let (shard, failures) = self.task.await?;
        println!("{} rounds of {SERIES} samples acknowledged, {} writes failed", shard.acked().len(), failures.len());
        ensure!(failures.is_empty(), "{} writes failed, the first: {}", failures.len(), failures[0]);
        Ok(shard)
    }
}

/// `THANOXIDE_RF3_SECONDS` of it; CI takes each fate of each node once.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_die_and_freeze_in_turn() -> Result<()> {
    let seconds = std::env::var("THANOXIDE_RF3_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::start(dir.path(), 3, 3)?;
    let load = Load::start(&cluster.router);
    let begin = Instant::now();
    load.rounds(ROUNDS_AWAY).await?;
    for turn in 0.. {
        if turn >= 6 && begin.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
        let node = &mut cluster.nodes[turn % 3];
        if turn % 6 < 3 {
            node.program.kill()?;
            load.rounds(ROUNDS_AWAY).await?;
            node.restart()?;
        } else {
            node.program.signal(Signal::STOP)?;
            load.rounds(ROUNDS_AWAY).await?;
            node.program.signal(Signal::CONT)?;
        }
        node.await_samples().await?;
        if seconds > 0 {
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
    }
    let shard = load.finish().await?;
    cluster.check(&shard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_grows_and_shrinks_under_load() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let cluster = Cluster::start(dir.path(), 5, 3)?;
    let load = Load::start(&cluster.router);
    load.rounds(ROUNDS_AWAY).await?;
    for nodes in [4, 5, 3] {
        write_ring(&cluster.file, &cluster.nodes[..nodes])?;
        cluster.await_ring(nodes).await?;
        load.rounds(ROUNDS_AWAY).await?;
    }
    // A file that is none changes nothing.
    std::fs::write(&cluster.file, "[{")?;
    load.rounds(ROUNDS_AWAY).await?;
    let shard = load.finish().await?;
    cluster.check(&shard)
}
