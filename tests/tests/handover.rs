//! A query across cut, upload and truncation never changes its answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use thanoxide_testkit::api::Api;
use thanoxide_testkit::compare::difference;
use thanoxide_testkit::ledger::Shard;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;

const STEP_MS: i64 = 5_000;
const SERIES: usize = 50;
/// How often the queries are asked; the answers are the same all the time, so more often is only stricter.
const PACE: Duration = Duration::from_millis(200);

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_millis() as i64
}

const QUERIES: [&str; 5] = [
    "sum(rate(ledger_total[2m]))",
    "ledger_total{series=\"7\"}",
    "sum(count_over_time(ledger_total[10m]))",
    "max by (job) (increase(ledger_total[5m]))",
    "count(ledger_total)",
];

async fn ask(api: &Api, start_ms: i64, end_ms: i64) -> Result<Vec<Value>> {
    let mut answers = Vec::new();
    for query in QUERIES {
        let answer = api.range(query, start_ms, end_ms, 30_000).await?;
        ensure!(answer["status"] == "success", "{query}: {answer}");
        answers.push(answer);
    }
    Ok(answers)
}

/// Blocks in the bucket that are whole.
fn blocks(bucket: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(bucket) else { return 0 };
    entries.flatten().filter(|entry| entry.path().join("meta.json").exists()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_stay_the_same_while_blocks_come_and_heads_go() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let args = ["--tsdb.min-block-duration=5m", "--tsdb.max-block-duration=5m", "--no-self-scrape"];
    let mut program = Program::standalone(dir.path(), &args)?;
    let (sender, api) =
        (Sender::new(format!("{}/api/v1/receive", program.url("remote-write"))), Api::new(program.url("http")));
    let start_ms = (now_ms() - 4 * 3_600_000) / 300_000 * 300_000;
    let mut shard = Shard::new("a", SERIES, start_ms, STEP_MS);
    // A quarter of an hour is in the head before the first answer is taken.
    for _ in 0..170 {
        shard.send(&sender).await?;
    }
    let end_ms = shard.next_ms() - STEP_MS;
    let expected = ask(&api, start_ms + 600_000, end_ms).await?;
    let (began, mut rounds) = (Instant::now(), 0);
    // Two more hours go in while the same question is asked again and again: some twenty cuts.
    let mut ticks = tokio::time::interval(PACE);
    while shard.next_ms() < start_ms + 7_200_000 || blocks(&dir.path().join("bucket")) < 15 {
        if began.elapsed() > Duration::from_secs(120) {
            bail!("only {} blocks; log:\n{}", blocks(&dir.path().join("bucket")), program.log());
        }
        ticks.tick().await;
        for _ in 0..12 {
            shard.send(&sender).await?;
        }
        let answers = ask(&api, start_ms + 600_000, end_ms).await?;
        for ((query, before), after) in QUERIES.iter().zip(&expected).zip(&answers) {
            if let Some(difference) = difference(after, before, &[]) {
                bail!("{query} changed after {rounds} rounds: {difference}; log:\n{}", program.log());
            }
        }
        rounds += 1;
    }
    shard.check(&api).await.context("reading all back")?;
    println!("{rounds} rounds of {} queries, {} blocks", QUERIES.len(), blocks(&dir.path().join("bucket")));
    ensure!(program.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", program.log());
    Ok(())
}
