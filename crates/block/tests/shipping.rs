//! Blocks on a disk become blocks in a bucket, whatever fails on the way.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::PathBuf;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use thanoxide_block::{
    BlockHash, Discovery, Fetched, Fetcher, FetcherConfig, FetcherMetrics, META_NAME, Meta, SHIPPER_STATE_NAME,
    Shipper, ShipperConfig, ShipperMetrics, Source, TimeBound, Ulid, UploadOptions,
};
use thanoxide_env::{ManualClock, SystemDisk};
use thanoxide_model::Labels;
use thanoxide_objstore::{Bucket, FaultBucket, ObjectBucket};

const NOW_MS: i64 = 1_767_300_000_000;

struct Tsdb {
    dir: tempfile::TempDir,
    bucket: Arc<FaultBucket>,
    clock: Arc<ManualClock>,
    metrics: ShipperMetrics,
    registry: Registry,
    upload_compacted: bool,
    upload: UploadOptions,
}

impl Tsdb {
    fn new() -> Self {
        let mut registry = Registry::default();
        Tsdb {
            dir: tempfile::tempdir().unwrap(),
            bucket: Arc::new(FaultBucket::new(Arc::new(ObjectBucket::in_memory()))),
            clock: Arc::new(ManualClock::at(NOW_MS)),
            metrics: ShipperMetrics::new(&mut registry),
            registry,
            upload_compacted: false,
            upload: UploadOptions::default(),
        }
    }

    /// A block that looks whole to the shipper: it does not read indexes.
    fn block(&self, number: u64, level: u32, samples: u64) -> Ulid {
        let id = Ulid::from_parts(number, 7);
        let dir = self.dir.path().join(id.to_string());
        std::fs::create_dir_all(dir.join("chunks")).unwrap();
        std::fs::write(dir.join("chunks/000001"), vec![1; 1000 + number as usize]).unwrap();
        std::fs::write(dir.join("chunks/000002"), b"two").unwrap();
        std::fs::write(dir.join("index"), b"index").unwrap();
        std::fs::write(dir.join("tombstones"), b"t").unwrap();
        let (from, to) = (number * 1000, number * 1000 + 1000);
        let meta = format!(
            r#"{{"ulid":"{id}","minTime":{from},"maxTime":{to},"stats":{{"numSamples":{samples}}},
            "compaction":{{"level":{level},"sources":["{id}"]}},"version":1}}"#
        );
        std::fs::write(dir.join(META_NAME), meta).unwrap();
        id
    }

    fn shipper(&self) -> Shipper {
        let config = ShipperConfig {
            dir: self.dir.path().to_path_buf(),
            labels: Labels::from_pairs([("tenant_id", "t"), ("replica", "0")]),
            source: Source::receive(),
            upload_compacted: self.upload_compacted,
            upload: self.upload,
        };
        let bucket = Arc::clone(&self.bucket);
        Shipper::new(config, Arc::new(SystemDisk), Arc::clone(&self.clock) as _, bucket, self.metrics.for_tenant("t"))
    }

    async fn fetch(&self, config: FetcherConfig) -> Fetched {
        let bucket = Arc::clone(&self.bucket);
        Fetcher::new(config, bucket, Arc::clone(&self.clock) as _, None).fetch().await.unwrap()
    }

    async fn objects(&self) -> Vec<String> {
        self.bucket.iter_recursive("").await.unwrap().into_iter().map(|entry| entry.name).collect()
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join(SHIPPER_STATE_NAME)
    }

    fn metric(&self, line: &str) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let found = text.lines().find_map(|l| l.strip_prefix(line)).unwrap_or("missing");
        found.trim().to_string()
    }
}

#[tokio::test]
async fn each_block_is_uploaded_once() {
    let tsdb = Tsdb::new();
    let (a, b) = (tsdb.block(1, 1, 10), tsdb.block(2, 1, 10));
    let (_empty, _compacted) = (tsdb.block(3, 1, 0), tsdb.block(4, 2, 10));
    let report = tsdb.shipper().sync().await.unwrap();
    assert_eq!(report.uploaded, [a, b]);
    assert!(report.failed.is_empty(), "{report:?}");
    let files = ["chunks/000001", "chunks/000002", "index", "meta.json"];
    let expected: Vec<String> = [a, b].iter().flat_map(|id| files.map(|file| format!("{id}/{file}"))).collect();
    assert_eq!(tsdb.objects().await, expected);
    let state = std::fs::read_to_string(tsdb.state()).unwrap();
    assert_eq!(state, format!("{{\n\t\"version\": 1,\n\t\"uploaded\": [\n\t\t\"{a}\",\n\t\t\"{b}\"\n\t]\n}}\n"));

    let json = tsdb.bucket.read(&format!("{a}/meta.json"), 1 << 20).await.unwrap();
    let meta = Meta::parse_uploaded(&json).unwrap();
    let thanos = meta.thanos.as_ref().unwrap();
    assert_eq!(meta.label_set().to_string(), r#"{replica="0", tenant_id="t"}"#);
    assert_eq!((thanos.source.0.as_str(), thanos.upload_time_ms()), ("receive", Some(NOW_MS)));
    assert_eq!(thanos.segment_files, ["000001", "000002"]);
    let listed: Vec<_> = thanos.files.iter().map(|file| (file.rel_path.as_str(), file.size_bytes)).collect();
    assert_eq!(listed, [("chunks/000001", 1001), ("chunks/000002", 3), ("index", 5), ("meta.json", 0)]);

    let calls = tsdb.bucket.calls();
    assert!(tsdb.shipper().sync().await.unwrap().uploaded.is_empty());
    assert_eq!(tsdb.bucket.calls(), calls, "what is known to be there is not asked for");
    std::fs::write(tsdb.state(), "broken").unwrap();
    assert!(tsdb.shipper().sync().await.unwrap().uploaded.is_empty(), "found in the bucket");
    assert_eq!(std::fs::read_to_string(tsdb.state()).unwrap(), state);
    assert_eq!(tsdb.metric("thanos_shipper_uploads_total{tenant=\"t\"}"), "2");
    assert_eq!(tsdb.metric("thanos_shipper_dir_syncs_total{tenant=\"t\"}"), "3");
}

#[tokio::test]
async fn files_are_hashed_where_it_is_asked_for() {
    let mut tsdb = Tsdb::new();
    tsdb.upload.hash = BlockHash::Sha256;
    let id = tsdb.block(1, 1, 10);
    tsdb.shipper().sync().await.unwrap();
    let json = tsdb.bucket.read(&format!("{id}/meta.json"), 1 << 20).await.unwrap();
    let files = Meta::parse_uploaded(&json).unwrap().thanos.unwrap().files;
    let hashes: Vec<_> =
        files.iter().map(|file| file.hash.as_ref().map(|h| (h.function.as_str(), &h.value[..8]))).collect();
    // What `sha256sum` says of 1001 bytes of 1, of "two" and of "index".
    let sha = |start| Some(("SHA256", start));
    assert_eq!(hashes, [sha("0f8191f0"), sha("3fc4ccfe"), sha("1bc04b52"), None]);
}

#[tokio::test]
async fn a_bad_block_does_not_hold_up_the_others() {
    let tsdb = Tsdb::new();
    let ids: Vec<Ulid> = (1..=4).map(|n| tsdb.block(n, 1, 10)).collect();
    let dir = |id: &Ulid| tsdb.dir.path().join(id.to_string());
    std::fs::write(dir(&ids[0]).join(META_NAME), "{").unwrap();
    std::fs::remove_file(dir(&ids[1]).join("index")).unwrap();
    std::fs::remove_file(dir(&ids[2]).join(META_NAME)).unwrap();
    let report = tsdb.shipper().sync().await.unwrap();
    assert_eq!(report.uploaded, [ids[3]]);
    let named: std::collections::BTreeSet<&str> = report.failed.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(named.len(), 3, "{report:?}");
    assert_eq!(tsdb.metric("thanos_shipper_corrupted_blocks_total{tenant=\"t\"}"), "3");
    assert_eq!(tsdb.metric("thanos_shipper_dir_sync_failures_total{tenant=\"t\"}"), "1");
}

#[tokio::test]
async fn an_upload_that_broke_off_goes_on_where_it_was() {
    for (concurrency, fail_at) in
        [0, 4].into_iter().flat_map(|concurrency| (1..=9).map(move |call| (concurrency, call)))
    {
        let mut tsdb = Tsdb::new();
        tsdb.upload.concurrency = concurrency;
        let id = tsdb.block(1, 1, 10);
        tsdb.bucket.fail_at(fail_at);
        let first = tsdb.shipper().sync().await.unwrap();
        // Exists, then attributes and upload of three files, then meta.json.
        assert_eq!(first.failed.is_empty(), fail_at > 8, "{fail_at}");
        if fail_at > 8 {
            continue;
        }
        let fetched = tsdb.fetch(FetcherConfig::default()).await;
        assert!(fetched.blocks.is_empty(), "a part is no block");
        assert_eq!(tsdb.shipper().sync().await.unwrap().uploaded, [id], "after failure of call {fail_at}");
        assert_eq!(tsdb.objects().await.len(), 4);
    }
}

#[tokio::test]
async fn objects_of_a_broken_upload_are_not_sent_again() {
    let tsdb = Tsdb::new();
    let id = tsdb.block(1, 1, 10);
    tsdb.bucket.upload(&format!("{id}/chunks/000001"), vec![9; 1001].into()).await.unwrap();
    tsdb.bucket.upload(&format!("{id}/chunks/000002"), vec![9; 2].into()).await.unwrap();
    tsdb.shipper().sync().await.unwrap();
    assert_eq!(tsdb.bucket.read(&format!("{id}/chunks/000001"), 2000).await.unwrap()[0], 9, "same size: kept");
    assert_eq!(tsdb.bucket.read(&format!("{id}/chunks/000002"), 2000).await.unwrap(), "two", "other size: replaced");
}

#[tokio::test]
async fn compacted_blocks_go_only_where_nothing_overlaps() {
    let mut tsdb = Tsdb::new();
    tsdb.upload_compacted = true;
    let (one, two) = (tsdb.block(1, 1, 10), tsdb.block(2, 3, 10));
    let report = tsdb.shipper().sync().await.unwrap();
    assert_eq!(report.uploaded, [one, two]);
    let again = Ulid::from_parts(9, 9);
    let (from, to): (PathBuf, PathBuf) =
        (tsdb.dir.path().join(two.to_string()), tsdb.dir.path().join(again.to_string()));
    std::fs::rename(&from, &to).unwrap();
    let meta = std::fs::read_to_string(to.join(META_NAME)).unwrap().replace(&two.to_string(), &again.to_string());
    std::fs::write(to.join(META_NAME), meta).unwrap();
    let report = tsdb.shipper().sync().await.unwrap();
    assert!(report.failed[0].1.contains(&format!("overlaps block {two}")), "{report:?}");
}

async fn ids(tsdb: &Tsdb, config: FetcherConfig) -> Vec<Ulid> {
    tsdb.fetch(config).await.blocks.into_keys().collect()
}

#[tokio::test]
async fn the_fetcher_leaves_out_what_is_not_to_be_seen() {
    let tsdb = Tsdb::new();
    let all: Vec<Ulid> = (1..=4).map(|n| tsdb.block(n, 1, 10)).collect();
    tsdb.shipper().sync().await.unwrap();
    tsdb.bucket.upload("not-a-block/meta.json", b"{}".to_vec().into()).await.unwrap();
    tsdb.bucket.upload(&format!("{}/index", Ulid::from_parts(8, 8)), b"x".to_vec().into()).await.unwrap();
    tsdb.bucket.upload(&format!("{}/meta.json", Ulid::from_parts(9, 9)), b"{".to_vec().into()).await.unwrap();
    for discovery in [Discovery::Concurrent, Discovery::Recursive] {
        let config = || FetcherConfig { discovery, ..FetcherConfig::default() };
        let fetched = tsdb.fetch(config()).await;
        assert!(fetched.is_complete() && fetched.partial.len() == 2, "{fetched:?}");
        assert_eq!(fetched.blocks.into_keys().collect::<Vec<_>>(), all);
        let (min_time, max_time) = (TimeBound::Absolute(3001), TimeBound::Absolute(3999));
        assert_eq!(ids(&tsdb, FetcherConfig { min_time, max_time, ..config() }).await, all[2..3]);
        let max_time = TimeBound::Relative(1500 - NOW_MS);
        assert_eq!(ids(&tsdb, FetcherConfig { max_time, ..config() }).await, all[..1]);
        let selector: thanoxide_block::MetaSelector = Arc::new(|meta: &Meta| meta.min_time_ms() == 2000);
        assert_eq!(ids(&tsdb, FetcherConfig { selector: Some(selector), ..config() }).await, all[1..2]);
        assert!(ids(&tsdb, FetcherConfig { consistency_delay_ms: 1, ..config() }).await.is_empty());
    }
    let mark = format!(r#"{{"id":"{}","version":1,"deletion_time":{}}}"#, all[0], NOW_MS / 1000 - 100);
    tsdb.bucket.upload(&format!("{}/deletion-mark.json", all[0]), mark.into_bytes().into()).await.unwrap();
    for discovery in [Discovery::Concurrent, Discovery::Recursive] {
        let config = |delay_ms| FetcherConfig {
            discovery,
            ignore_deletion_marks_delay_ms: delay_ms,
            ..FetcherConfig::default()
        };
        assert_eq!(ids(&tsdb, config(100_001)).await, all);
        assert_eq!(ids(&tsdb, config(99_999)).await, all[1..]);
    }
}

#[tokio::test]
async fn the_fetcher_remembers_and_tells_an_incomplete_view() {
    let tsdb = Tsdb::new();
    let all: Vec<Ulid> = (1..=3).map(|n| tsdb.block(n, 1, 10)).collect();
    tsdb.shipper().sync().await.unwrap();
    let mut registry = Registry::default();
    let metrics = FetcherMetrics::new(&mut registry);
    let bucket = Arc::clone(&tsdb.bucket);
    let fetcher = Fetcher::new(FetcherConfig::default(), bucket, Arc::clone(&tsdb.clock) as _, Some(metrics));
    tsdb.bucket.fail_first(1);
    assert!(fetcher.fetch().await.is_err(), "nothing can be listed");
    let fetched = fetcher.fetch().await.unwrap();
    assert!(!fetched.is_complete() && fetched.failed.len() == 3, "{fetched:?}");
    tsdb.bucket.fail_first(0);
    assert_eq!(fetcher.fetch().await.unwrap().blocks.into_keys().collect::<Vec<_>>(), all);
    tsdb.bucket.delete(&format!("{}/meta.json", all[0])).await.unwrap();
    let fetched = fetcher.fetch().await.unwrap();
    assert_eq!(fetched.blocks.into_keys().collect::<Vec<_>>(), all[1..]);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "thanos_blocks_meta_syncs_total 4",
        "thanos_blocks_meta_sync_failures_total 2",
        "thanos_blocks_meta_synced{state=\"loaded\"} 2",
        "thanos_blocks_meta_synced{state=\"no-meta-json\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
}
