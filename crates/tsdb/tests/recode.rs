//! A block with start times, written again for readers that know none: the same samples.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "golden/support.rs"]
mod support;

use std::path::Path;

use support::{golden, show};
use thanoxide_env::SystemDisk;
use thanoxide_model::Labels;
use thanoxide_tsdb::block::Block;
use thanoxide_tsdb::chunk::{self, ChunkSample};

/// All samples without their start times and hints: a chunk's first sample says nothing of the one before.
fn samples(block: &Block) -> Vec<(Labels, Vec<serde_json::Value>)> {
    let plain = |sample: ChunkSample| {
        let mut shown = show(&ChunkSample { start_timestamp_ms: 0, ..sample });
        if shown.as_array().unwrap().len() > 3 {
            shown[2] = 0.into();
        }
        shown
    };
    let read = |series: Result<(Labels, Vec<chunk::Chunk>), _>| {
        let (labels, chunks) = series.unwrap();
        let samples = chunks.iter().flat_map(|chunk| chunk::samples(chunk).unwrap().collect::<Vec<_>>());
        (labels, samples.map(|sample| plain(sample.unwrap())).collect())
    };
    block.select(&[], i64::MIN, i64::MAX).unwrap().map(read).collect()
}

fn only_block(dir: &Path) -> Block {
    let mut dirs = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let block = dirs.find(|path| path.join("meta.json").exists()).unwrap();
    Block::open(&SystemDisk, &block).unwrap()
}

#[test]
fn a_block_with_start_times_is_written_without() {
    let block = only_block(&golden("blocks/prom-xor2-st"));
    assert!(block.has_start_times().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let id = "01HF8B9V80P2SXQMYQXDEM885G".parse().unwrap();
    let meta = block.recode(&SystemDisk, dir.path(), id).unwrap().unwrap();
    assert_eq!(meta.compaction.parents[0].ulid, block.meta().ulid);
    assert_eq!(meta.stats.num_samples, block.meta().stats.num_samples);
    let recoded = only_block(dir.path());
    assert!(!recoded.has_start_times().unwrap());
    assert_eq!(samples(&recoded), samples(&block));
}
