//! Writes a block.

use std::path::{Path, PathBuf};

use thanoxide_env::Disk;
use thanoxide_model::Labels;

use super::{BlockError, CHUNKS_DIR, CREATION_SUFFIX, INDEX_FILE, TOMBSTONES_FILE};
use crate::chunk::{Chunk, sample_count};
use crate::index::{IndexWriter, SymbolSet};
use crate::meta::{BlockMeta, BlockStats, META_FILE};
use crate::segment::{MAX_SEGMENT_BYTES, SegmentWriter};
use crate::tombstones::Tombstones;

/// Writes one block, series by series.
#[derive(Debug)]
pub struct BlockWriter<'d> {
    disk: &'d dyn Disk,
    parent: PathBuf,
    dir: PathBuf,
    meta: BlockMeta,
    index: IndexWriter,
    segments: SegmentWriter<'d>,
}

impl<'d> BlockWriter<'d> {
    /// Begins a block in `parent`. `meta` tells its name, times and origin; its statistics are counted.
    pub fn create(disk: &'d dyn Disk, parent: &Path, meta: BlockMeta, symbols: &SymbolSet) -> Result<Self, BlockError> {
        BlockWriter::with_max_segment_bytes(disk, parent, meta, symbols, MAX_SEGMENT_BYTES)
    }

    /// As [`BlockWriter::create`], with chunk files of another size.
    pub fn with_max_segment_bytes(
        disk: &'d dyn Disk,
        parent: &Path,
        mut meta: BlockMeta,
        symbols: &SymbolSet,
        max_segment_bytes: u64,
    ) -> Result<Self, BlockError> {
        let dir = parent.join(format!("{}{CREATION_SUFFIX}", meta.ulid));
        if disk.exists(&dir)? {
            disk.remove_dir_all(&dir)?;
        }
        let chunks = dir.join(CHUNKS_DIR);
        disk.create_dir_all(&chunks)?;
        meta.stats = BlockStats::default();
        Ok(BlockWriter {
            disk,
            parent: parent.to_path_buf(),
            meta,
            index: IndexWriter::create(disk, &dir.join(INDEX_FILE), symbols.iter())?,
            segments: SegmentWriter::with_max_bytes(disk, &chunks, max_segment_bytes),
            dir,
        })
    }

    /// Adds a series, behind all others in order, with its chunks in time order and apart.
    pub fn add_series(&mut self, labels: &Labels, chunks: &[Chunk]) -> Result<(), BlockError> {
        let metas = self.segments.write(chunks)?;
        self.index.add_series(labels, &metas)?;
        let stats = &mut self.meta.stats;
        stats.num_series += 1;
        stats.num_chunks += chunks.len() as u64;
        for chunk in chunks {
            let samples = sample_count(chunk) as u64;
            stats.num_samples += samples;
            if chunk.encoding.is_histogram() {
                stats.num_histogram_samples += samples;
            } else {
                stats.num_float_samples += samples;
            }
        }
        Ok(())
    }

    /// Makes the block durable under its name. One without a chunk is dropped instead: `None`.
    pub fn finish(self) -> Result<Option<BlockMeta>, BlockError> {
        let BlockWriter { disk, parent, dir, meta, index, segments } = self;
        if meta.stats.num_chunks == 0 {
            disk.remove_dir_all(&dir)?;
            return Ok(None);
        }
        segments.finish()?;
        index.finish()?;
        // The directory has no name yet that anyone trusts, so nothing in it need be atomic.
        write_synced(disk, &dir.join(META_FILE), &meta.to_json())?;
        write_synced(disk, &dir.join(TOMBSTONES_FILE), &Tombstones::default().to_bytes())?;
        disk.sync_dir(&dir)?;
        disk.rename(&dir, &parent.join(meta.ulid.to_string()))?;
        disk.sync_dir(&parent)?;
        Ok(Some(meta))
    }

    /// Drops what was written so far.
    pub fn abort(self) -> Result<(), BlockError> {
        Ok(self.disk.remove_dir_all(&self.dir)?)
    }
}

fn write_synced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = disk.create(path)?;
    file.append(bytes)?;
    file.sync_data()
}
