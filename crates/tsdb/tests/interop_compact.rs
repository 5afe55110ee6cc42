//! Random blocks, compacted by Prometheus's own compactor and by ours: the same bytes.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "support/oracle.rs"]
mod oracle;

use std::path::{Path, PathBuf};

use thanoxide_env::SystemDisk;
use thanoxide_tsdb::compact::{BlockSource, CompactOptions, DirSink, compact, merged_meta};
use thanoxide_tsdb::meta::{BlockId, BlockMeta};

/// Makes blocks, and Prometheus's result of them.
fn stock(seed: u64, dir: &Path) -> (Vec<PathBuf>, PathBuf) {
    let printed = oracle::run(&["blocks", &seed.to_string(), dir.to_str().unwrap()], "");
    let mut lines = printed.lines();
    let sources = lines.next().unwrap().split(' ').map(PathBuf::from).collect();
    let result = dir.join("result").join(lines.next().expect("a block of all blocks"));
    (sources, result)
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| (name.clone(), std::fs::read(dir.join(name)).unwrap());
    let chunks = std::fs::read_dir(dir.join("chunks")).unwrap();
    let mut names: Vec<_> = chunks.map(|e| format!("chunks/{}", e.unwrap().file_name().display())).collect();
    names.sort();
    names.extend(["index", "meta.json", "tombstones"].map(String::from));
    names.into_iter().map(read).collect()
}

fn same_as_stock(seed: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let (dirs, result) = stock(seed, dir.path());
    let sources: Vec<_> = dirs.iter().map(|dir| BlockSource::open(&SystemDisk, dir).unwrap()).collect();
    let id: BlockId = result.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let meta = merged_meta(id, &sources.iter().map(|source| &source.meta).collect::<Vec<&BlockMeta>>());
    let into = dir.path().join("ours");
    let mut sink = DirSink::create(&SystemDisk, &into, id).unwrap();
    let made = compact(&sources, meta, &mut sink, &CompactOptions::default()).unwrap().unwrap();
    for ((name, ours), (_, theirs)) in files(&into.join(id.to_string())).iter().zip(&files(&result)) {
        assert!(ours == theirs, "seed {seed}: {name} differs: {} and {} bytes", ours.len(), theirs.len());
    }
    made.stats.num_samples
}

#[test]
fn random_blocks_are_compacted_to_the_bytes_of_prometheus() {
    let seeds = std::env::var("THANOXIDE_COMPACT_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let samples: u64 = (1..=seeds).map(same_as_stock).sum();
    assert!(samples > 1000 * seeds, "{samples}");
}
