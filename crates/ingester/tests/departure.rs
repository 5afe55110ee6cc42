//! Tenants go when nobody writes to them, or when somebody wants them gone; and what is told of those that are there.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/place.rs"]
mod place;
#[path = "support/shipped.rs"]
mod shipped;

use std::time::Duration;

use place::{HOUR_MS, Place, START_MS, Samples, batch, read, step, tenant, write};
use serde_json::{Value, json};
use shipped::read_bucket;
use thanoxide_config::Limits;
use thanoxide_ingester::{DepartureError, Ingester, StatusApi};
use thanoxide_model::Verdict;
use thanoxide_server::http::{Body, BodyExt, Request};
use thanoxide_storeapi::WriteStore;
use tower::ServiceExt;

const DAY: Duration = Duration::from_secs(86_400);

/// Time goes on by a while, in which maintenance looks at the tenants.
async fn pass(place: &Place, ingester: &std::sync::Arc<Ingester>, time: Duration) {
    place.clock.advance(time);
    ingester.maintain().await;
}

#[tokio::test]
async fn a_tenant_that_nobody_writes_to_goes_once_the_bucket_has_it() {
    let mut place = Place::new();
    place.config.retention_ms = Some(DAY.as_millis() as i64);
    let ingester = place.open();
    let (idle, busy) = (tenant("idle"), tenant("busy"));
    let mut model = Samples::new();
    for id in [&idle, &busy, &tenant("default")] {
        let external = place.config.labels_of(id);
        write(&ingester, id, &step(10, START_MS), &external, &mut model).await.unwrap();
    }
    let names = || ingester.tenants().into_iter().map(|of| of.tenant.to_string()).collect::<Vec<_>>();
    place.bucket.fail_first(1000);
    // Too early: what it has is younger than what is kept.
    pass(&place, &ingester, DAY / 2).await;
    pass(&place, &ingester, DAY / 4).await;
    assert_eq!(names(), ["busy", "default", "idle"]);
    let (external, late) = (place.config.labels_of(&busy), START_MS + 20 * HOUR_MS);
    write(&ingester, &busy, &step(10, late), &external, &mut model).await.unwrap();
    // The bucket fails all the time: the tenant stays.
    pass(&place, &ingester, DAY / 2).await;
    pass(&place, &ingester, DAY / 6).await;
    assert_eq!(names(), ["busy", "default", "idle"]);
    place.bucket.fail_first(0);
    pass(&place, &ingester, DAY / 4).await;
    assert_eq!(names(), ["busy", "default"]);
    assert!(!place.dir.path().join("idle").exists());
    let of_idle = place.config.labels_of(&idle);
    let had: Samples = model
        .iter()
        .filter(|(labels, _)| labels.get("tenant_id") == of_idle.get("tenant_id"))
        .map(|(l, s)| (l.clone(), s.clone()))
        .collect();
    assert_eq!(read_bucket(&place, "idle").await, had);
    // A write makes it anew, and a restart brings back nothing that went.
    let mut fresh = Samples::new();
    write(&ingester, &idle, &step(3, late), &of_idle, &mut fresh).await.unwrap();
    assert_eq!(names(), ["busy", "default", "idle"]);
    drop(ingester);
    let again = read(&*place.open()).await;
    assert!(fresh.iter().all(|(labels, samples)| again.get(labels) == Some(samples)));
}

#[tokio::test]
async fn a_deleted_tenant_takes_its_blocks_along_and_no_others() {
    let place = Place::new();
    let ingester = place.open();
    let (gone, stays) = (tenant("gone"), tenant("stays"));
    let mut model = Samples::new();
    for half in 0..16 {
        for id in [&gone, &stays] {
            let external = place.config.labels_of(id);
            write(&ingester, id, &step(5, START_MS + half * HOUR_MS / 2), &external, &mut model).await.unwrap();
        }
    }
    ingester.maintain().await;
    assert!(!read_bucket(&place, "gone").await.is_empty());
    let of_stays = read_bucket(&place, "stays").await;
    ingester.delete_tenant(&gone).await.unwrap();
    assert!(read_bucket(&place, "gone").await.is_empty());
    assert_eq!(read_bucket(&place, "stays").await, of_stays);
    let label = place.config.labels_of(&gone).get("tenant_id").unwrap().to_vec();
    let left: Vec<_> = read(&*ingester).await.into_keys().filter(|l| l.get("tenant_id") == Some(&label[..])).collect();
    assert!(left.is_empty() && !place.dir.path().join("gone").exists());
    // Twice is as good as once; the default tenant stays.
    ingester.delete_tenant(&gone).await.unwrap();
    assert!(matches!(ingester.delete_tenant(&tenant("default")).await, Err(DepartureError::Stays(_))));
}

#[tokio::test]
async fn limits_say_how_long_a_tenant_is_kept_and_how_many_there_may_be() {
    let place = Place::new();
    let ingester = place.open();
    let limits = "write: {global: {max_tenants: 3}, tenants: {short: {local_retention: 3h}}}";
    ingester.set_limits(Limits::parse(limits).unwrap());
    let mut model = Samples::new();
    for half in 0..32 {
        for id in [tenant("short"), tenant("long")] {
            let external = place.config.labels_of(&id);
            write(&ingester, &id, &step(2, START_MS + half * HOUR_MS / 2), &external, &mut model).await.unwrap();
        }
    }
    // What is uploaded in one pass may go in the next.
    ingester.maintain().await;
    ingester.maintain().await;
    let blocks = |name| place.local_blocks(name).len();
    assert!(blocks("short") <= 2 && blocks("long") >= 6, "{} {}", blocks("short"), blocks("long"));
    let outcome = ingester.write(&tenant("one-too-many"), batch(&step(4, START_MS))).await.unwrap();
    assert_eq!((outcome.accepted, outcome.rejected.len()), (0, 4));
    assert_eq!(outcome.rejected[0].verdict, Verdict::SeriesLimit);
    assert!(!place.dir.path().join("one-too-many").exists());
    let known = ingester.write(&tenant("long"), batch(&step(4, START_MS + 16 * HOUR_MS))).await.unwrap();
    assert_eq!(known.accepted, 4);
}

async fn status(api: &StatusApi, query: &str, header: &str) -> (u16, Value) {
    let mut request = Request::builder().uri(format!("/api/v1/status/tsdb{query}"));
    if !header.is_empty() {
        request = request.header("THANOS-TENANT", header);
    }
    let response = api.clone().routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn the_status_tells_what_heads_hold_most_of() {
    let place = Place::new();
    let ingester = place.open();
    for (name, series) in [("a", 3), ("default", 12)] {
        ingester.write(&tenant(name), batch(&step(series, START_MS))).await.unwrap();
    }
    let mut api = StatusApi {
        ingester: Some(ingester),
        tenant_header: "THANOS-TENANT".to_string(),
        default_tenant: "default".to_string(),
    };
    let (code, answer) = status(&api, "", "a").await;
    let listed = |pairs: &[(&str, u64)]| pairs.iter().map(|(n, v)| json!({"name": n, "value": v})).collect::<Value>();
    assert_eq!(code, 200);
    assert_eq!(
        answer,
        json!({"status": "success", "data": [{
            "tenant": "a",
            "headStats": {"numSeries": 3, "numLabelPairs": 4, "chunkCount": 3, "minTime": START_MS, "maxTime": START_MS},
            "seriesCountByMetricName": listed(&[("metric", 3)]),
            "labelValueCountByLabelName": listed(&[("i", 3), ("__name__", 1)]),
            "memoryInBytesByLabelName": listed(&[("__name__", 3 * (8 + 6 + 32)), ("i", 3 * (1 + 1 + 32))]),
            "seriesCountByLabelValuePair": listed(&[("__name__=metric", 3), ("i=0", 1), ("i=1", 1), ("i=2", 1)]),
        }]})
    );
    let (_, answer) = status(&api, "?all_tenants=true&limit=2", "").await;
    let told: Vec<_> = answer["data"].as_array().unwrap().iter().map(|of| of["tenant"].as_str().unwrap()).collect();
    assert_eq!(told, ["a", "default"]);
    assert_eq!(answer["data"][1]["seriesCountByLabelValuePair"].as_array().unwrap().len(), 2);
    assert_eq!(status(&api, "", "").await.1["data"][0]["tenant"], "default");
    assert_eq!(status(&api, "", "nobody").await, (200, json!({"status": "success", "data": []})));
    let (code, answer) = status(&api, "?all_tenants=true", "a").await;
    let text = "using both the all_tenants parameter and the THANOS-TENANT header is not supported";
    assert_eq!((code, &answer["error"]), (400, &json!(text)));
    let (code, answer) = status(&api, "?limit=x", "").await;
    let text = "unable to parse 'limit' parameter: strconv.ParseInt: parsing \"x\": invalid syntax";
    assert_eq!((code, &answer["error"]), (400, &json!(text)));
    api.ingester = None;
    assert_eq!(status(&api, "", "").await, (200, json!({"status": "success", "data": []})));
}
