//! Compaction against the blocks that Prometheus's and Thanos's compactors made: the same bytes.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "golden/support.rs"]
mod support;

use std::path::{Path, PathBuf};

use support::golden;
use thanoxide_env::SystemDisk;
use thanoxide_tsdb::block::{Block, block_id};
use thanoxide_tsdb::compact::{BlockSource, CompactOptions, DirSink, compact, merged_meta};
use thanoxide_tsdb::meta::BlockMeta;

fn blocks(case: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(golden("blocks").join(case)).unwrap();
    let mut blocks: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(|p| block_id(p).is_some()).collect();
    blocks.sort();
    blocks
}

fn meta(dir: &Path) -> BlockMeta {
    BlockMeta::from_json(&std::fs::read(dir.join("meta.json")).unwrap()).unwrap()
}

/// Compacts as stock did to get `want`.
fn compacted(sources: &[PathBuf], want: &BlockMeta, into: &Path, options: &CompactOptions<'_>) -> BlockMeta {
    let sources: Vec<_> = sources.iter().map(|dir| BlockSource::open(&SystemDisk, dir).unwrap()).collect();
    let metas: Vec<_> = sources.iter().map(|source| &source.meta).collect();
    let meta = merged_meta(want.ulid, &metas);
    let mut sink = DirSink::create(&SystemDisk, into, want.ulid).unwrap();
    compact(&sources, meta, &mut sink, options).unwrap().unwrap()
}

fn assert_same_files(ours: &Path, stock: &Path) {
    let mut names = vec![PathBuf::from("index")];
    for entry in std::fs::read_dir(stock.join("chunks")).unwrap() {
        names.push(Path::new("chunks").join(entry.unwrap().file_name()));
    }
    for name in names {
        let (ours, stock) = (std::fs::read(ours.join(&name)).unwrap(), std::fs::read(stock.join(&name)).unwrap());
        assert!(ours == stock, "{} differs: {} and {} bytes", name.display(), ours.len(), stock.len());
    }
    let count = |dir: &Path| std::fs::read_dir(dir.join("chunks")).unwrap().count();
    assert_eq!(count(ours), count(stock));
}

#[test]
fn blocks_of_prometheus_are_compacted_to_its_bytes() {
    let mut sources = blocks("prom-compacted");
    let target = sources.iter().position(|dir| meta(dir).compaction.level == 2).unwrap();
    let target = sources.remove(target);
    sources.sort_by_key(|dir| meta(dir).min_time);
    let dir = tempfile::tempdir().unwrap();
    let want = meta(&target);
    let ours = compacted(&sources, &want, dir.path(), &CompactOptions::default());
    assert_eq!(ours, want);
    let made = dir.path().join(want.ulid.to_string());
    assert_same_files(&made, &target);
    assert_eq!(std::fs::read(made.join("meta.json")).unwrap(), std::fs::read(target.join("meta.json")).unwrap());
    assert_eq!(std::fs::read(made.join("tombstones")).unwrap(), [0x01, 0x30, 0xba, 0x30, 1, 0, 0, 0, 0]);
}

#[test]
fn replicas_are_chained_to_thanos_s_bytes() {
    let target = blocks("vertical-chain").remove(0);
    let dir = tempfile::tempdir().unwrap();
    let want = meta(&target);
    let ours = compacted(&blocks("replica-sources"), &want, dir.path(), &CompactOptions::default());
    assert_eq!((ours.stats, ours.compaction.level), (want.stats, want.compaction.level));
    assert_same_files(&dir.path().join(want.ulid.to_string()), &target);
}

/// Each golden block alone comes out as it went in.
#[test]
fn a_block_alone_stays_as_it_is() {
    let mut seen = 0;
    for case in std::fs::read_dir(golden("blocks")).unwrap() {
        let case = case.unwrap().file_name().into_string().unwrap();
        // Another version of the index; deletions, which are carried out.
        if case == "index-v1" || case == "tombstones" {
            continue;
        }
        for source in blocks(&case) {
            let dir = tempfile::tempdir().unwrap();
            let want = meta(&source);
            let max_segment_bytes = if case == "many-chunks" { 64 << 10 } else { 512 << 20 };
            let options = CompactOptions { max_segment_bytes, ..CompactOptions::default() };
            let ours = compacted(std::slice::from_ref(&source), &want, dir.path(), &options);
            assert_eq!(ours.stats.num_chunks, want.stats.num_chunks, "{case}");
            assert_same_files(&dir.path().join(want.ulid.to_string()), &source);
            seen += 1;
        }
    }
    assert!(seen >= 36, "{seen}");
}

/// An index of version 1 becomes one of version 2 with the same series.
#[test]
fn an_old_index_becomes_a_new_one() {
    let (old, new) = (blocks("index-v1").remove(0), blocks("labels-edge").remove(0));
    let dir = tempfile::tempdir().unwrap();
    compacted(&[old], &meta(&new), dir.path(), &CompactOptions::default());
    assert_same_files(&dir.path().join(meta(&new).ulid.to_string()), &new);
}

#[test]
fn deleted_samples_are_gone() {
    let source = blocks("tombstones").remove(0);
    let dir = tempfile::tempdir().unwrap();
    let want = meta(&source);
    compacted(std::slice::from_ref(&source), &want, dir.path(), &CompactOptions::default());
    let read = |dir: &Path| {
        let block = Block::open(&SystemDisk, dir).unwrap();
        let series: Vec<_> = block.select(&[], i64::MIN, i64::MAX).unwrap().map(Result::unwrap).collect();
        series
    };
    let ours = dir.path().join(want.ulid.to_string());
    assert_eq!(read(&ours), read(&source));
    assert!(Block::open(&SystemDisk, &ours).unwrap().tombstones().is_empty());
}
