//! A Prometheus in agent mode sends to our router while every node is restarted in its turn, the router too: nothing is lost and nothing
//! doubled. Debian's speaks remote write 1.0; one put together from Prometheus's own packages (the oracle's `agent`) speaks 2.0.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use thanoxide_testkit::program::{Program, interop};
use thanoxide_testkit::raw_write::read_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const DEADLINE: Duration = Duration::from_secs(120);

/// How much there is to lose: CI takes the least. 20,000 series and 100 scrapes are ten million samples.
#[derive(Clone, Copy)]
struct Size {
    /// `THANOXIDE_ROLLING_SERIES`.
    series: usize,
    /// `THANOXIDE_ROLLING_SCRAPES` before the next restart.
    scrapes: u64,
}

impl Size {
    fn of_run() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let series = number("THANOXIDE_ROLLING_SERIES").unwrap_or(50) as usize;
        Size { series, scrapes: number("THANOXIDE_ROLLING_SCRAPES").unwrap_or(2) }
    }

    /// Reading all of it takes its time.
    fn deadline(self) -> Duration {
        DEADLINE + Duration::from_micros(200 * self.series as u64 * self.scrapes)
    }
}

/// A target that counts its scrapes: each of its series has the number of the scrape as its value.
async fn target(series: usize) -> Result<(String, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, scrapes) = (listener.local_addr()?.to_string(), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&scrapes);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok() {
                let scrape = counter.fetch_add(1, Ordering::Relaxed) + 1;
                let page: String =
                    (0..series).map(|series| format!("rolling{{series=\"{series}\"}} {scrape}\n")).collect();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
                let answer = format!("{head}Content-Length: {}\r\n\r\n{page}", page.len());
                // A scrape that was given up shows as `up` 0.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    Ok((address, scrapes))
}

/// A part of the system that comes back at its address.
struct Part {
    dir: PathBuf,
    args: Vec<String>,
    grpc: String,
    remote_write: String,
    program: Program,
}

impl Part {
    fn start(dir: PathBuf, args: &[String]) -> Result<Self> {
        let any = "127.0.0.1:0";
        let program = spawn(&dir, args, any, any)?;
        let (grpc, remote_write) = (program.address("grpc").to_string(), program.address("remote-write").to_string());
        Ok(Part { dir, args: args.to_vec(), grpc, remote_write, program })
    }

    fn restart(&mut self) -> Result<()> {
        self.program.terminate(DEADLINE)?;
        self.program = spawn(&self.dir, &self.args, &self.grpc, &self.remote_write)?;
        Ok(())
    }
}

fn spawn(dir: &Path, args: &[String], grpc: &str, remote_write: &str) -> Result<Program> {
    let (grpc, remote_write) = (format!("--grpc-address={grpc}"), format!("--remote-write.address={remote_write}"));
    let path = format!("--tsdb.path={}", dir.display());
    let mut all = vec!["receive", "--http-address=127.0.0.1:0", "--receive.capnproto-address=127.0.0.1:0"];
    all.extend([grpc.as_str(), &remote_write, &path]);
    all.extend(args.iter().map(String::as_str));
    let mut program = Program::thanoxide(&all, &["http", "grpc", "remote-write"])?;
    program.await_line("changing probe status", "status=ready")?;
    Ok(program)
}

/// The protocol that the sender speaks.
#[derive(Clone, Copy, PartialEq)]
enum Speaks {
    First,
    Second,
}

impl Speaks {
    fn message(self) -> Option<(&'static str, &'static str)> {
        (self == Speaks::Second).then_some(("protobuf_message", "io.prometheus.write.v2.Request"))
    }
}

fn start_agent(dir: &Path, target: &str, url: &str, speaks: Speaks) -> Result<Program> {
    let mut config = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "rolling", "static_configs": [{"targets": [target]}]}],
        "remote_write": [{"url": url, "queue_config": {
            "batch_send_deadline": "200ms", "min_backoff": "30ms", "max_backoff": "500ms", "max_shards": 4}}],
    });
    if let Some((name, message)) = speaks.message() {
        config["remote_write"][0][name] = message.into();
    }
    let path = dir.join("agent.yml");
    std::fs::write(&path, config.to_string())?;
    if speaks == Speaks::Second {
        let mut agent = Program::spawn(Command::new(interop("oracle")).arg("agent").arg(&path).arg(dir.join("agent")))?;
        agent.await_line("agent is ready", "")?;
        return Ok(agent);
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut agent = Program::spawn(
        Command::new("prometheus")
            .arg("--enable-feature=agent")
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.agent.path={}", dir.join("agent").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    )?;
    agent.await_line("Server is ready", "")?;
    Ok(agent)
}

/// What all nodes together have: of each series, by time, the values that were found.
fn stored(nodes: &[Part], metric: &str) -> Result<BTreeMap<String, BTreeMap<i64, BTreeSet<u64>>>> {
    let mut all: BTreeMap<String, BTreeMap<i64, BTreeSet<u64>>> = BTreeMap::new();
    for node in nodes {
        let series = read_all(&node.grpc)?;
        for (labels, samples) in series.into_iter().filter(|(labels, _)| labels.contains(&format!("\"{metric}\""))) {
            let of_series = all.entry(labels).or_default();
            for sample in samples {
                let bits = u64::from_str_radix(sample[1].as_str().context("no bits")?, 16)?;
                of_series.entry(sample[0].as_i64().context("no time")?).or_default().insert(bits);
            }
        }
    }
    Ok(all)
}

/// The numbers of the scrapes that each series has; each once.
fn scrapes_of(nodes: &[Part]) -> Result<Vec<BTreeSet<u64>>> {
    let numbers = |samples: &BTreeMap<i64, BTreeSet<u64>>| {
        let mut numbers = BTreeSet::new();
        for (time_ms, values) in samples {
            ensure!(values.len() == 1, "two values at {time_ms}");
            let value = f64::from_bits(*values.first().context("no value")?);
            // A stale marker stands where a scrape failed.
            ensure!(value.is_nan() || numbers.insert(value as u64), "scrape {value} is there twice");
        }
        Ok(numbers)
    };
    stored(nodes, "rolling\"],[\"instance")?.values().map(numbers).collect()
}

async fn await_scrapes(counter: &AtomicU64, more: u64) -> Result<()> {
    let time = DEADLINE + Duration::from_secs(10 * more);
    let (wanted, end) = (counter.load(Ordering::Relaxed) + more, Instant::now() + time);
    while counter.load(Ordering::Relaxed) < wanted {
        ensure!(Instant::now() < end, "the agent scrapes no more");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_loses_nothing_while_all_nodes_are_restarted() -> Result<()> {
    restart_all_under(Speaks::First).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_of_2_0_loses_nothing_while_all_nodes_are_restarted() -> Result<()> {
    restart_all_under(Speaks::Second).await
}

async fn restart_all_under(speaks: Speaks) -> Result<()> {
    let (dir, size) = (tempfile::tempdir()?, Size::of_run());
    let node = |i: usize| Part::start(dir.path().join(format!("node-{i}")), &[format!("--label=replica=\"{i}\"")]);
    let mut nodes: Vec<Part> = (0..3).map(node).collect::<Result<_>>()?;
    let endpoints: Vec<&str> = nodes.iter().map(|node| node.grpc.as_str()).collect();
    let rings = json!([{"endpoints": endpoints, "algorithm": "ketama"}]).to_string();
    let args = [
        "--label=replica=\"router\"".into(),
        "--receive.replication-factor=3".into(),
        format!("--receive.hashrings={rings}"),
    ];
    let mut router = Part::start(dir.path().join("router"), &args)?;
    let (target, scrapes) = target(size.series).await?;
    let _agent = start_agent(dir.path(), &target, &format!("http://{}/api/v1/receive", router.remote_write), speaks)?;
    await_scrapes(&scrapes, size.scrapes).await?;
    for node in &mut nodes {
        node.restart()?;
        await_scrapes(&scrapes, size.scrapes).await?;
    }
    router.restart()?;
    await_scrapes(&scrapes, size.scrapes).await?;

    let (last, end) = (scrapes.load(Ordering::Relaxed), Instant::now() + size.deadline());
    let found = loop {
        let found = scrapes_of(&nodes)?;
        if found.len() == size.series && found.iter().all(|numbers| numbers.last().is_some_and(|n| *n >= last)) {
            break found;
        }
        ensure!(Instant::now() < end, "scrape {last} does not arrive");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let failed_scrapes =
        stored(&nodes, "up")?.values().flat_map(|samples| samples.values()).filter(|v| v.contains(&0)).count();
    for numbers in found {
        let first = *numbers.first().context("no scrape")?;
        let missing = (first..=last).filter(|n| !numbers.contains(n)).count();
        ensure!(missing <= failed_scrapes, "{missing} scrapes are lost, {failed_scrapes} failed");
    }
    Ok(())
}
