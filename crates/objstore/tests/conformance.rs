//! Every bucket keeps the contract: memory, a directory, S3, and each decoration around them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use thanoxide_env::{SystemClock, SystemDisk};
use thanoxide_objstore::conformance::bucket_conformance;
use thanoxide_objstore::{Bucket, BucketConfig, FaultBucket, MetricsBucket, ObjectBucket, PrefixBucket};

#[path = "support/s3.rs"]
mod s3_server;

async fn check(bucket: &dyn Bucket) {
    let scratch = tempfile::tempdir().unwrap();
    bucket_conformance(bucket, Arc::new(SystemDisk), scratch.path()).await;
}

fn parse(yaml: &str) -> Arc<dyn Bucket> {
    BucketConfig::parse(yaml, |_| None).unwrap().open().unwrap()
}

fn filesystem(dir: &tempfile::TempDir) -> Arc<dyn Bucket> {
    parse(&format!("type: FILESYSTEM\nconfig: {{directory: {:?}}}", dir.path().join("bucket")))
}

#[tokio::test]
async fn memory() {
    check(&ObjectBucket::in_memory()).await;
}

#[tokio::test]
async fn directory() {
    let dir = tempfile::tempdir().unwrap();
    check(&*filesystem(&dir)).await;
}

#[tokio::test]
async fn s3() {
    let server = s3_server::S3Server::start("bucket").await;
    check(&*parse(&server.config("bucket"))).await;
}

#[tokio::test]
async fn decorated() {
    let dir = tempfile::tempdir().unwrap();
    let mut registry = Registry::default();
    let metered = Arc::new(MetricsBucket::new(filesystem(&dir), Arc::new(SystemClock::default()), &mut registry));
    let faulty = Arc::new(FaultBucket::new(PrefixBucket::wrap(metered, "/a/b/")));
    check(&*faulty).await;

    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let lines = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(lines("thanos_objstore_bucket_operations_total{"), 7, "{text}");
    assert_eq!(lines("thanos_objstore_bucket_operation_failures_total{"), 7);
    assert_eq!(lines("thanos_objstore_bucket_operation_duration_seconds_bucket{"), 7 * 15);
    assert_eq!(lines("thanos_objstore_bucket_operation_fetched_bytes_total{"), 3);
    assert_eq!(lines("thanos_objstore_bucket_operation_transferred_bytes_bucket{"), 3 * 17);
    let uploaded = text.lines().find(|l| l.starts_with("thanos_objstore_bucket_last_successful_upload_time{")).unwrap();
    assert!(!uploaded.ends_with(" 0.0"), "{uploaded}");
}

#[tokio::test]
async fn faults_come_as_told() {
    let bucket = FaultBucket::new(Arc::new(ObjectBucket::in_memory()));
    bucket.fail_first(2);
    for (attempt, works) in [(1, false), (2, false), (3, true), (4, true)] {
        let result = bucket.upload("a", b"abc".to_vec().into()).await;
        assert_eq!(result.is_ok(), works, "attempt {attempt}");
    }
    assert!(bucket.get_range("a", 0..1).await.is_err());
    assert!(bucket.get_range("a", 0..2).await.is_err(), "another range is another operation");
    bucket.fail_first(0);
    bucket.fail_at(bucket.calls() + 2);
    assert!(bucket.exists("a").await.is_ok() && bucket.exists("a").await.is_err() && bucket.exists("a").await.is_ok());
    bucket.set_latency(Duration::from_millis(5));
    let start = std::time::Instant::now();
    bucket.exists("a").await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(5));
}

#[tokio::test]
async fn an_interrupted_upload_into_a_directory_is_not_seen() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = filesystem(&dir);
    // What a killed process leaves behind: the staged file of the backend.
    let block = dir.path().join("bucket/block");
    std::fs::create_dir_all(&block).unwrap();
    std::fs::write(block.join("meta.json#1"), b"{").unwrap();
    assert!(bucket.iter("block").await.unwrap().is_empty());
    assert!(!bucket.exists("block/meta.json").await.unwrap());
    bucket.upload("block/meta.json", b"{}".to_vec().into()).await.unwrap();
    assert_eq!(bucket.read("block/meta.json", 10).await.unwrap(), "{}");
}
