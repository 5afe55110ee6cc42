//! Exemplars on their way in and out: verdicts, external labels, metrics.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/place.rs"]
mod place;

use std::sync::Arc;

use place::{Place, START_MS, tenant};
use thanoxide_ingester::Ingester;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Matcher, Sample};
use thanoxide_storeapi::{EVER_MS, ExemplarsRequest, Store, WriteStore, rejected_text};

/// Writes a sample and exemplars (time and value) of `metric`; gives what is told of those refused.
async fn write(ingester: &Ingester, name: &str, t: i64, exemplars: &[(i64, f64)]) -> (u64, String) {
    let mut builder = WriteBatchBuilder::default();
    builder
        .push(&Labels::from_pairs([("__name__", "metric")]), &[Sample { timestamp_ms: START_MS + t, value: t as f64 }]);
    for (t, value) in exemplars {
        builder.push_exemplar(&Labels::from_pairs([("trace_id", format!("{name}{t}"))]), START_MS + t, *value);
    }
    let outcome = ingester.write(&tenant(name), Arc::new(builder.build())).await.unwrap();
    (outcome.accepted, if outcome.rejected.is_empty() { String::new() } else { rejected_text(&outcome.rejected) })
}

/// The trace ids of each series, by its tenant and region.
async fn read(ingester: &Ingester, matchers: Vec<Matcher>) -> Vec<(String, Vec<String>)> {
    let text = |labels: &Labels, name: &str| String::from_utf8_lossy(labels.value(name)).into_owned();
    let request =
        ExemplarsRequest { sets: vec![matchers], start_ms: EVER_MS.0, end_ms: EVER_MS.1, ..Default::default() };
    let answer = ingester.exemplars(request).await.unwrap();
    let series = answer.series.iter().map(|series| {
        let ids = series.exemplars.iter().map(|exemplar| text(&exemplar.labels, "trace_id")).collect();
        (format!("{}/{}", text(&series.labels, "tenant_id"), text(&series.labels, "region")), ids)
    });
    series.collect()
}

#[tokio::test]
async fn they_come_back_under_external_labels() {
    let mut place = Place::new();
    place.config.max_exemplars = 10;
    let (ingester, registry) = place.try_open().unwrap();
    assert_eq!(write(&ingester, "a", 0, &[(5, 1.0), (6, 2.0)]).await, (1, String::new()));
    assert_eq!(write(&ingester, "b", 0, &[(7, 1.0)]).await, (1, String::new()));
    // The sample is stored whatever becomes of the exemplar.
    let late = "add 1 exemplars: out of order exemplar".to_string();
    assert_eq!(write(&ingester, "b", 1, &[(3, 1.0)]).await, (1, late));
    let of = |tenant: &str, ids: &[&str]| (format!("{tenant}/eu"), ids.iter().map(|id| id.to_string()).collect());
    let metric = || Matcher::equal("__name__", "metric");
    assert_eq!(read(&ingester, vec![metric()]).await, [of("a", &["a5", "a6"]), of("b", &["b7"])]);
    assert_eq!(read(&ingester, vec![metric(), Matcher::equal("tenant_id", "b")]).await, [of("b", &["b7"])]);
    assert_eq!(read(&ingester, vec![Matcher::equal("tenant_id", "b")]).await, [of("b", &["b7"])]);
    assert_eq!(read(&ingester, vec![Matcher::equal("region", "us")]).await, []);
    assert_eq!(ingester.info().await.unwrap().exemplars, Some(EVER_MS));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "prometheus_tsdb_exemplar_exemplars_appended_total{tenant=\"a\"} 2",
        "prometheus_tsdb_exemplar_out_of_order_exemplars_total{tenant=\"b\"} 1",
        "prometheus_tsdb_exemplar_exemplars_in_storage{tenant=\"a\"} 2",
        "prometheus_tsdb_exemplar_series_with_exemplars_in_storage{tenant=\"a\"} 1",
        "prometheus_tsdb_exemplar_last_exemplars_timestamp_seconds{tenant=\"a\"} 1767225600",
        "prometheus_tsdb_exemplar_max_exemplars{tenant=\"a\"} 10",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn without_room_they_are_counted() {
    let place = Place::new();
    let (ingester, registry) = place.try_open().unwrap();
    assert_eq!(write(&ingester, "a", 0, &[(5, 1.0), (4, 2.0)]).await, (1, String::new()));
    assert_eq!(read(&ingester, vec![]).await, []);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("thanoxide_ingester_exemplars_dropped_total{tenant=\"a\"} 2"), "{text}");
}
