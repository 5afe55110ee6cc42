//! Blocks come into the bucket, each once and whole, whatever fails on the way.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/place.rs"]
mod place;
#[path = "support/shipped.rs"]
mod shipped;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::join_all;
use place::{HOUR_MS, Place, START_MS, Samples, read, step, tenant, write};
use shipped::read_bucket;
use thanoxide_ingester::Ingester;
use thanoxide_model::TenantId;
use thanoxide_objstore::Bucket;
use thanoxide_server::Shutdown;

/// Writes ten series every half hour.
async fn write_hours(
    ingester: &Ingester,
    place: &Place,
    id: &TenantId,
    hours: std::ops::Range<i64>,
    model: &mut Samples,
) {
    let external = place.config.labels_of(id);
    for half in hours.start * 2..hours.end * 2 {
        let series = step(10, START_MS + half * HOUR_MS / 2);
        // A sender sends again what was not acknowledged.
        while write(ingester, id, &series, &external, model).await.is_err() {}
    }
}

/// The part of a model before a time.
fn before(model: &Samples, end_ms: i64) -> Samples {
    let early = |samples: &BTreeMap<i64, u64>| samples.range(..end_ms).map(|(t, v)| (*t, *v)).collect();
    model.iter().map(|(labels, samples)| (labels.clone(), early(samples))).collect()
}

#[tokio::test]
async fn every_call_of_the_bucket_may_fail_at_first() {
    for attempts in [1, 3] {
        let place = Place::new();
        let (ingester, id) = (place.open(), tenant("default"));
        let mut model = Samples::new();
        write_hours(&ingester, &place, &id, 0..8, &mut model).await;
        place.bucket.fail_first(attempts);
        let mut passes = 0;
        while ingester.watch_shipped().borrow().eq(&0) || place.local_blocks("default").len() > stated(&place).len() {
            ingester.maintain().await;
            passes += 1;
            assert!(passes < 100);
        }
        assert!(passes > attempts);
        place.bucket.fail_first(0);
        assert_eq!(place.uploaded().await, place.local_blocks("default"));
        assert_eq!(read_bucket(&place, "default").await, before(&model, START_MS + 6 * HOUR_MS));
        assert_eq!(read(&*ingester).await, model);
    }
}

/// The blocks that the shipper's state says are in the bucket.
fn stated(place: &Place) -> Vec<String> {
    let path = place.dir.path().join("default/thanos.shipper.json");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut ids: Vec<_> = text.split('"').filter(|word| word.len() == 26).map(str::to_string).collect();
    ids.sort();
    ids
}

/// Whatever call of disk or bucket fails once, over cut and upload: nothing is lost, nothing comes twice.
#[tokio::test]
async fn any_one_call_may_fail() {
    for of_disk in [true, false] {
        for fail_at in 1.. {
            let place = Place::new();
            let (ingester, id) = (place.open(), tenant("default"));
            let mut model = Samples::new();
            write_hours(&ingester, &place, &id, 0..6, &mut model).await;
            let calls = || if of_disk { place.disk.calls() } else { place.bucket.calls() };
            let first = calls();
            match of_disk {
                true => place.disk.fail_at(first + fail_at),
                false => place.bucket.fail_at(first + fail_at),
            }
            ingester.maintain().await;
            let reached = calls() - first >= fail_at;
            place.disk.fail_at(0);
            place.bucket.fail_at(0);
            assert_eq!(read(&*ingester).await, model, "call {fail_at}, disk {of_disk}");
            // A failure may cost a pass, not more.
            ingester.maintain().await;
            assert_eq!(read(&*ingester).await, model, "call {fail_at}, disk {of_disk}");
            let cut = before(&model, START_MS + 4 * HOUR_MS);
            assert_eq!(read_bucket(&place, "default").await, cut, "call {fail_at}, disk {of_disk}");
            assert_eq!(place.uploaded().await, place.local_blocks("default"), "call {fail_at}, disk {of_disk}");
            drop(ingester);
            assert_eq!(read(&*place.open()).await, model, "call {fail_at}, disk {of_disk}, after a restart");
            if !reached {
                assert!(fail_at > 5);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_restart_in_the_middle_of_an_upload_goes_on() {
    for fail_at in 1.. {
        let place = Place::new();
        let (ingester, id) = (place.open(), tenant("default"));
        let mut model = Samples::new();
        write_hours(&ingester, &place, &id, 0..6, &mut model).await;
        let first = place.bucket.calls();
        place.bucket.fail_at(first + fail_at);
        ingester.maintain().await;
        let reached = place.bucket.calls() - first >= fail_at;
        place.bucket.fail_at(0);
        drop(ingester);
        // What the state says may be gone, too: the bucket knows.
        if fail_at % 2 == 0 {
            let _ = std::fs::remove_file(place.dir.path().join("default/thanos.shipper.json"));
        }
        let ingester = place.open();
        ingester.maintain().await;
        assert_eq!(place.uploaded().await, place.local_blocks("default"), "call {fail_at}");
        assert_eq!(stated(&place), place.local_blocks("default"), "call {fail_at}");
        assert_eq!(read_bucket(&place, "default").await, before(&model, START_MS + 4 * HOUR_MS), "call {fail_at}");
        if !reached {
            return assert!(fail_at > 5);
        }
    }
}

/// A pass that is dropped while it uploads, as a process that ends.
#[tokio::test]
async fn a_pass_that_is_given_up_goes_on_later() {
    let place = Place::new();
    let (ingester, id) = (place.open(), tenant("default"));
    let mut model = Samples::new();
    write_hours(&ingester, &place, &id, 0..6, &mut model).await;
    for polls in 1..40 {
        // The future is left after so many steps.
        let mut pass = pin!(ingester.maintain());
        let mut steps = 0;
        poll_fn(|context| {
            steps += 1;
            if steps > polls { Poll::Ready(()) } else { pass.as_mut().poll(context) }
        })
        .await;
    }
    ingester.maintain().await;
    assert_eq!(place.uploaded().await, place.local_blocks("default"));
    assert_eq!(read_bucket(&place, "default").await, before(&model, START_MS + 4 * HOUR_MS));
    assert_eq!(read(&*ingester).await, model);
}

#[tokio::test]
async fn tenants_ship_beside_each_other_under_their_labels() {
    let place = Place::new();
    let ingester = place.open();
    let names = ["a", "b", "c", "d"];
    let written = names.map(|name| {
        let (ingester, place) = (&ingester, &place);
        async move {
            let mut model = Samples::new();
            write_hours(ingester, place, &tenant(name), 0..6, &mut model).await;
            model
        }
    });
    let models = join_all(written).await;
    ingester.maintain().await;
    for (name, model) in names.iter().zip(&models) {
        assert_eq!(place.local_blocks(name).len(), 2);
        assert_eq!(read_bucket(&place, name).await, before(model, START_MS + 4 * HOUR_MS), "{name}");
    }
    let all: Samples = models.into_iter().flatten().collect();
    assert_eq!(read(&*ingester).await, all);
    assert_eq!(place.uploaded().await.len(), 8);
}

#[tokio::test]
async fn a_bad_block_holds_up_no_other() {
    let place = Place::new();
    let (ingester, registry) = place.try_open().unwrap();
    let mut models = Vec::new();
    for name in ["bad", "good"] {
        let mut model = Samples::new();
        write_hours(&ingester, &place, &tenant(name), 0..6, &mut model).await;
        models.push(model);
    }
    // Of one tenant the oldest block lost its index before it could be uploaded, and there is one without a meta.
    place.bucket.fail_first(1);
    ingester.maintain().await;
    place.bucket.fail_first(0);
    let bad = place.local_blocks("bad")[0].clone();
    std::fs::remove_file(place.dir.path().join("bad").join(&bad).join("index")).unwrap();
    std::fs::create_dir(place.dir.path().join("bad/00000000000000000000000000")).unwrap();
    ingester.maintain().await;
    let uploaded = place.uploaded().await;
    assert_eq!(uploaded.len(), 3);
    assert!(!uploaded.contains(&bad));
    assert_eq!(read_bucket(&place, "good").await, before(&models[1], START_MS + 4 * HOUR_MS));
    let text = metrics(&registry);
    assert!(text.contains("thanos_shipper_corrupted_blocks_total{tenant=\"bad\"} "), "{text}");
    assert!(text.contains("thanos_shipper_upload_failures_total{tenant=\"good\"} 2"), "{text}");
    assert!(text.contains("thanos_shipper_uploads_total{tenant=\"good\"} 2"), "{text}");
}

#[tokio::test]
async fn retention_spares_what_is_not_in_the_bucket() {
    let mut place = Place::new();
    place.config.retention_ms = Some(4 * HOUR_MS);
    let (ingester, id) = (place.open(), tenant("default"));
    let mut model = Samples::new();
    // The bucket is away; all blocks stay.
    place.bucket.fail_first(u32::MAX);
    for hour in 0..16 {
        write_hours(&ingester, &place, &id, hour..hour + 1, &mut model).await;
        ingester.maintain().await;
    }
    let all = place.local_blocks("default");
    assert_eq!(all.len(), 7);
    assert_eq!(read(&*ingester).await, model);
    assert_eq!(*ingester.watch_shipped().borrow(), 0);
    // It comes back: this pass uploads, the next one removes what is too old.
    place.bucket.fail_first(0);
    ingester.maintain().await;
    assert_eq!(place.uploaded().await, all);
    assert_eq!(place.local_blocks("default"), all);
    ingester.maintain().await;
    assert_eq!(place.local_blocks("default").len(), 2);
    assert_eq!(place.uploaded().await, all);
    assert_eq!(read_bucket(&place, "default").await, before(&model, START_MS + 14 * HOUR_MS));
    let kept = read(&*ingester).await;
    assert_eq!(kept.values().next().unwrap().keys().next(), Some(&(START_MS + 10 * HOUR_MS)));
}

#[tokio::test]
async fn without_a_lost_state_nothing_is_uploaded_twice() {
    let place = Place::new();
    let (ingester, id) = (place.open(), tenant("default"));
    write_hours(&ingester, &place, &id, 0..6, &mut Samples::new()).await;
    ingester.maintain().await;
    let objects = place.bucket.iter_recursive("").await.unwrap();
    let calls = place.bucket.calls();
    ingester.maintain().await;
    assert_eq!(place.bucket.calls(), calls, "the state is known");
    std::fs::write(place.dir.path().join("default/thanos.shipper.json"), "{").unwrap();
    ingester.maintain().await;
    assert_eq!(place.bucket.calls(), calls + 2, "one question a block");
    assert_eq!(place.bucket.iter_recursive("").await.unwrap(), objects);
}

#[tokio::test]
async fn whoever_watches_is_told_of_uploads() {
    let mut place = Place::new();
    place.config.maintenance_interval = Duration::from_secs(3600);
    let (ingester, id) = (place.open(), tenant("default"));
    let (mut shipped, shutdown) = (ingester.watch_shipped(), Shutdown::new());
    let running = tokio::spawn(Arc::clone(&ingester).run(shutdown.clone()));
    ingester.maintain().await;
    assert!(!shipped.has_changed().unwrap(), "there was nothing to upload");
    write_hours(&ingester, &place, &id, 0..6, &mut Samples::new()).await;
    ingester.wake();
    tokio::time::timeout(Duration::from_secs(20), shipped.changed()).await.unwrap().unwrap();
    assert_eq!(place.uploaded().await.len(), 2);
    shutdown.request();
    running.await.unwrap().unwrap();
    let late = write(&ingester, &id, &step(1, START_MS + 7 * HOUR_MS), &Default::default(), &mut Samples::new()).await;
    assert!(matches!(late, Err(thanoxide_storeapi::WriteError::Unavailable(_))), "{late:?}");
}

fn metrics(registry: &prometheus_client::registry::Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}
