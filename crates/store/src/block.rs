//! One block that is served.

use std::sync::Arc;

use thanoxide_block::{Meta, Ulid};
use thanoxide_model::{Labels, Matcher};
use thanoxide_objstore::Bucket;

use crate::chunk_fetch::{ChunkFile, ChunkFiles, DEFAULT_CHUNK_BYTES};
use crate::index::BlockIndex;
use crate::resolution::Ranged;

/// A block with its index at hand.
#[derive(Debug)]
pub(crate) struct ServedBlock {
    pub(crate) meta: Arc<Meta>,
    /// External labels.
    pub(crate) labels: Labels,
    pub(crate) index: BlockIndex,
    pub(crate) chunks: ChunkFiles,
}

impl ServedBlock {
    pub(crate) async fn new(bucket: &dyn Bucket, meta: Arc<Meta>, index: BlockIndex) -> Result<Self, String> {
        let files = match listed_chunk_files(&meta) {
            files if files.is_empty() => find_chunk_files(bucket, &meta).await?,
            files => files,
        };
        let total_bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
        let average_bytes = (total_bytes / meta.tsdb.stats.num_chunks.max(1)).max(1);
        let chunks = ChunkFiles { files, estimate_bytes: chunk_estimate_bytes(&meta), average_bytes };
        Ok(ServedBlock { labels: meta.label_set(), meta, index, chunks })
    }

    pub(crate) fn id(&self) -> Ulid {
        self.meta.id()
    }
}

impl Ranged for Arc<ServedBlock> {
    fn min_time_ms(&self) -> i64 {
        self.meta.min_time_ms()
    }

    fn max_time_ms(&self) -> i64 {
        self.meta.max_time_ms()
    }

    fn resolution_ms(&self) -> i64 {
        self.meta.resolution_ms()
    }
}

/// Chunk files as the meta lists them: in order, numbered from 1.
fn listed_chunk_files(meta: &Meta) -> Vec<ChunkFile> {
    let files = meta.thanos.iter().flat_map(|thanos| &thanos.files);
    let chunks = files.filter(|file| file.rel_path.starts_with("chunks/"));
    chunks
        .map(|file| ChunkFile { name: format!("{}/{}", meta.id(), file.rel_path), size_bytes: file.size_bytes })
        .collect()
}

async fn find_chunk_files(bucket: &dyn Bucket, meta: &Meta) -> Result<Vec<ChunkFile>, String> {
    let entries = bucket.iter_recursive(&format!("{}/chunks", meta.id())).await.map_err(|e| e.to_string())?;
    Ok(entries
        .into_iter()
        .map(|entry| ChunkFile { name: entry.name, size_bytes: entry.attributes.size_bytes })
        .collect())
}

/// Stock writes nonsense into the statistics of blocks where no series has two chunks.
fn chunk_estimate_bytes(meta: &Meta) -> u64 {
    let longest = meta.thanos.as_ref().map_or(0, |thanos| thanos.index_stats.chunk_max_size);
    if (1..=DEFAULT_CHUNK_BYTES as i64 * 64).contains(&longest) { longest as u64 } else { DEFAULT_CHUNK_BYTES }
}

/// The matchers that remain for a block's series once its external labels are known; `None`: they exclude the block.
pub(crate) fn series_matchers(labels: &Labels, matchers: &[Matcher]) -> Option<Vec<Matcher>> {
    let mut rest = Vec::with_capacity(matchers.len());
    for matcher in matchers {
        match labels.get(matcher.name()) {
            Some(value) if matcher.matches(value) => {}
            Some(_) => return None,
            None => rest.push(matcher.clone()),
        }
    }
    Some(rest)
}
