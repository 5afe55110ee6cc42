//! A store gateway gives back what stock wrote, bit for bit, and names what it cannot give.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use thanoxide_objstore::{Bucket, BucketConfig, FaultBucket, ObjectBucket};
use thanoxide_server::Shutdown;
use thanoxide_storeapi::{
    Aggregate, LabelNamesRequest, LabelValuesRequest, PartialResponse, SeriesRequest, ShardInfo, Store, StoreError,
};

#[allow(dead_code, reason = "each test file uses a part of it")]
#[path = "support/golden.rs"]
mod golden;
#[path = "../../objstore/tests/support/s3.rs"]
mod s3;

use golden::{ask, blocks, content, everything, expected, filesystem, matcher, put_block, put_case, store};

const FLOAT_CASES: [&str; 4] = ["raw-floats", "labels-edge", "many-chunks", "replica-float-sources"];

async fn check_cases(bucket: Arc<dyn Bucket>) {
    let dir = tempfile::tempdir().unwrap();
    let store = store(Arc::clone(&bucket), dir.path(), |_| ());
    let (mut all, mut blocks) = (golden::Content::new(), 0);
    for case in FLOAT_CASES {
        put_case(&*bucket, case).await;
        let report = store.sync_now().await.unwrap();
        assert!(report.broken.is_empty() && !report.loaded.is_empty(), "{report:?}");
        blocks += report.loaded.len();
        let case_only = SeriesRequest { matchers: vec![matcher("case", "=", case)], ..everything() };
        let answer = ask(&store, case_only).await.unwrap();
        assert!(answer.warnings.is_empty(), "{:?}", answer.warnings);
        assert!(content(&answer) == expected(case, &[]), "{case}");
        all.extend(expected(case, &[]));
    }
    assert_eq!(blocks, 5);
    assert!(content(&ask(&store, everything()).await.unwrap()) == all, "all at once");
    let report = store.sync_now().await.unwrap();
    assert_eq!(report, Default::default(), "nothing new");
}

#[tokio::test]
async fn golden_blocks_from_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    check_cases(filesystem(dir.path())).await;
}

#[tokio::test]
async fn golden_blocks_from_s3() {
    let server = s3::S3Server::start("blocks").await;
    check_cases(BucketConfig::parse(&server.config("blocks"), |_| None).unwrap().open().unwrap()).await;
}

#[tokio::test]
async fn small_batches_and_slow_buckets_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = Arc::new(FaultBucket::new(Arc::new(ObjectBucket::in_memory())));
    bucket.set_latency(Duration::from_micros(200));
    put_case(&*bucket, "raw-floats").await;
    let store = store(bucket, dir.path(), |config| config.batch_bytes = 1);
    store.sync_now().await.unwrap();
    assert!(content(&ask(&store, everything()).await.unwrap()) == expected("raw-floats", &[]));
}

#[tokio::test]
async fn replica_labels_go_and_their_series_become_one() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = filesystem(dir.path());
    put_case(&*bucket, "replica-float-sources").await;
    let store = store(bucket, dir.path(), |_| ());
    store.sync_now().await.unwrap();
    let without = |names: &[&str]| SeriesRequest {
        without_replica_labels: names.iter().map(ToString::to_string).collect(),
        ..everything()
    };
    let both = ask(&store, everything()).await.unwrap();
    let merged = ask(&store, without(&["replica"])).await.unwrap();
    assert!(merged.series.len() < both.series.len());
    let mut chunks = content(&merged);
    chunks.values_mut().for_each(|chunks| chunks.sort());
    assert!(chunks == expected("replica-float-sources", &["replica"]));
    // A label of the series themselves: their order changes.
    let regrouped = ask(&store, without(&["replica", "__name__"])).await.unwrap();
    let mut chunks = content(&regrouped);
    chunks.values_mut().for_each(|chunks| chunks.sort());
    assert!(chunks == expected("replica-float-sources", &["replica", "__name__"]));
}

#[tokio::test]
async fn labels_that_nobody_wants_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = filesystem(dir.path());
    put_case(&*bucket, "raw-floats").await;
    let store = store(bucket, dir.path(), |_| ());
    store.sync_now().await.unwrap();
    let mut projected_answers = 0;
    for (kind, value) in [("=~", ".+"), ("=", "flag"), ("=~", "f.*"), ("=~", ".*_total")] {
        for wanted in [vec![], vec!["__name__"], vec!["__name__", "job", "cluster"]] {
            let matchers = vec![matcher("__name__", kind, value)];
            let whole = ask(&store, SeriesRequest { matchers, ..everything() }).await.unwrap();
            let mut request = SeriesRequest { matchers: vec![matcher("__name__", kind, value)], ..everything() };
            request.hints.projection = Some(wanted.iter().map(ToString::to_string).collect());
            let projected = ask(&store, request).await.unwrap();
            let is_wanted = |name: &[u8]| wanted.iter().any(|w| w.as_bytes() == name);
            assert_eq!(projected.series.len(), whole.series.len(), "{value}");
            for (projected, whole) in projected.series.iter().zip(&whole.series) {
                assert_eq!(projected.chunks, whole.chunks, "{value}: in the order of all labels");
                assert_eq!(projected.labels.filter(is_wanted), whole.labels.filter(is_wanted));
            }
            projected_answers += usize::from(projected.series.iter().all(|s| s.labels.get(b"\xff").is_some()));
        }
    }
    assert!(projected_answers >= 3, "{projected_answers}");
}

#[tokio::test]
async fn requests_are_answered_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = filesystem(dir.path());
    put_case(&*bucket, "raw-floats").await;
    put_case(&*bucket, "labels-edge").await;
    let store = store(bucket, dir.path(), |_| ());
    store.sync_now().await.unwrap();
    let raw = || vec![matcher("case", "=", "raw-floats")];
    let all = ask(&store, SeriesRequest { matchers: raw(), ..everything() }).await.unwrap();
    assert_eq!(all.series.len(), 60);

    let bare = ask(&store, SeriesRequest { matchers: raw(), skip_chunks: true, ..everything() }).await.unwrap();
    assert_eq!(bare.labels(), all.labels());
    assert!(bare.series.iter().all(|series| series.chunks.is_empty()));

    let limited = ask(&store, SeriesRequest { matchers: raw(), limit: 7, ..everything() }).await.unwrap();
    assert_eq!(limited.labels(), all.labels()[..7]);

    for (kind, value) in [("=", "flag"), ("!=", "flag"), ("=~", "f.*|.*_total"), ("!~", ".+_total")] {
        let matchers = vec![matcher("case", "=", "raw-floats"), matcher("__name__", kind, value)];
        let check = matcher("__name__", kind, value);
        let some = ask(&store, SeriesRequest { matchers, ..everything() }).await.unwrap();
        let expected: Vec<_> =
            all.series.iter().filter(|s| check.matches_labels(&s.labels)).map(|s| s.labels.to_string()).collect();
        assert_eq!(some.labels(), expected, "__name__{kind}{value:?}");
        assert!(!expected.is_empty() && expected.len() < 60);
    }
    let none = SeriesRequest { matchers: vec![matcher("cluster", "=", "other")], ..everything() };
    assert!(ask(&store, none).await.unwrap().series.is_empty(), "other external labels: empty, not an error");

    let mut shards = Vec::new();
    for index in 0..3 {
        let shard = Some(ShardInfo { index, total: 3, by: true, labels: vec!["instance".into()] });
        shards.extend(ask(&store, SeriesRequest { matchers: raw(), shard, ..everything() }).await.unwrap().labels());
    }
    shards.sort();
    let mut sorted = all.labels();
    sorted.sort();
    assert_eq!(shards, sorted, "shards are parts of the whole");

    let middle = all.series[0].chunks[0].max_time_ms;
    let early = SeriesRequest { matchers: raw(), max_time_ms: middle, ..everything() };
    let early = ask(&store, early).await.unwrap();
    assert!(early.series.iter().flat_map(|s| &s.chunks).all(|chunk| chunk.min_time_ms <= middle));

    let id = blocks("labels-edge")[0].file_name().unwrap().to_str().unwrap().to_string();
    let of_block = SeriesRequest { block_matchers: vec![matcher("__block_id", "=", &id)], ..everything() };
    assert_eq!(ask(&store, of_block).await.unwrap().series.len(), 486);
}

#[tokio::test]
async fn labels_come_sorted_with_external_ones() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = filesystem(dir.path());
    put_case(&*bucket, "raw-floats").await;
    put_case(&*bucket, "replica-float-sources").await;
    let store = store(bucket, dir.path(), |_| ());
    store.sync_now().await.unwrap();
    let text = |values: Vec<Vec<u8>>| values.into_iter().map(|v| String::from_utf8(v).unwrap()).collect::<Vec<_>>();
    let names = |request: LabelNamesRequest| async { text(store.label_names(request).await.unwrap().values) };
    let times = || LabelNamesRequest { start_ms: i64::MIN, end_ms: i64::MAX, ..LabelNamesRequest::default() };
    let all = names(times()).await;
    assert!(all.is_sorted() && ["__name__", "case", "cluster", "replica"].iter().all(|n| all.contains(&n.to_string())));
    let without = LabelNamesRequest { without_replica_labels: vec!["replica".into()], limit: 3, ..times() };
    assert_eq!(names(without).await, ["__name__", "case", "cluster"]);
    let matched = LabelNamesRequest { matchers: vec![matcher("__name__", "=", "flag")], ..times() };
    assert_eq!(names(matched).await, ["__name__", "case", "cluster", "instance", "job"]);

    let values = |label: &str, matchers| {
        let (start_ms, end_ms) = (i64::MIN, i64::MAX);
        let request =
            LabelValuesRequest { label: label.into(), start_ms, end_ms, matchers, ..LabelValuesRequest::default() };
        async { store.label_values(request).await.map(|answer| text(answer.values)) }
    };
    assert_eq!(values("case", vec![]).await.unwrap(), ["raw-floats", "replica-float-sources"]);
    assert_eq!(values("case", vec![matcher("__name__", "=", "flag")]).await.unwrap(), ["raw-floats"]);
    let instances = values("instance", vec![matcher("__name__", "=", "flag")]).await.unwrap();
    assert!(instances.is_sorted() && instances.contains(&"host-00:9100".to_string()), "{instances:?}");
    assert!(values("none", vec![]).await.unwrap().is_empty());
    assert!(values("", vec![]).await.unwrap().is_empty());

    let info = store.info().await.unwrap();
    assert_eq!((info.label_sets.len(), info.tsdb_infos.len(), info.component.as_str()), (3, 3, "store"));
    assert!(info.supports_sharding && info.supports_without_replica_labels);
    assert!(info.min_time_ms < info.max_time_ms);
    let served: Vec<_> = store.blocks().iter().map(|meta| meta.id()).collect();
    assert!(served.len() == 3 && served.is_sorted(), "{served:?}");
}

#[tokio::test]
async fn downsampled_blocks_answer_where_they_may() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = filesystem(dir.path());
    put_case(&*bucket, "raw-floats").await;
    put_case(&*bucket, "downsample-5m-raw-floats").await;
    let store = store(bucket, dir.path(), |_| ());
    store.sync_now().await.unwrap();
    assert!(content(&ask(&store, everything()).await.unwrap()) == expected("raw-floats", &[]), "raw only");
    let aggregates = vec![Aggregate::Count, Aggregate::Sum];
    let coarse = SeriesRequest { max_resolution_ms: 300_000, aggregates, ..everything() };
    let coarse = ask(&store, coarse).await.unwrap();
    assert_eq!(coarse.series.len(), 60);
    let chunks: Vec<_> = coarse.series.iter().flat_map(|s| &s.chunks).collect();
    assert!(!chunks.is_empty());
    assert!(chunks.iter().all(|c| c.raw.is_none()));
    let aggregates: Vec<_> = chunks.iter().map(|c| (*c).clone().into_aggregates()).collect();
    assert!(aggregates.iter().all(|a| a.min.is_none() && a.max.is_none() && a.counter.is_none()));
    assert!(aggregates.iter().all(|a| a.count.is_some() && a.sum.is_some()));
}

#[tokio::test]
async fn limits_end_a_request() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = filesystem(dir.path());
    put_case(&*bucket, "raw-floats").await;
    let limited = |name: &str, adapt: fn(&mut thanoxide_store::StoreConfig)| {
        store(Arc::clone(&bucket), &dir.path().join(name), adapt)
    };
    for store in [
        limited("a", |config| config.series_limit = 59),
        limited("b", |config| config.samples_limit = 120 * 120),
        limited("c", |config| config.request_bytes_limit = 50_000),
    ] {
        store.sync_now().await.unwrap();
        let answer = ask(&store, everything()).await;
        assert!(matches!(answer, Err(StoreError::Limit(_))), "{:?}", answer.map(|a| a.series.len()));
    }
    let enough = limited("d", |config| config.series_limit = 60);
    enough.sync_now().await.unwrap();
    assert_eq!(ask(&enough, everything()).await.unwrap().series.len(), 60);
}

#[tokio::test]
async fn every_failing_request_is_named_and_nothing_stays_broken() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = Arc::new(FaultBucket::new(Arc::new(ObjectBucket::in_memory())));
    put_case(&*bucket, "raw-floats").await;
    let store = store(Arc::clone(&bucket) as _, dir.path(), |_| ());
    bucket.fail_first(1);
    let mut syncs = 0;
    while store.sync_now().await.map_or(true, |report| !report.broken.is_empty()) {
        syncs += 1;
        assert!(syncs < 8);
    }
    assert!(syncs >= 2, "listing, meta, index fail once each: {syncs}");
    let warned = ask(&store, everything()).await.unwrap();
    assert!(!warned.warnings.is_empty() && warned.warnings[0].contains("injected"), "{:?}", warned.warnings);
    bucket.fail_first(1);
    let abort = SeriesRequest { partial_response: PartialResponse::Abort, ..everything() };
    assert!(matches!(ask(&store, abort.clone()).await, Err(StoreError::Aborted(_))));
    bucket.fail_first(0);
    assert!(content(&ask(&store, abort).await.unwrap()) == expected("raw-floats", &[]));
}

#[tokio::test]
async fn a_corrupt_chunk_or_index_is_named_and_the_rest_served() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = filesystem(dir.path());
    put_case(&*bucket, "raw-floats").await;
    put_case(&*bucket, "labels-edge").await;
    let raw = blocks("raw-floats")[0].file_name().unwrap().to_str().unwrap().to_string();
    let segment = format!("{raw}/chunks/000001");
    let mut bytes = bucket.read(&segment, 1 << 30).await.unwrap().to_vec();
    bytes[100] ^= 1;
    bucket.upload(&segment, bytes.into()).await.unwrap();
    let edge = blocks("labels-edge")[0].file_name().unwrap().to_str().unwrap().to_string();
    let index = format!("{edge}/index");
    let mut bytes = bucket.read(&index, 1 << 30).await.unwrap().to_vec();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    bucket.upload(&index, bytes.into()).await.unwrap();

    let store = store(Arc::clone(&bucket), dir.path(), |_| ());
    let report = store.sync_now().await.unwrap();
    assert_eq!((report.loaded.len(), report.broken.len()), (1, 1));
    assert_eq!(report.broken[0].0.to_string(), edge);
    let answer = ask(&store, everything()).await.unwrap();
    assert_eq!(answer.series.len(), 60);
    assert_eq!(answer.warnings.len(), 2, "{:?}", answer.warnings);
    assert!(answer.warnings.iter().any(|w| w.contains(&edge)));
    assert!(answer.warnings.iter().any(|w| w.contains(&raw) && w.contains("chunk 0x8 ")), "{:?}", answer.warnings);
    let chunks = content(&answer).values().map(Vec::len).sum::<usize>();
    assert_eq!(chunks + 1, expected("raw-floats", &[]).values().map(Vec::len).sum::<usize>());

    // Repaired in the bucket: taken up at the next sync.
    put_block(&*bucket, &blocks("labels-edge")[0]).await;
    assert_eq!(store.sync_now().await.unwrap().loaded.len(), 1);
}

#[tokio::test]
async fn a_block_that_was_replaced_meanwhile_is_looked_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = filesystem(dir.path());
    put_case(&*bucket, "replica-float-sources").await;
    let store = store(Arc::clone(&bucket), dir.path(), |_| ());
    store.sync_now().await.unwrap();
    put_case(&*bucket, "raw-floats").await;
    let gone = blocks("replica-float-sources")[0].file_name().unwrap().to_str().unwrap().to_string();
    for file in ["meta.json", "index", "chunks/000001"] {
        bucket.delete(&format!("{gone}/{file}")).await.unwrap();
    }
    let abort = SeriesRequest { partial_response: PartialResponse::Abort, ..everything() };
    let answer = ask(&store, abort).await.unwrap();
    assert!(answer.warnings.is_empty());
    let cases: std::collections::BTreeSet<_> =
        answer.series.iter().map(|s| String::from_utf8(s.labels.value("case").to_vec()).unwrap()).collect();
    assert_eq!(cases.len(), 2, "the new block answers: {cases:?}");
    assert!(!dir.path().join("data").join(gone).exists(), "its index is gone too");
}

#[tokio::test]
async fn running_keeps_in_line_with_the_bucket() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = filesystem(dir.path());
    put_case(&*bucket, "raw-floats").await;
    let store =
        Arc::new(store(Arc::clone(&bucket), dir.path(), |config| config.sync_interval = Duration::from_millis(5)));
    let (runner, shutdown) = (Arc::clone(&store), Shutdown::new());
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { runner.run(shutdown).await }
    });
    let served = |count: usize| {
        let store = Arc::clone(&store);
        tokio::time::timeout(Duration::from_secs(20), async move {
            while store.blocks().len() != count {
                tokio::task::yield_now().await;
            }
        })
    };
    store.wait_ready().await;
    assert_eq!(store.blocks().len(), 1);
    put_case(&*bucket, "replica-float-sources").await;
    served(3).await.unwrap();
    let id = blocks("raw-floats")[0].file_name().unwrap().to_str().unwrap().to_string();
    bucket.delete(&format!("{id}/meta.json")).await.unwrap();
    served(2).await.unwrap();
    shutdown.request();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_damaged_local_index_is_fetched_again_and_a_sound_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = Arc::new(FaultBucket::new(Arc::new(ObjectBucket::in_memory())));
    put_case(&*bucket, "raw-floats").await;
    let id = blocks("raw-floats")[0].file_name().unwrap().to_str().unwrap().to_string();
    let local = dir.path().join("data").join(id).join("index");
    let stranger = dir.path().join("data/01KDWFZY80KG2G81JRQ1C0AAAA");
    std::fs::create_dir_all(&stranger).unwrap();
    let calls_of_a_start = || async {
        let before = bucket.calls();
        let store = store(Arc::clone(&bucket) as _, dir.path(), |_| ());
        assert_eq!(store.sync_now().await.unwrap().loaded.len(), 1);
        assert!(content(&ask(&store, everything()).await.unwrap()) == expected("raw-floats", &[]));
        bucket.calls() - before
    };
    let fresh = calls_of_a_start().await;
    assert!(!stranger.exists(), "what is of no block is removed");
    assert_eq!(calls_of_a_start().await, fresh - 1, "the index is there");
    let sound = std::fs::read(&local).unwrap();
    std::fs::write(&local, &sound[..sound.len() - 1]).unwrap();
    assert_eq!(calls_of_a_start().await, fresh, "cut short");
    let mut damaged = sound.clone();
    damaged[20] ^= 1;
    std::fs::write(&local, &damaged).unwrap();
    assert_eq!(calls_of_a_start().await, fresh, "a symbol differs");
    assert_eq!(std::fs::read(&local).unwrap(), sound);
}
