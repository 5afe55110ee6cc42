//! Writing: full disks, locked directories, and what is counted.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/place.rs"]
mod place;

use place::{HOUR_MS, Place, START_MS, Samples, batch, read, step, tenant, write};
use prometheus_client::registry::Registry;
use thanoxide_model::{Labels, Sample, Verdict};
use thanoxide_storeapi::{WriteError, WriteStore};
use thanoxide_tsdb::engine::EngineError;

fn metrics(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let place = Place::new();
    let (ingester, id) = (place.open(), tenant("default"));
    let external = place.config.labels_of(&id);
    let mut model = Samples::new();
    for round in 0..4 {
        let t = START_MS + round * 2 * HOUR_MS;
        write(&ingester, &id, &step(20, t), &external, &mut model).await.unwrap();
        place.disk.set_full(true);
        for (name, series) in [("default", step(20, t + 1)), ("new tenant", step(1, t))] {
            let refused = ingester.write(&tenant(name), batch(&series)).await;
            assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{name}: {refused:?}");
        }
        // Neither maintenance nor readers mind.
        ingester.maintain().await;
        assert_eq!(read(&*ingester).await, model);
        place.disk.set_full(false);
        write(&ingester, &id, &step(20, t + 1), &external, &mut model).await.unwrap();
        ingester.maintain().await;
        assert_eq!(read(&*ingester).await, model);
    }
    assert_eq!(place.uploaded().await, place.local_blocks("default"));
    assert!(place.local_blocks("default").len() >= 2);
    drop(ingester);
    assert_eq!(read(&*place.open()).await, model);
}

/// The disk fills while the write is under way: the room was there when it began.
#[tokio::test]
async fn any_call_of_the_disk_may_fail_below_a_write() {
    for fail_at in 1.. {
        let place = Place::new();
        let (ingester, id) = (place.open(), tenant("other"));
        let external = place.config.labels_of(&id);
        let mut model = Samples::new();
        let first = place.disk.calls();
        place.disk.fail_at(first + fail_at);
        let mut refused = 0;
        for t in 0..5 {
            let series = step(50, START_MS + t);
            while let Err(error) = write(&ingester, &id, &series, &external, &mut model).await {
                assert!(matches!(error, WriteError::Unavailable(_)), "call {fail_at}: {error:?}");
                refused += 1;
                assert_eq!(refused, 1, "call {fail_at} fails once");
            }
        }
        let calls = place.disk.calls() - first;
        assert_eq!(read(&*ingester).await, model, "call {fail_at}");
        drop(ingester);
        place.disk.fail_at(0);
        assert_eq!(read(&*place.open()).await, model, "call {fail_at}, after a restart");
        if calls < fail_at {
            return assert!(fail_at > 5);
        }
    }
}

#[tokio::test]
async fn a_directory_has_one_ingester() {
    let place = Place::new();
    let ingester = place.open();
    let second = place.try_open().map(|_| ());
    assert!(matches!(&second, Err(EngineError::AlreadyLocked { dir }) if dir == place.dir.path()), "{second:?}");
    drop(ingester);
    place.open();
}

#[tokio::test]
async fn tenants_write_at_once() {
    let place = Place::new();
    let ingester = place.open();
    let tenants: Vec<_> = (0..8).map(|n| tenant(&format!("t{n}"))).collect();
    let writes = tenants.iter().map(|id| {
        let (ingester, external) = (&ingester, place.config.labels_of(id));
        async move {
            let mut model = Samples::new();
            for t in 0..20 {
                write(ingester, id, &step(10, START_MS + t * 15_000), &external, &mut model).await.unwrap();
            }
            model
        }
    });
    let all: Samples = futures::future::join_all(writes).await.into_iter().flatten().collect();
    assert_eq!(all.len(), 80);
    assert_eq!(read(&*ingester).await, all);
    drop(ingester);
    assert_eq!(read(&*place.open()).await, all);
}

#[tokio::test]
async fn what_is_counted_has_the_names_of_stock() {
    let mut place = Place::new();
    place.config.too_far_in_future_ms = Some(12 * HOUR_MS);
    let (ingester, registry) = place.try_open().unwrap();
    let id = tenant("default");
    let at = |timestamp_ms, value| {
        let labels = Labels::from_pairs([("__name__", "metric")]);
        batch(&[(labels, vec![Sample { timestamp_ms, value }])])
    };
    let verdict = |outcome: Result<thanoxide_storeapi::WriteOutcome, _>| -> Option<Verdict> {
        outcome.unwrap().rejected.first().map(|rejected| rejected.verdict)
    };
    assert_eq!(verdict(ingester.write(&id, at(START_MS + 4 * HOUR_MS, 1.0)).await), None);
    assert_eq!(verdict(ingester.write(&id, at(START_MS + 4 * HOUR_MS - 1, 1.0)).await), Some(Verdict::OutOfOrder));
    let old = batch(&step(1, START_MS - 8 * HOUR_MS));
    assert_eq!(verdict(ingester.write(&id, old).await), Some(Verdict::OutOfBounds));
    assert_eq!(verdict(ingester.write(&id, at(START_MS + 7 * HOUR_MS + 1, 1.0)).await), None);
    ingester.maintain().await;
    let text = metrics(&registry);
    for line in [
        "prometheus_tsdb_head_series{tenant=\"default\"} 1",
        "prometheus_tsdb_head_chunks{tenant=\"default\"} 1",
        "prometheus_tsdb_head_series_created_total{tenant=\"default\"} 1",
        "prometheus_tsdb_head_series_removed_total{tenant=\"default\"} 0",
        &format!("prometheus_tsdb_head_min_time{{tenant=\"default\"}} {}", START_MS + 7 * HOUR_MS + 1),
        &format!("prometheus_tsdb_head_max_time{{tenant=\"default\"}} {}", START_MS + 7 * HOUR_MS + 1),
        &format!("prometheus_tsdb_lowest_timestamp{{tenant=\"default\"}} {}", START_MS + 4 * HOUR_MS),
        "prometheus_tsdb_blocks_loaded{tenant=\"default\"} 1",
        "prometheus_tsdb_head_samples_appended_total{tenant=\"default\"} 2",
        "prometheus_tsdb_out_of_order_samples_total{tenant=\"default\"} 1",
        "prometheus_tsdb_out_of_bound_samples_total{tenant=\"default\"} 1",
        "prometheus_tsdb_compactions_total{tenant=\"default\"} 1",
        "thanos_shipper_dir_syncs_total{tenant=\"default\"} 1",
        "thanos_shipper_uploads_total{tenant=\"default\"} 1",
        "thanos_shipper_upload_failures_total{tenant=\"default\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    // A pass that fails is counted, too.
    place.disk.set_full(true);
    ingester.write(&id, at(START_MS + 11 * HOUR_MS, 1.0)).await.unwrap_err();
    place.disk.set_full(false);
    ingester.write(&id, at(START_MS + 11 * HOUR_MS, 1.0)).await.unwrap();
    place.disk.set_full(true);
    ingester.maintain().await;
    let text = metrics(&registry);
    assert!(text.contains("prometheus_tsdb_compactions_failed_total{tenant=\"default\"} 1"), "{text}");
}

/// What a start finds damaged is told by kind.
#[tokio::test]
async fn damage_is_counted_at_the_start() {
    let place = Place::new();
    let (ingester, id) = (place.open(), tenant("default"));
    let external = place.config.labels_of(&id);
    for t in 0..3 {
        write(&ingester, &id, &step(50, START_MS + t), &external, &mut Samples::new()).await.unwrap();
    }
    drop(ingester);
    let of = |registry: &Registry, kind: &str| -> i64 {
        let name = format!("thanoxide_tsdb_damage_at_start{{kind=\"{kind}\"}} ");
        let text = metrics(registry);
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    };
    let (ingester, registry) = place.try_open().unwrap();
    assert_eq!((of(&registry, "stretches"), of(&registry, "orphaned_samples")), (0, 0));
    drop(ingester);
    let mut logs = std::fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.find(|path| path.extension().is_some_and(|ending| ending == "tlog")).unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    // The first frames define the series.
    bytes[200..1200].fill(0xa5);
    std::fs::write(&log, bytes).unwrap();
    let (_ingester, registry) = place.try_open().unwrap();
    assert!(of(&registry, "stretches") >= 1 && of(&registry, "bytes") >= 1000, "{}", metrics(&registry));
}
