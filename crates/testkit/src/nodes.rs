//! Ingesters behind a router, which die and come back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::program::Program;

/// How long a node may get nothing.
const DEADLINE: Duration = Duration::from_secs(120);

/// One ingester that comes back at its address.
#[derive(Debug)]
pub struct Node {
    replica: String,
    dir: PathBuf,
    /// Its address for gRPC.
    pub grpc: String,
    /// The process.
    pub program: Program,
}

impl Node {
    /// Starts the ingester of that number below a directory; ready.
    pub fn start(root: &Path, number: usize) -> Result<Self> {
        Self::start_as(root, number, &format!("node-{number}"))
    }

    /// The same, with a replica label of this value.
    pub fn start_as(root: &Path, number: usize, replica: &str) -> Result<Self> {
        let (replica, dir) = (replica.to_string(), root.join(format!("node-{number}")));
        let program = spawn(&replica, &dir, "127.0.0.1:0")?;
        Ok(Node { replica, dir, grpc: program.address("grpc").to_string(), program })
    }

    /// Starts it again, at the same address.
    pub fn restart(&mut self) -> Result<()> {
        self.program = spawn(&self.replica, &self.dir, &self.grpc)?;
        Ok(())
    }

    /// Samples that it took since it started.
    pub async fn taken(&self) -> Result<f64> {
        let text = reqwest::get(format!("{}/metrics", self.program.url("http"))).await?.text().await?;
        let lines = text.lines().filter(|line| line.starts_with("prometheus_tsdb_head_samples_appended_total"));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Waits until the router sends it samples.
    pub async fn await_samples(&self) -> Result<()> {
        let (before, end) = (self.taken().await?, Instant::now() + DEADLINE);
        while self.taken().await? <= before {
            ensure!(Instant::now() < end, "{} gets nothing; log:\n{}", self.dir.display(), self.program.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

fn spawn(replica: &str, dir: &Path, grpc: &str) -> Result<Program> {
    let args = [
        "receive".to_string(),
        "--http-address=127.0.0.1:0".into(),
        format!("--grpc-address={grpc}"),
        "--remote-write.address=127.0.0.1:0".into(),
        "--receive.capnproto-address=127.0.0.1:0".into(),
        format!("--label=replica=\"{replica}\""),
        format!("--tsdb.path={}", dir.display()),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut program = Program::thanoxide(&args, &["http", "grpc", "remote-write"])?;
    program.await_line("changing probe status", "status=ready")?;
    Ok(program)
}

/// Puts a hashring of these nodes into a file, at once.
pub fn write_ring(file: &Path, nodes: &[Node]) -> Result<()> {
    let endpoints: Vec<&str> = nodes.iter().map(|node| node.grpc.as_str()).collect();
    let next = file.with_extension("next");
    std::fs::write(&next, json!([{ "endpoints": endpoints }]).to_string())?;
    Ok(std::fs::rename(next, file)?)
}

/// A router over the ring of a file, each series on three nodes.
pub fn ring_router(root: &Path, file: &Path) -> Result<Program> {
    let flag = format!("--receive.hashrings-file={}", file.display());
    let args = [
        flag.as_str(),
        "--receive.hashrings-algorithm=ketama",
        "--receive.replication-factor=3",
        // A node that is back is asked again soon: the next one is killed only then.
        "--receive-forward-max-backoff=1s",
        "--receive-forward-timeout=3s",
    ];
    Program::receiver(&root.join("router"), &args)
}
