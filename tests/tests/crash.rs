//! kill -9 under load: nothing acknowledged is lost, nothing is invented.
//!
//! A long run (`tests/long crash`) keeps data and ledger in `THANOXIDE_KILL_DIR`: one that ends after
//! `THANOXIDE_KILL_MINUTES`, or is cut off, goes on with the next call until `THANOXIDE_KILLS` kills are done.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
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

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What is known of a run, on disk after each kill.
struct Run {
    dir: PathBuf,
    kills: usize,
    in_cut: usize,
    shards: Vec<Shard>,
}

impl Run {
    /// Goes on with what is in a directory, or begins.
    fn load(dir: &Path, wanted: usize) -> Result<Self> {
        let dir = dir.to_path_buf();
        if let Ok(text) = std::fs::read(dir.join("ledger.json")) {
            let json: Value = serde_json::from_slice(&text)?;
            let number = |key: &str| json[key].as_u64().unwrap_or_default() as usize;
            let shards = json["shards"].as_array().context("no shards")?;
            let mut shards = shards.iter().map(Shard::from_json).collect::<Result<Vec<_>>>()?;
            if json["living"] == true {
                // Cut off in the middle of a life, which sent no more than this.
                shards.iter_mut().for_each(|shard| shard.skip(1_000));
            }
            return Ok(Run { kills: number("kills"), in_cut: number("in_cut"), dir, shards });
        }
        // Each life takes some seconds, in which its own time goes on fifty times as fast.
        let span_ms = (wanted as i64 * 250_000).max(6 * 3_600_000);
        let start_ms = (now_ms() - span_ms) / STEP_MS * STEP_MS;
        let series = setting("THANOXIDE_KILL_SERIES", SERIES * SHARDS) / SHARDS;
        let shards = (0..SHARDS).map(|i| Shard::new(&i.to_string(), series, start_ms, STEP_MS)).collect();
        Ok(Run { dir, kills: 0, in_cut: 0, shards })
    }

    fn save(&self, living: bool) -> Result<()> {
        let shards: Vec<Value> = self.shards.iter().map(Shard::to_json).collect();
        let json = json!({ "kills": self.kills, "in_cut": self.in_cut, "living": living, "shards": shards });
        let temporary = self.dir.join("ledger.json.tmp");
        std::fs::write(&temporary, json.to_string())?;
        Ok(std::fs::rename(temporary, self.dir.join("ledger.json"))?)
    }

    fn acked(&self) -> usize {
        self.shards.iter().map(Shard::acked_samples).sum()
    }

    async fn kill_once(&mut self) -> Result<()> {
        self.save(true)?;
        let mut program = Program::standalone(&self.dir, &ARGS)?;
        let acked_before = self.acked();
        let end = match self.kills % 2 {
            0 => End::After(Duration::from_millis(1_200 + 137 * (self.kills as u64 % 7))),
            _ => End::InCut,
        };
        let shards = std::mem::take(&mut self.shards);
        let (after, as_wished) = run_and_kill(&mut program, shards, &self.dir, end).await?;
        self.shards = after;
        self.in_cut += usize::from(as_wished && matches!(end, End::InCut));
        ensure!(self.acked() > acked_before, "life {} acknowledged nothing; log:\n{}", self.kills, program.log());
        self.kills += 1;
        self.save(false)
    }

    /// Reads everything back.
    async fn check(&self) -> Result<usize> {
        let mut program = Program::standalone(&self.dir, &ARGS)?;
        let api = Api::new(program.url("http"));
        let mut found = 0;
        for shard in &self.shards {
            found += shard.check(&api).await?;
        }
        ensure!(program.terminate(Duration::from_secs(60))?.success(), "no clean stop; log:\n{}", program.log());
        Ok(found)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_nothing_acknowledged_is_lost() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let dir = std::env::var_os("THANOXIDE_KILL_DIR").map_or_else(|| temporary.path().to_path_buf(), PathBuf::from);
    std::fs::create_dir_all(&dir)?;
    let wanted = setting("THANOXIDE_KILLS", KILLS);
    let time = Duration::from_secs(60 * setting("THANOXIDE_KILL_MINUTES", 55) as u64);
    let (began, mut run) = (Instant::now(), Run::load(&dir, wanted)?);
    while run.kills < wanted && began.elapsed() < time {
        run.kill_once().await?;
    }
    let found = run.check().await?;
    let blocks = std::fs::read_dir(dir.join("bucket"))?.count();
    println!(
        "{} of {wanted} kills, this time in {:?}; {} in a cut or an upload: {} samples acknowledged, {found} found, {blocks} blocks",
        run.kills,
        began.elapsed(),
        run.in_cut,
        run.acked(),
    );
    ensure!(blocks > 0, "no block was uploaded while being killed");
    ensure!(run.in_cut >= run.kills / 4, "only {} of {} kills fell into a cut or an upload", run.in_cut, run.kills);
    Ok(())
}
