//! The StoreAPI's rules over blocks in buckets, sound and failing ones.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[allow(dead_code, reason = "each test uses a part")]
#[path = "support/golden.rs"]
mod golden;

use std::path::Path;
use std::sync::Arc;

use golden::{filesystem, store};
use thanoxide_block::{Source, ThanosMeta, UploadOptions, upload_block};
use thanoxide_env::{Disk, ManualClock, SystemDisk};
use thanoxide_objstore::{Bucket, FaultBucket, ObjectBucket};
use thanoxide_storeapi::StoreSeries;
use thanoxide_storeapi::conformance::{self, Dataset};
use thanoxide_tsdb::block::BlockWriter;
use thanoxide_tsdb::chunk::Chunk;
use thanoxide_tsdb::index::SymbolSet;
use thanoxide_tsdb::meta::{BlockCompaction, BlockId, BlockMeta, META_VERSION};

/// Writes the chunks that begin in `range_ms` as a block and uploads it under the external labels.
async fn put_block(bucket: &dyn Bucket, dir: &Path, data: &Dataset, number: u128, range_ms: std::ops::Range<i64>) {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let id = BlockId::new(range_ms.start, number);
    let chunks_of = |series: &StoreSeries| -> Vec<Chunk> {
        let raw = series.chunks.iter().filter_map(|chunk| chunk.raw.clone());
        raw.filter(|chunk| range_ms.contains(&chunk.min_time_ms)).collect()
    };
    let mut series: Vec<_> = data.chunked().iter().map(|s| (s.labels.clone(), chunks_of(s))).collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    let mut symbols = SymbolSet::default();
    series.iter().for_each(|(labels, _)| symbols.add_labels(labels));
    let ends = series.iter().flat_map(|(_, chunks)| chunks.iter().map(|chunk| chunk.max_time_ms + 1));
    let meta = BlockMeta {
        ulid: id,
        min_time: range_ms.start,
        max_time: ends.max().unwrap(),
        compaction: BlockCompaction { level: 1, sources: vec![id], ..BlockCompaction::default() },
        version: META_VERSION,
        ..BlockMeta::default()
    };
    let mut writer = BlockWriter::create(&*disk, dir, meta, &symbols).unwrap();
    for (labels, chunks) in &series {
        writer.add_series(labels, chunks).unwrap();
    }
    writer.finish().unwrap().unwrap();
    let thanos = ThanosMeta::new(&data.external, Source::receive());
    let block = dir.join(id.to_string());
    upload_block(bucket, &disk, &ManualClock::at(range_ms.end), &block, thanos, UploadOptions::default())
        .await
        .unwrap();
}

/// The whole data as one block.
async fn put_whole(bucket: &dyn Bucket, dir: &Path, data: &Dataset) {
    let (first_ms, last_ms) = data.times();
    put_block(bucket, dir, data, 1, first_ms..last_ms + 1).await;
}

/// The data as two blocks, one after the other.
async fn put_halves(bucket: &dyn Bucket, dir: &Path, data: &Dataset) {
    let (first_ms, last_ms) = data.times();
    let middle_ms = first_ms + (last_ms - first_ms) / 2;
    put_block(bucket, dir, data, 2, first_ms..middle_ms).await;
    put_block(bucket, dir, data, 3, middle_ms..last_ms + 1).await;
}

/// Two batches of a request are few series each, so that their seams are crossed.
fn small_batches(config: &mut thanoxide_store::StoreConfig) {
    config.batch_bytes = 10_000;
}

#[tokio::test]
async fn one_block() {
    let (dir, data) = (tempfile::tempdir().unwrap(), Dataset::standard());
    let memory: Arc<dyn Bucket> = Arc::new(ObjectBucket::in_memory());
    for (name, bucket) in [("memory", memory), ("filesystem", filesystem(dir.path()))] {
        put_whole(&*bucket, &dir.path().join(format!("{name}-blocks")), &data).await;
        let store = store(bucket, &dir.path().join(name), |_| ());
        store.sync_now().await.unwrap();
        conformance::run(&store, &data).await.unwrap_or_else(|violation| panic!("{name}: {violation}"));
    }
}

#[tokio::test]
async fn several_blocks() {
    let (dir, data) = (tempfile::tempdir().unwrap(), Dataset::standard());
    let bucket = filesystem(dir.path());
    let store = store(Arc::clone(&bucket), &dir.path().join("store"), small_batches);
    put_halves(&*bucket, &dir.path().join("halves"), &data).await;
    store.sync_now().await.unwrap();
    conformance::run(&store, &data).await.unwrap();
    // The same once more, as it is between a compaction and the removal of its sources.
    put_whole(&*bucket, &dir.path().join("whole"), &data).await;
    store.sync_now().await.unwrap();
    assert_eq!(store.blocks().len(), 3);
    conformance::run(&store, &data).await.unwrap();
}

/// Each call fails once before it works: what is served in the end is whole.
#[tokio::test]
async fn after_every_call_of_a_sync_failed() {
    let (dir, data) = (tempfile::tempdir().unwrap(), Dataset::standard());
    let bucket = Arc::new(FaultBucket::new(Arc::new(ObjectBucket::in_memory())));
    put_halves(&*bucket, &dir.path().join("blocks"), &data).await;
    let store = store(Arc::clone(&bucket) as _, &dir.path().join("store"), small_batches);
    bucket.fail_first(2);
    let mut passes = 1;
    while store.sync_now().await.map_or(true, |report| !report.broken.is_empty()) {
        passes += 1;
        assert!(passes < 20);
    }
    assert!(passes > 2);
    bucket.fail_first(0);
    conformance::run(&store, &data).await.unwrap();
}

/// Whatever call of the bucket fails while the store is asked: the failure is told, no answer is wrong without a word.
#[tokio::test]
async fn while_any_one_call_fails() {
    let (dir, data) = (tempfile::tempdir().unwrap(), Dataset::standard());
    let bucket = Arc::new(FaultBucket::new(Arc::new(ObjectBucket::in_memory())));
    put_halves(&*bucket, &dir.path().join("blocks"), &data).await;
    let store = store(Arc::clone(&bucket) as _, &dir.path().join("store"), small_batches);
    store.sync_now().await.unwrap();
    for fail_at in 1.. {
        let before = bucket.calls();
        bucket.fail_at(before + fail_at);
        match conformance::run(&store, &data).await {
            Err(violation) => assert!(violation.fault.contains("injected failure"), "call {fail_at}: {violation}"),
            Ok(()) if bucket.calls() - before < fail_at => return assert!(fail_at > 5),
            Ok(()) => {}
        }
    }
}
