//! kill -9 under load: nothing acknowledged is lost, nothing is invented.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::ledger::Shard;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;
use tokio::task::JoinSet;

/// How often, unless `THANOXIDE_KILLS` says.
const KILLS: usize = 20;
const SHARDS: usize = 4;
const SERIES: usize = 1_250;
/// Rounds are this far apart in their own time, so that a block of a minute is cut and uploaded in each life.
const STEP_MS: i64 = 5_000;
/// Each shard sends so often that all together send 50,000 samples a second.
const PACE: Duration = Duration::from_millis(100);
/// So long a life may last without an acknowledgement, on a disk that is busy with others.
const PATIENCE: Duration = Duration::from_secs(60);
const ARGS: [&str; 3] = ["--tsdb.min-block-duration=1m", "--tsdb.max-block-duration=1m", "--no-self-scrape"];

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_millis() as i64
}

/// What the senders of one life and the one who ends it tell each other.
#[derive(Debug, Default)]
struct Life {
    acked_rounds: AtomicUsize,
    over: AtomicBool,
}

/// Sends rounds at the pace until the life is over; the round that was under way is then unacknowledged.
async fn send_until_killed(mut shard: Shard, url: String, life: Arc<Life>) -> Shard {
    let sender = Sender::new(url);
    let mut ticks = tokio::time::interval(PACE);
    while !life.over.load(Ordering::SeqCst) {
        ticks.tick().await;
        if shard.send(&sender).await.is_ok() {
            life.acked_rounds.fetch_add(1, Ordering::SeqCst);
        }
    }
    shard
}

/// When a life ends.
#[derive(Clone, Copy)]
enum End {
    /// After some time, wherever the server is then.
    After(Duration),
    /// While a block is being cut or uploaded.
    InCut,
}

/// What a cut and an upload leave while they are under way, and what they make.
fn traces(data_dir: &Path) -> BTreeSet<String> {
    let dirs = [data_dir.join("tsdb/default-tenant"), data_dir.join("bucket")];
    let entries = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    entries.map(|entry| entry.path().to_string_lossy().into_owned()).collect()
}

/// Returns at the end of a life, which comes after each shard may have had a round acknowledged; whether it is the end
/// that was wished for.
async fn live(data_dir: &Path, end: End, life: &Life) -> bool {
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(1)));
    while life.acked_rounds.load(Ordering::SeqCst) < SHARDS && began.elapsed() < PATIENCE {
        ticks.tick().await;
    }
    if let End::After(at_least) = end {
        tokio::time::sleep(at_least.saturating_sub(began.elapsed())).await;
        return true;
    }
    let (settled, before) = (Instant::now(), traces(data_dir));
    while settled.elapsed() < Duration::from_secs(6) {
        ticks.tick().await;
        if traces(data_dir).difference(&before).next().is_some() {
            return true;
        }
    }
    false
}

async fn run_and_kill(
    program: &mut Program,
    shards: Vec<Shard>,
    data_dir: &Path,
    end: End,
) -> Result<(Vec<Shard>, bool)> {
    let url = format!("{}/api/v1/receive", program.url("remote-write"));
    let (mut senders, life) = (JoinSet::new(), Arc::new(Life::default()));
    for shard in shards {
        senders.spawn(send_until_killed(shard, url.clone(), Arc::clone(&life)));
    }
    let as_wished = live(data_dir, end, &life).await;
    program.kill()?;
    life.over.store(true, Ordering::SeqCst);
    Ok((senders.join_all().await, as_wished))
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_nothing_acknowledged_is_lost() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let start_ms = (now_ms() - 6 * 3_600_000) / STEP_MS * STEP_MS;
    let mut shards: Vec<Shard> = (0..SHARDS).map(|i| Shard::new(&i.to_string(), SERIES, start_ms, STEP_MS)).collect();
    let (began, mut in_cut) = (Instant::now(), 0);
    let kills = std::env::var("THANOXIDE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    for kill in 0..kills {
        let mut program = Program::standalone(dir.path(), &ARGS)?;
        let acked_before: usize = shards.iter().map(Shard::acked_samples).sum();
        let end = match kill % 2 {
            0 => End::After(Duration::from_millis(1_200 + 137 * (kill as u64 % 7))),
            _ => End::InCut,
        };
        let (after, as_wished) = run_and_kill(&mut program, shards, dir.path(), end).await?;
        shards = after;
        in_cut += usize::from(as_wished && matches!(end, End::InCut));
        let acked: usize = shards.iter().map(Shard::acked_samples).sum();
        ensure!(acked > acked_before, "life {kill} acknowledged nothing; log:\n{}", program.log());
    }
    let mut program = Program::standalone(dir.path(), &ARGS)?;
    let api = Api::new(program.url("http"));
    let mut found = 0;
    for shard in &shards {
        found += shard.check(&api).await?;
    }
    let acked: usize = shards.iter().map(Shard::acked_samples).sum();
    let blocks = std::fs::read_dir(dir.path().join("bucket"))?.count();
    ensure!(blocks > 0, "no block was uploaded while being killed; log:\n{}", program.log());
    ensure!(in_cut >= kills / 4, "only {in_cut} of {kills} kills fell into a cut or an upload");
    println!(
        "{kills} kills in {:?}, {in_cut} in a cut or an upload: {acked} samples acknowledged, {found} found, {blocks} blocks",
        began.elapsed()
    );
    ensure!(program.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", program.log());
    Ok(())
}
