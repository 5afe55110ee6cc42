//! The StoreAPI's rules, wherever the samples lie.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/place.rs"]
mod place;

use std::sync::Arc;
use std::time::Duration;

use place::{HOUR_MS, Place, batch, tenant};
use thanoxide_ingester::Ingester;
use thanoxide_storeapi::WriteStore;
use thanoxide_storeapi::conformance::{self, Dataset};

/// The standard data, under the labels that the ingester adds.
fn dataset(place: &Place) -> Dataset {
    Dataset { external: place.config.labels_of(&place.config.default_tenant), ..Dataset::standard() }
}

async fn fill(ingester: &Ingester, data: &Dataset) {
    // As a sender does it: a request has some samples of many series.
    for number in 0..data.series[0].1.len() {
        let step: Vec<_> = data.series.iter().map(|(labels, s)| (labels.clone(), vec![s[number]])).collect();
        let outcome = ingester.write(&tenant("default"), batch(&step)).await.unwrap();
        assert!(outcome.rejected.is_empty(), "{:?}", outcome.rejected);
    }
}

/// Blocks, and series in the head.
fn holds(ingester: &Ingester) -> (usize, usize) {
    let stats = ingester.tenants()[0].stats;
    (stats.blocks, stats.series)
}

#[tokio::test]
async fn samples_in_the_head() {
    let place = Place::new();
    let (ingester, data) = (place.open(), dataset(&place));
    fill(&ingester, &data).await;
    assert_eq!(holds(&ingester), (0, 80));
    conformance::run(&*ingester, &data).await.unwrap();
    drop(ingester);
    let ingester = place.open();
    assert_eq!(holds(&ingester), (0, 80));
    conformance::run(&*ingester, &data).await.unwrap();
}

#[tokio::test]
async fn samples_in_blocks() {
    let mut place = Place::new();
    place.config.block_duration_ms = HOUR_MS;
    let (ingester, data) = (place.open(), dataset(&place));
    fill(&ingester, &data).await;
    // Nothing came for long: all goes into blocks.
    place.clock.advance(Duration::from_millis(4 * HOUR_MS as u64));
    ingester.maintain().await;
    assert_eq!(holds(&ingester), (2, 0));
    conformance::run(&*ingester, &data).await.unwrap();
    drop(ingester);
    let ingester = place.open();
    assert_eq!(holds(&ingester), (2, 0));
    conformance::run(&*ingester, &data).await.unwrap();
}

#[tokio::test]
async fn samples_in_head_and_blocks() {
    let mut place = Place::new();
    place.config.block_duration_ms = HOUR_MS / 2;
    let (ingester, data) = (place.open(), dataset(&place));
    fill(&ingester, &data).await;
    ingester.maintain().await;
    assert_eq!(holds(&ingester), (1, 80));
    conformance::run(&*ingester, &data).await.unwrap();
}

/// The rules hold while blocks are cut beside the reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_on_their_way_into_blocks() {
    let mut place = Place::new();
    place.config.block_duration_ms = 5 * 60_000;
    let (ingester, data) = (place.open(), dataset(&place));
    fill(&ingester, &data).await;
    let cutting = tokio::spawn({
        let ingester = Arc::clone(&ingester);
        async move { ingester.maintain().await }
    });
    while !cutting.is_finished() {
        conformance::run(&*ingester, &data).await.unwrap();
    }
    cutting.await.unwrap();
    assert!(holds(&ingester).0 >= 13, "{:?}", holds(&ingester));
    conformance::run(&*ingester, &data).await.unwrap();
}
