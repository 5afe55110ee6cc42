//! Three of our ingesters behind one of our routers, replication factor 3, under the load of `thanoxide-loadgen`: each of them dies and freezes in its turn.
//! No write fails, all that was acknowledged is read back through a querier over all three, and reads go on meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;
use thanoxide_testkit::nodes::{Node, ring_router, write_ring};
use thanoxide_testkit::program::{Program, own};

/// How much, how fast and for how long: CI takes the least.
#[derive(Clone, Copy)]
struct Size {
    series: u64,
    /// From scrape to scrape, for each series.
    interval_ms: u64,
    /// `THANOXIDE_RF3_SECONDS`; 1,800 are asked for.
    seconds: u64,
    /// How long nothing is counted: until the window that reads look back over is full.
    filling: Duration,
    /// How long all is well after that.
    well: Duration,
    /// From one fate to the next.
    pause: Duration,
    /// What reads must keep to, in times of what they take while all nodes are well.
    most_times: Option<f64>,
}

impl Size {
    fn of_run() -> Self {
        match std::env::var("THANOXIDE_RF3_SECONDS").ok().and_then(|seconds| seconds.parse().ok()) {
            // 100,000 samples a second.
            Some(seconds) => {
                let (filling, well) = (Duration::from_secs(60), Duration::from_secs(seconds) / 8);
                let (pause, most_times) = (Duration::from_secs(14), Some(2.0));
                Size { series: 100_000, interval_ms: 1_000, seconds, filling, well, pause, most_times }
            }
            None => {
                let (filling, well, pause) = (Duration::ZERO, Duration::from_secs(1), Duration::from_secs(1));
                Size { series: 400, interval_ms: 200, seconds: 25, filling, well, pause, most_times: None }
            }
        }
    }
}

/// How long a node is frozen or dead.
const AWAY: Duration = Duration::from_secs(5);
/// Reads a second.
const READS: u32 = 10;

struct System {
    nodes: Vec<Node>,
    router: Program,
    /// Gives up on a node that is silent.
    querier: Program,
    /// Waits for all of an answer.
    checker: Program,
}

impl System {
    fn start(root: &Path) -> Result<Self> {
        let nodes: Vec<Node> = (0..3).map(|number| Node::start_as(root, number, "any")).collect::<Result<_>>()?;
        let file = root.join("hashrings.json");
        write_ring(&file, &nodes)?;
        let router = ring_router(root, &file)?;
        let (querier, checker) = (querier(&nodes, &["--store.response-timeout=300ms"])?, querier(&nodes, &[])?);
        Ok(System { nodes, router, querier, checker })
    }
}

/// Its nodes do not say which replica they are: it takes all samples of all of them.
fn querier(nodes: &[Node], more: &[&str]) -> Result<Program> {
    let endpoints: Vec<String> = nodes.iter().map(|node| format!("--endpoint={}", node.grpc)).collect();
    let args: Vec<&str> = endpoints.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Program::querier(&args)
}

/// What nodes suffer at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// None yet, and the window that reads look back over is not full.
    Filling,
    /// None yet.
    Well,
    /// One is dead.
    Dead,
    /// It was, and is catching up.
    Restarted,
    /// One is frozen.
    Frozen,
    /// It was, and is catching up.
    Thawed,
}

/// A fate, and how many times five seconds it had lasted when a read began.
type Since = (Fate, u64);

/// How long reads took.
type Reads = BTreeMap<Since, Vec<Duration>>;

/// What is suffered now, and since when.
struct Now(Mutex<(Fate, Instant)>);

impl Now {
    fn set(&self, fate: Fate) {
        *self.0.lock().expect("no thread panics with it") = (fate, Instant::now());
    }

    fn since(&self) -> Since {
        let (fate, begin) = *self.0.lock().expect("no thread panics with it");
        (fate, begin.elapsed().as_secs() / 5)
    }
}

/// Reads until it is stopped.
async fn read(url: String, now: Arc<Now>, stop: Arc<AtomicBool>) -> Result<Reads> {
    let (client, mut reads) = (reqwest::Client::new(), Reads::default());
    let mut pace = tokio::time::interval(Duration::from_secs(1) / READS);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // sum by (job) (rate({group="1"}[1m]))
    let url = format!("{url}/api/v1/query?query=sum%20by%20(job)%20(rate(%7Bgroup%3D%221%22%7D%5B1m%5D))");
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let (begin, since) = (Instant::now(), now.since());
        let answer = client.get(&url).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success() && text.contains("\"status\":\"success\""), "{status}: {text}");
        reads.entry(since).or_default().push(begin.elapsed());
    }
    Ok(reads)
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// Tells of all reads; gives the p99 of those while all was well, and of the others.
fn judge(reads: Reads) -> (Duration, Duration) {
    for ((fate, fives), times) in &reads {
        let most = times.iter().max().copied().unwrap_or_default();
        println!(
            "reads, {fate:?} for {} s: {} of them, p99 {:?}, most {most:?}",
            fives * 5,
            times.len(),
            p99(times.clone())
        );
    }
    let full = reads.into_iter().filter(|((fate, _), _)| *fate != Fate::Filling);
    let (well, others): (Vec<_>, Vec<_>) = full.partition(|((fate, _), _)| *fate == Fate::Well);
    let all = |reads: Vec<(Since, Vec<Duration>)>| p99(reads.into_iter().flat_map(|(_, times)| times).collect());
    (all(well), all(others))
}

/// Kills each node in its turn, then freezes each.
async fn trouble(nodes: &mut [Node], end: Instant, pause: Duration, now: &Now) -> Result<usize> {
    for turn in 0.. {
        let node = &mut nodes[turn % 3];
        if turn % 6 < 3 {
            now.set(Fate::Dead);
            node.program.kill()?;
            tokio::time::sleep(AWAY).await;
            now.set(Fate::Restarted);
            node.restart()?;
        } else {
            now.set(Fate::Frozen);
            node.program.signal(Signal::STOP)?;
            tokio::time::sleep(AWAY).await;
            now.set(Fate::Thawed);
            node.program.signal(Signal::CONT)?;
        }
        node.await_samples().await?;
        tokio::time::sleep(pause).await;
        if turn >= 3 && Instant::now() >= end {
            return Ok(turn + 1);
        }
    }
    Ok(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_die_and_freeze_under_load() -> Result<()> {
    let (dir, size) = (tempfile::tempdir()?, Size::of_run());
    let mut system = System::start(dir.path())?;
    let scrapes = size.seconds * 1_000 / size.interval_ms;
    let authority = |url: String| url.trim_start_matches("http://").to_string();
    let load = Program::spawn(Command::new(own("thanoxide-loadgen")).args([
        format!("--target={}", authority(system.router.url("remote-write"))),
        format!("--api={}", authority(system.checker.url("http"))),
        format!("--series={}", size.series),
        format!("--interval-ms={}", size.interval_ms),
        format!("--scrapes={scrapes}"),
    ]))?;
    let now = Arc::new(Now(Mutex::new((Fate::Filling, Instant::now()))));
    let stop = Arc::<AtomicBool>::default();
    let reading = tokio::spawn(read(system.querier.url("http"), Arc::clone(&now), Arc::clone(&stop)));
    let (begin, time) = (Instant::now(), Duration::from_secs(size.seconds));
    for node in &system.nodes {
        node.await_samples().await?;
    }
    tokio::time::sleep(size.filling).await;
    now.set(Fate::Well);
    tokio::time::sleep(size.well).await;
    // The last node is back before the last sample is sent: what it missed reaches it as hints.
    let fates = trouble(&mut system.nodes, begin + time.mul_f64(0.95), size.pause, &now).await?;
    stop.store(true, Ordering::Relaxed);
    let reads = reading.await??;
    let log = finish(load, time)?;
    let (well, troubled) = judge(reads);
    println!("{log}{fates} fates; reads p99 {well:?} while all was well, {troubled:?} after that");
    ensure!(log.contains(", 0 requests failed") && log.contains("0 lost"), "{log}");
    ensure!(size.most_times.is_none_or(|times| troubled <= well.mul_f64(times)), "reads suffer");
    Ok(())
}

/// The generator's own words at its end.
fn finish(mut load: Program, time: Duration) -> Result<String> {
    let status = load.wait(time + Duration::from_secs(900))?;
    ensure!(status.success(), "{status}: {}", load.log());
    Ok(load.log())
}
