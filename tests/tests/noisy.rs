//! One tenant at fifty times its limit beside twenty that keep to theirs: it is refused what is new, and they do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use thanoxide_testkit::neighbours::{Neighbours, series};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;

const T: i64 = 1_790_000_000_000;
const TENANTS: usize = 20;
const SERIES: usize = 200;
/// Of the noisy tenant; it brings fifty times as many every five seconds.
const LIMIT: usize = 500;
/// What the whole run must keep to; the slice of CI runs beside other tests, which take longer than any neighbour.
const MOST_TIMES: f64 = 1.2;
/// Of quiet and of noise in turn.
const SLICE: Duration = Duration::from_secs(5);

/// Brings series that nobody has seen; counts how many requests were refused.
async fn make_noise(sender: Sender, next: Arc<AtomicUsize>, stop: Arc<AtomicBool>) -> Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let from = LIMIT + next.fetch_add(1, Ordering::Relaxed) * LIMIT * 2;
        let answer = sender.send(&series(from, LIMIT * 2, T)).await?;
        ensure!(answer.status == 429, "beyond the limit: {answer:?}");
    }
    Ok(())
}

/// `THANOXIDE_NOISY_SECONDS` of quiet and as many of noise; CI takes fewer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_noisy_tenant_is_refused_and_others_do_not_notice() -> Result<()> {
    let seconds = std::env::var("THANOXIDE_NOISY_SECONDS").ok().and_then(|n| n.parse::<u64>().ok());
    let dir = tempfile::tempdir()?;
    let limits = dir.path().join("limits.yaml");
    std::fs::write(&limits, format!("write: {{tenants: {{noisy: {{active_series_limit: {LIMIT}}}}}}}"))?;
    let flag = format!("--receive.limits-config-file={}", limits.display());
    let node = Program::receiver(&dir.path().join("data"), &[&flag])?;
    let url = format!("{}/api/v1/receive", node.url("remote-write"));
    let noisy = Sender::new(&url).for_tenant("noisy");
    ensure!(noisy.send(&series(0, LIMIT, T)).await?.status == 200);
    let refused = Arc::new(AtomicUsize::new(0));
    let noise = |stop| make_noise(noisy.clone(), Arc::clone(&refused), stop);
    let (slices, slice) = match seconds {
        Some(seconds) => (seconds.div_ceil(SLICE.as_secs()) as u32, SLICE),
        None => (2, Duration::from_secs(2)),
    };
    let beside = Neighbours::new(&url, TENANTS, SERIES, T).beside(noise, slices, slice).await?;
    let refused = refused.load(Ordering::Relaxed);
    println!("{beside}; {refused} requests of the noisy tenant, all refused");
    ensure!(refused as u32 >= slices * slice.as_secs() as u32, "only {refused} refused requests");
    // What the noisy tenant had goes on.
    ensure!(noisy.send(&series(0, LIMIT, T + 1)).await?.status == 200);
    let (quiet, beside_noise) = beside.p99();
    let bound = if seconds.is_some() { quiet.mul_f64(MOST_TIMES) } else { quiet * 20 + Duration::from_secs(20) };
    ensure!(beside_noise <= bound, "p99 of others {beside_noise:?}, alone {quiet:?}");
    Ok(())
}
