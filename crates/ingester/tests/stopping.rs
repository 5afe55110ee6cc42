//! What a stop leaves, and what keeps the log short meanwhile.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/place.rs"]
mod place;

use std::sync::Arc;
use std::time::{Duration, Instant};

use place::{Place, START_MS, Samples, read, step, tenant, write};
use thanoxide_model::{Labels, Sample};
use thanoxide_server::Shutdown;
use thanoxide_storeapi::WriteError;

fn external() -> Labels {
    Labels::from_pairs([("cluster", "c1"), ("region", "eu"), ("tenant_id", "team")])
}

async fn filled(place: &Place, model: &mut Samples) -> Arc<thanoxide_ingester::Ingester> {
    let ingester = place.open();
    for i in 0..150 {
        write(&ingester, &tenant("team"), &step(20, START_MS + i * 15_000), &external(), model).await.unwrap();
    }
    ingester
}

#[tokio::test]
async fn a_stop_hands_heads_back_and_the_next_start_goes_on() {
    let (place, mut model) = (Place::new(), Samples::new());
    let team = place.dir.path().join("team");
    for _ in 0..2 {
        let ingester = filled_or_open(&place, &mut model).await;
        assert!(!team.join("wal").exists() && !team.join("chunks_head").exists());
        ingester.stop().await.unwrap();
        assert_eq!(read(&*ingester).await, model, "reads stay up");
        assert!(team.join("wal/00000000").exists() && team.join("chunks_head/000001").exists());
        assert!(place.uploaded().await.is_empty());
        drop(ingester);
        assert_eq!(read(&*place.open()).await, model);
    }
}

async fn filled_or_open(place: &Place, model: &mut Samples) -> Arc<thanoxide_ingester::Ingester> {
    if model.is_empty() { filled(place, model).await } else { place.open() }
}

#[tokio::test]
async fn a_stop_that_flushes_leaves_blocks_here_and_in_the_bucket() {
    let (mut place, mut model) = (Place::new(), Samples::new());
    place.config.flush_on_shutdown = true;
    let ingester = filled(&place, &mut model).await;
    ingester.stop().await.unwrap();
    let team = place.dir.path().join("team");
    assert!(!team.join("wal").exists() && !team.join("chunks_head").exists());
    assert_eq!(place.local_blocks("team").len(), place.uploaded().await.len());
    assert!(!place.local_blocks("team").is_empty());
    drop(ingester);
    assert_eq!(read(&*place.open()).await, model);
}

/// 60 series with 200 samples each.
fn sweep(number: i64) -> Vec<(Labels, Vec<Sample>)> {
    let sample = |i: i64| Sample { timestamp_ms: START_MS + (number * 200 + i) * 1000, value: i as f64 };
    let samples = |series: usize| {
        let labels = Labels::from_pairs([("__name__", "metric".to_string()), ("i", series.to_string())]);
        (labels, (0..200).map(sample).collect())
    };
    (0..60).map(samples).collect()
}

/// Where no snapshot is taken, the log does not grow for ever: writes are refused until one is.
#[tokio::test(start_paused = true)]
async fn a_tail_that_no_snapshot_shortens_stops_writes() {
    let (mut place, mut model) = (Place::new(), Samples::new());
    place.config.maintenance_interval = Duration::from_secs(86_400);
    let (ingester, team) = (place.open(), tenant("team"));
    let refused = loop {
        let number = model.values().next().map_or(0, |samples| samples.len() as i64 / 200);
        assert!(number < 10, "the tail has no bound");
        if let Err(error) = write(&ingester, &team, &sweep(number), &external(), &mut model).await {
            break error;
        }
    };
    assert_eq!(refused, WriteError::Unavailable("the log is too long, a snapshot is awaited".to_string()));
    let number = model.values().next().map_or(0, |samples| samples.len() as i64 / 200);
    assert!(number > 2, "only what is much too long is refused");
    let shutdown = Shutdown::new();
    let running = tokio::spawn(Arc::clone(&ingester).run(shutdown.clone()));
    write(&ingester, &team, &sweep(number), &external(), &mut model).await.unwrap();
    assert_eq!(read(&*ingester).await, model);
    shutdown.request();
    running.await.unwrap().unwrap();
}

/// The log is given up for a snapshot because of what is in it, not because time has passed.
#[tokio::test(flavor = "multi_thread")]
async fn writes_bound_the_tail_of_the_log() {
    let mut place = Place::new();
    place.config.maintenance_interval = Duration::from_secs(86_400);
    let ingester = place.open();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(Arc::clone(&ingester).run(shutdown.clone()));
    write(&ingester, &tenant("team"), &sweep(0), &external(), &mut Samples::new()).await.unwrap();
    let snapshots = || {
        let names = std::fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|ending| ending == "tsnap")).count()
    };
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(5)));
    while snapshots() == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "no snapshot was taken");
        ticks.tick().await;
    }
    shutdown.request();
    running.await.unwrap().unwrap();
}
