//! kill -9 under load: nothing acknowledged is lost, nothing is invented.

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
const ARGS: [&str; 3] = ["--tsdb.min-block-duration=1m", "--tsdb.max-block-duration=1m", "--no-self-scrape"];

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_millis() as i64
}

/// Sends rounds at the pace until the server is gone; the round that was under way is then unacknowledged.
async fn send_until_killed(mut shard: Shard, url: String) -> Shard {
    let sender = Sender::new(url);
    let mut ticks = tokio::time::interval(PACE);
    loop {
        ticks.tick().await;
        if shard.send(&sender).await.is_err() {
            return shard;
        }
    }
}

async fn run_and_kill(program: &mut Program, shards: Vec<Shard>, life: Duration) -> Result<Vec<Shard>> {
    let url = format!("{}/api/v1/receive", program.url("remote-write"));
    let mut senders = JoinSet::new();
    for shard in shards {
        senders.spawn(send_until_killed(shard, url.clone()));
    }
    tokio::time::timeout(life, std::future::pending::<()>()).await.expect_err("pending never ends");
    program.kill()?;
    Ok(senders.join_all().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_nothing_acknowledged_is_lost() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let start_ms = (now_ms() - 6 * 3_600_000) / STEP_MS * STEP_MS;
    let mut shards: Vec<Shard> = (0..SHARDS).map(|i| Shard::new(&i.to_string(), SERIES, start_ms, STEP_MS)).collect();
    let began = Instant::now();
    let kills = std::env::var("THANOXIDE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    for kill in 0..kills {
        let mut program = Program::standalone(dir.path(), &ARGS)?;
        let acked_before: usize = shards.iter().map(Shard::acked_samples).sum();
        let life = Duration::from_millis(1_200 + 137 * (kill as u64 % 7));
        shards = run_and_kill(&mut program, shards, life).await?;
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
    println!("{kills} kills in {:?}: {acked} samples acknowledged, {found} found, {blocks} blocks", began.elapsed());
    ensure!(program.terminate(Duration::from_secs(10))?.success(), "no clean stop; log:\n{}", program.log());
    Ok(())
}
