//! Reads a block.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use thanoxide_env::Disk;
use thanoxide_model::{Labels, Matcher};

use super::{BlockError, CHUNKS_DIR, INDEX_FILE, TOMBSTONES_FILE, redact};
use crate::chunk::Chunk;
use crate::encoding::FileSource;
use crate::index::{ChunkMeta, IndexReader, SeriesEntry};
use crate::meta::{BlockMeta, META_FILE};
use crate::segment::SegmentReader;
use crate::tombstones::Tombstones;

/// An open block. Cheap to ask from many threads.
#[derive(Debug)]
pub struct Block {
    dir: PathBuf,
    meta: BlockMeta,
    index: IndexReader,
    segments: Arc<SegmentReader>,
    tombstones: Arc<Tombstones>,
}

impl Block {
    /// Opens the block in `dir`.
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, BlockError> {
        let meta = BlockMeta::from_json(&disk.read(&dir.join(META_FILE))?)?;
        let index = IndexReader::open(Arc::new(FileSource::open(disk, &dir.join(INDEX_FILE))?))?;
        let segments = Arc::new(SegmentReader::open(disk, &dir.join(CHUNKS_DIR))?);
        let tombstones = match dir.join(TOMBSTONES_FILE) {
            path if disk.exists(&path)? => Tombstones::from_bytes(&disk.read(&path)?)?,
            _ => Tombstones::default(),
        };
        let tombstones = Arc::new(tombstones);
        Ok(Block { dir: dir.to_path_buf(), meta, index, segments, tombstones })
    }

    /// The same block without what is in memory for queries only, see [`IndexReader::rested`].
    pub fn rested(&self) -> Option<Self> {
        Some(Block {
            dir: self.dir.clone(),
            meta: self.meta.clone(),
            index: self.index.rested()?,
            segments: Arc::clone(&self.segments),
            tombstones: Arc::clone(&self.tombstones),
        })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it is.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// Bytes of its index and chunks.
    pub fn len_bytes(&self) -> u64 {
        self.index.len_bytes() + self.segments.len_bytes()
    }

    /// Its index.
    pub fn index(&self) -> &IndexReader {
        &self.index
    }

    /// Its chunk files.
    pub fn segments(&self) -> &SegmentReader {
        &self.segments
    }

    /// What of it is deleted.
    pub fn tombstones(&self) -> &Tombstones {
        &self.tombstones
    }

    /// The series that satisfy all matchers, in order of their labels.
    pub fn postings(&self, matchers: &[Matcher]) -> Result<Vec<u32>, BlockError> {
        Ok(self.index.matching(matchers)?.iter().collect())
    }

    /// The series that satisfy all matchers and have a sample in `min_time_ms..=max_time_ms`, sorted by labels, with the
    /// chunks that overlap it. What is deleted is left out, chunks that are deleted in part being encoded anew.
    pub fn select(
        &self,
        matchers: &[Matcher],
        min_time_ms: i64,
        max_time_ms: i64,
    ) -> Result<BlockSeries<'_>, BlockError> {
        Ok(BlockSeries { block: self, series: self.postings(matchers)?.into_iter(), min_time_ms, max_time_ms })
    }

    /// All label names of the series that satisfy all matchers, sorted.
    pub fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<Vec<u8>>, BlockError> {
        Ok(self.index.names_among(matchers)?)
    }

    /// All values of a label among the series that satisfy all matchers, sorted.
    pub fn label_values(&self, name: &[u8], matchers: &[Matcher]) -> Result<Vec<Vec<u8>>, BlockError> {
        Ok(self.index.values_among(name, matchers)?)
    }

    fn chunks(
        &self,
        series: u32,
        entry: &SeriesEntry,
        min_time_ms: i64,
        max_time_ms: i64,
    ) -> Result<Vec<Chunk>, BlockError> {
        let deleted = self.tombstones.get(u64::from(series));
        let mut chunks = Vec::new();
        for meta in &entry.chunks {
            if meta.max_time_ms < min_time_ms || meta.min_time_ms > max_time_ms {
                continue;
            }
            let chunk = self.segments.chunk(meta)?;
            match deleted.is_empty() {
                true => chunks.push(chunk),
                false => chunks.extend(redact(chunk, deleted)?),
            }
        }
        Ok(chunks)
    }
}

/// The series of a selection.
#[derive(Debug)]
pub struct BlockSeries<'b> {
    block: &'b Block,
    series: vec::IntoIter<u32>,
    min_time_ms: i64,
    max_time_ms: i64,
}

impl BlockSeries<'_> {
    /// The next series that is kept. Chunks of others are not read, nor any where only labels are wanted, unless something of the series is
    /// deleted; there are none in the answer then.
    pub fn next_of(
        &mut self,
        labels_only: bool,
        mut keep: impl FnMut(&Labels) -> bool,
    ) -> Option<Result<(Labels, Vec<Chunk>), BlockError>> {
        loop {
            let series = self.series.next()?;
            match self.read(series, labels_only, &mut keep) {
                Ok(None) => {}
                Ok(Some(read)) => return Some(Ok(read)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn read(
        &self,
        series: u32,
        labels_only: bool,
        keep: impl FnOnce(&Labels) -> bool,
    ) -> Result<Option<(Labels, Vec<Chunk>)>, BlockError> {
        let entry = self.block.index.series(series)?;
        if !keep(&entry.labels) {
            return Ok(None);
        }
        if labels_only && self.block.tombstones.get(u64::from(series)).is_empty() {
            let overlaps =
                |meta: &ChunkMeta| meta.max_time_ms >= self.min_time_ms && meta.min_time_ms <= self.max_time_ms;
            return Ok(entry.chunks.iter().any(overlaps).then_some((entry.labels, Vec::new())));
        }
        let chunks = self.block.chunks(series, &entry, self.min_time_ms, self.max_time_ms)?;
        let bare = |chunks: Vec<Chunk>| if labels_only { Vec::new() } else { chunks };
        Ok((!chunks.is_empty()).then(|| (entry.labels, bare(chunks))))
    }
}

impl Iterator for BlockSeries<'_> {
    type Item = Result<(Labels, Vec<Chunk>), BlockError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_of(false, |_| true)
    }
}
