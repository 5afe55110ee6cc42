//! What bounds a query over HTTP: time, memory, the gate, and a caller who goes away. And what comes around answers.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use thanoxide_env::SystemClock;
use thanoxide_model::Labels;
use thanoxide_query::{QueryConfig, QueryMetrics, QueryService};
use thanoxide_server::http::{Body, BodyExt, HeaderMap, Request, Router};
use thanoxide_storeapi::{
    AggrChunk, LabelNamesRequest, LabelValuesRequest, LabelsAnswer, MemoryStore, SeriesRequest, SeriesStream, Store,
    StoreError, StoreInfo, StoreSeries,
};
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::{Chunk, Encoding};
use tokio::sync::Notify;
use tower::ServiceExt;

const RANGE: &str = "/api/v1/query_range?query=x&start=0&end=1800&step=15";

/// Longer than anything here takes on the slowest machine.
const FOREVER: Duration = Duration::from_secs(100);

fn series(name: usize) -> StoreSeries {
    let mut chunk = XorAppender::new();
    (0..120).for_each(|n| chunk.append(n * 15_000, n as f64));
    let (data, encoding) = (chunk.into_bytes().into(), Encoding::Xor);
    let chunk = Chunk { min_time_ms: 0, max_time_ms: 119 * 15_000, encoding, data };
    let labels = Labels::from_pairs([("__name__", "x".to_string()), ("n", format!("{name:05}"))]);
    StoreSeries { labels, chunks: vec![AggrChunk::from(chunk)] }
}

fn memory_store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new("memory", Labels::from_pairs([("tenant", "a")]), (0..500).map(series).collect()))
}

fn router(config: QueryConfig, store: Arc<dyn Store>, registry: &mut Registry) -> Router {
    QueryService::new(config, store, Arc::new(SystemClock::default()), QueryMetrics::new(registry)).router()
}

async fn ask(router: &Router, path: &str, headers: &[(&'static str, &'static str)]) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

/// Says that it was asked, and answers nothing until it is told to.
#[derive(Debug, Default)]
struct SlowStore {
    asked: AtomicUsize,
    was_asked: Notify,
    go_on: Notify,
}

#[async_trait]
impl Store for SlowStore {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        memory_store().info().await
    }

    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.was_asked.notify_one();
        self.go_on.notified().await;
        memory_store().series(request).await
    }

    async fn label_names(&self, _: LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
        Ok(LabelsAnswer::default())
    }

    async fn label_values(&self, _: LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
        Ok(LabelsAnswer::default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_compressed_for_those_who_ask_and_the_same() {
    let router = router(QueryConfig::default(), memory_store(), &mut Registry::default());
    let (status, headers, plain) = ask(&router, RANGE, &[]).await;
    assert_eq!((status, headers.get("content-encoding")), (200, None));
    let (status, headers, packed) = ask(&router, RANGE, &[("accept-encoding", "gzip")]).await;
    assert_eq!((status, headers["content-encoding"].as_bytes()), (200, b"gzip".as_slice()));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert!(packed.len() * 2 < plain.len() && unpacked == plain);
    assert_eq!(String::from_utf8(plain).unwrap().matches("\"metric\"").count(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_may_ask() {
    let router = router(QueryConfig::default(), memory_store(), &mut Registry::default());
    let (status, headers, _) = ask(&router, "/api/v1/query?query=1", &[("origin", "http://elsewhere")]).await;
    assert_eq!((status, headers["access-control-allow-origin"].as_bytes()), (200, b"*".as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_limited_with_the_samples_still_encoded() {
    let config = |max_memory_bytes| QueryConfig { max_memory_bytes, ..QueryConfig::default() };
    let small = router(config(20_000), memory_store(), &mut Registry::default());
    let (status, _, body) = ask(&small, RANGE, &[]).await;
    let text = String::from_utf8(body).unwrap();
    assert!(status == 422 && text.contains("more than 20000 bytes of memory"), "{status} {text}");
    // Two readers of one selector keep its encoded samples: more than what one step of two columns takes.
    let instant = "/api/v1/query?query=x%2Bx&time=600";
    let tight = router(config(60_000), memory_store(), &mut Registry::default());
    assert_eq!(ask(&tight, instant, &[]).await.0, 422);
    let wide = router(config(10_000_000), memory_store(), &mut Registry::default());
    assert_eq!(ask(&wide, instant, &[]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_waits_for_a_store_times_out() {
    let config = QueryConfig { timeout: Duration::from_millis(200), ..QueryConfig::default() };
    let router = router(config, Arc::new(SlowStore::default()), &mut Registry::default());
    let (status, _, body) = tokio::time::timeout(FOREVER, ask(&router, RANGE, &[])).await.unwrap();
    let text = String::from_utf8(body).unwrap();
    assert!(status == 503 && text.contains("query timed out in expression evaluation"), "{status} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_frees_the_place_at_the_gate() {
    let store = Arc::new(SlowStore::default());
    let config = QueryConfig { max_concurrent: 1, ..QueryConfig::default() };
    let as_store: Arc<dyn Store> = Arc::clone(&store) as _;
    let router = router(config, as_store, &mut Registry::default());
    let first = tokio::spawn({
        let router = router.clone();
        async move { ask(&router, RANGE, &[]).await }
    });
    store.was_asked.notified().await;
    let second = tokio::spawn({
        let router = router.clone();
        async move { ask(&router, RANGE, &[]).await }
    });
    // The second one waits at the gate: nobody asks the store for it as long as the first one is there.
    tokio::task::yield_now().await;
    assert_eq!(store.asked.load(Ordering::SeqCst), 1);
    first.abort();
    tokio::time::timeout(FOREVER, store.was_asked.notified()).await.unwrap();
    store.go_on.notify_waiters();
    store.go_on.notify_one();
    let (status, _, _) = tokio::time::timeout(FOREVER, second).await.unwrap().unwrap();
    assert_eq!((status, store.asked.load(Ordering::SeqCst)), (200, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_explained_and_measured() {
    let router = router(QueryConfig::default(), memory_store(), &mut Registry::default());
    let (status, _, body) = ask(&router, "/api/v1/query_explain?query=sum(x)%2B1", &[]).await;
    let plan = r#"{"name":"sum(x) + 1","children":[{"name":"sum(x)","children":[{"name":"x"}]}]}"#;
    let expected = format!(r#"{{"status":"success","data":{plan}}}"#);
    assert_eq!((status, String::from_utf8(body).unwrap()), (200, expected));
    let (_, _, body) = ask(&router, &format!("{}&analyze=1", RANGE.replace("query=x", "query=sum(x)")), &[]).await;
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let analysis = &answer["data"]["analysis"];
    assert_eq!((&analysis["name"], &analysis["children"][0]["name"]), (&"sum(x)".into(), &"x".into()));
    assert_eq!(analysis["children"][0]["totalSamples"], 500 * 121);
    assert_eq!(ask(&router, "/api/v1/query_range_explain?query=x&start=0&end=1", &[]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_tells_of_itself() {
    let flags = [("query.timeout".to_string(), "2m".to_string())].into();
    let config = QueryConfig { flags, ..QueryConfig::default() };
    let router = router(config, memory_store(), &mut Registry::default());
    let mut answers = Vec::new();
    for path in ["flags", "buildinfo", "runtimeinfo"] {
        let (status, _, body) = ask(&router, &format!("/api/v1/status/{path}"), &[]).await;
        assert_eq!(status, 200, "{path}");
        answers.push(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["data"].clone());
    }
    assert_eq!(answers[0]["query.timeout"], "2m");
    assert_eq!(answers[1]["version"], env!("CARGO_PKG_VERSION"));
    assert!(answers[2]["startTime"].as_str().unwrap().ends_with('Z'));
}
