//! Offline deduplication against the blocks that Thanos made: the same bytes.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

use std::path::PathBuf;

use thanoxide_env::SystemDisk;
use thanoxide_series::OfflinePenalty;
use thanoxide_tsdb::block::block_id;
use thanoxide_tsdb::compact::{BlockSource, CompactOptions, DirSink, compact, merged_meta};

fn blocks(case: &str) -> Vec<BlockSource> {
    let shared = std::env::var("THANOXIDE_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into());
    let entries = std::fs::read_dir(shared.join("golden/blocks").join(case)).unwrap();
    let mut dirs: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(|p| block_id(p).is_some()).collect();
    dirs.sort();
    dirs.iter().map(|dir| BlockSource::open(&SystemDisk, dir).unwrap()).collect()
}

fn same_as_stock(sources: &str, target: &str) {
    let (sources, target) = (blocks(sources), blocks(target).remove(0));
    let meta = merged_meta(target.meta.ulid, &sources.iter().map(|source| &source.meta).collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    let mut sink = DirSink::create(&SystemDisk, dir.path(), meta.ulid).unwrap();
    let options = CompactOptions { policy: &OfflinePenalty, ..CompactOptions::default() };
    let made = compact(&sources, meta, &mut sink, &options).unwrap().unwrap();
    assert_eq!(made.stats, target.meta.stats);
    assert_eq!(made.compaction, target.meta.compaction);
    let made = BlockSource::open(&SystemDisk, &dir.path().join(made.ulid.to_string())).unwrap();
    let bytes = |block: &BlockSource| {
        let mut files = vec![block.index.range(0..block.index.len()).unwrap()];
        files.extend(block.segments.iter().map(|s| s.range(0..s.len()).unwrap()));
        files
    };
    for (i, (ours, stock)) in bytes(&made).iter().zip(&bytes(&target)).enumerate() {
        assert!(ours == stock, "file {i} differs: {} and {} bytes", ours.len(), stock.len());
    }
}

#[test]
fn replicas_are_folded_to_thanos_s_bytes() {
    same_as_stock("replica-sources", "vertical-penalty");
}

#[test]
fn downsampled_replicas_are_folded_to_thanos_s_bytes() {
    same_as_stock("replica-float-sources-5m", "vertical-penalty-5m");
}
