//! One tenant at fifty times its limit beside twenty that keep to theirs: it is refused what is new, and they do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, METRIC_NAME, Sample, WriteBatch};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;

const T: i64 = 1_790_000_000_000;
const TENANTS: usize = 20;
const SERIES: usize = 200;
/// Of the noisy tenant; it brings fifty times as many.
const LIMIT: usize = 500;
/// Between two requests of one tenant.
const PACE: Duration = Duration::from_millis(100);
/// What the whole run must keep to; the slice of CI runs beside other tests, which take longer than any neighbour.
const MOST_TIMES: f64 = 1.2;

fn batch(from: usize, count: usize, t: i64) -> WriteBatch {
    let mut builder = WriteBatchBuilder::default();
    for i in from..from + count {
        let labels = Labels::from_pairs([(METRIC_NAME, "noise"), ("i", i.to_string().as_str()), ("job", "tenants")]);
        builder.push(&labels, &[Sample { timestamp_ms: t, value: i as f64 }]);
    }
    builder.build()
}

/// Sends at a pace until the time is over; gives how long each request took.
async fn keep_sending(sender: &Sender, clock: &AtomicI64, time: Duration) -> Result<Vec<Duration>> {
    let (end, mut took) = (Instant::now() + time, Vec::new());
    let mut pace = tokio::time::interval(PACE);
    while Instant::now() < end {
        pace.tick().await;
        let batch = batch(0, SERIES, T + clock.fetch_add(1, Ordering::Relaxed));
        let begin = Instant::now();
        let answer = sender.send(&batch).await?;
        took.push(begin.elapsed());
        ensure!(answer.status == 200, "a tenant within its limits got {answer:?}");
    }
    Ok(took)
}

async fn p99(senders: &[Sender], clock: &AtomicI64, time: Duration) -> Result<Duration> {
    let took = try_join_all(senders.iter().map(|sender| keep_sending(sender, clock, time))).await?;
    let mut took: Vec<Duration> = took.into_iter().flatten().collect();
    took.sort_unstable();
    Ok(took[took.len() * 99 / 100])
}

/// Brings series that nobody has seen, fifty times the limit every five seconds; gives how many requests were refused.
async fn make_noise(sender: Sender, stop: Arc<AtomicBool>) -> Result<usize> {
    let (mut refused, mut next) = (0, LIMIT);
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let answer = sender.send(&batch(next, LIMIT * 2, T)).await?;
        ensure!(answer.status == 429, "beyond the limit: {answer:?}");
        (refused, next) = (refused + 1, next + LIMIT * 2);
    }
    Ok(refused)
}

/// `THANOXIDE_NOISY_SECONDS` of each half; CI takes fewer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_noisy_tenant_is_refused_and_others_do_not_notice() -> Result<()> {
    let seconds = std::env::var("THANOXIDE_NOISY_SECONDS").ok().and_then(|n| n.parse::<u64>().ok());
    let time = Duration::from_secs(seconds.unwrap_or(4));
    let dir = tempfile::tempdir()?;
    let limits = dir.path().join("limits.yaml");
    std::fs::write(&limits, format!("write: {{tenants: {{noisy: {{active_series_limit: {LIMIT}}}}}}}"))?;
    let flag = format!("--receive.limits-config-file={}", limits.display());
    let node = Program::receiver(&dir.path().join("data"), &[&flag])?;
    let url = format!("{}/api/v1/receive", node.url("remote-write"));
    let senders: Vec<_> = (0..TENANTS).map(|i| Sender::new(&url).for_tenant(&format!("tenant-{i}"))).collect();
    let noisy = Sender::new(&url).for_tenant("noisy");
    ensure!(noisy.send(&batch(0, LIMIT, T)).await?.status == 200);
    let clock = AtomicI64::new(0);
    // The first requests make series.
    p99(&senders, &clock, Duration::from_secs(1)).await?;
    let quiet = p99(&senders, &clock, time).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let noise = tokio::spawn(make_noise(noisy.clone(), Arc::clone(&stop)));
    let beside_noise = p99(&senders, &clock, time).await?;
    stop.store(true, Ordering::Relaxed);
    let refused = noise.await??;
    println!("p99 of others: {quiet:?} alone, {beside_noise:?} beside {refused} refused requests");
    ensure!(refused as u64 >= time.as_secs(), "only {refused} refused requests");
    // What the noisy tenant had goes on.
    ensure!(noisy.send(&batch(0, LIMIT, T + 1)).await?.status == 200);
    let bound = if seconds.is_some() { quiet.mul_f64(MOST_TIMES) } else { quiet * 20 + Duration::from_secs(1) };
    ensure!(beside_noise <= bound, "p99 of others {beside_noise:?}, alone {quiet:?}");
    Ok(())
}
