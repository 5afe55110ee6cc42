//! The blocks of a tenant.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use thanoxide_env::Env;
use thanoxide_model::Matcher;

use super::delete::with_deleted;
use super::leftovers::remove_block;
use super::selection::{Budget, Selection};
use super::tenant::Tenant;
use super::{EngineError, SelectedSeries};
use crate::block::{self, Block, BlockError, BlockWriter};
use crate::chunk::{Chunk, ChunkError};
use crate::chunk_store::load;
use crate::head::SeriesOrder;
use crate::meta::{BlockCompaction, BlockId, BlockMeta, HINT_FROM_OUT_OF_ORDER, META_VERSION};
use crate::tombstones::Tombstones;

/// Series are taken out of the head so many at a time, so that appends go on between.
const SERIES_AT_A_TIME: usize = 1024;

/// What a block is renamed to that cannot be opened; stock programs ignore such a name, too.
const CORRUPT_SUFFIX: &str = ".corrupt";

/// A block that can be read.
#[derive(Debug)]
pub(super) struct LocalBlock {
    block: Block,
    /// Whether it has start times, once somebody looked.
    start_times: OnceLock<bool>,
}

impl LocalBlock {
    pub(super) fn open(dir: &Path, env: &Env) -> Result<Self, BlockError> {
        Ok(LocalBlock { block: Block::open(&*env.disk, dir)?, start_times: OnceLock::new() })
    }

    pub(super) fn meta(&self) -> &BlockMeta {
        self.block.meta()
    }

    /// Whether it holds in memory what queries need.
    #[cfg(test)]
    pub(super) fn holds_symbols(&self) -> bool {
        self.block.index().holds_symbols()
    }

    fn rested(&self) -> Option<Self> {
        Some(LocalBlock { block: self.block.rested()?, start_times: self.start_times.clone() })
    }

    /// Shows the chunks of each series.
    pub(super) fn read_all(&self, mut show: impl FnMut(&[Chunk]) -> Result<(), ChunkError>) -> Result<(), BlockError> {
        for series in self.block.select(&[], i64::MIN, i64::MAX)? {
            show(&series?.1)?;
        }
        Ok(())
    }

    /// Whether any chunk has start times. Reads all chunks once.
    pub(super) fn has_start_times(&self) -> Result<bool, EngineError> {
        if let Some(known) = self.start_times.get() {
            return Ok(*known);
        }
        let found = self.block.has_start_times().map_err(|e| self.error(e))?;
        Ok(*self.start_times.get_or_init(|| found))
    }

    /// Writes it again into `dir` without start times, see [`Block::recode`].
    pub(super) fn recode(&self, id: BlockId, dir: &Path, env: &Env) -> Result<Option<BlockMeta>, EngineError> {
        self.block.recode(&*env.disk, dir, id).map_err(|e| EngineError::of_block(self.block.dir(), e))
    }

    pub(super) fn id(&self) -> BlockId {
        self.block.meta().ulid
    }

    /// First time, and the one behind the last.
    fn range_ms(&self) -> (i64, i64) {
        (self.block.meta().min_time, self.block.meta().max_time)
    }

    fn error(&self, error: BlockError) -> EngineError {
        EngineError::of_block(self.block.dir(), error)
    }

    pub(super) fn select(
        &self,
        selection: &Selection<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<Vec<SelectedSeries>, EngineError> {
        let Selection { matchers, min_time_ms, max_time_ms, labels_only, .. } = *selection;
        let mut series = self.block.select(matchers, min_time_ms, max_time_ms).map_err(|e| self.error(e))?;
        let mut selected = Vec::new();
        while selected.len() < selection.most_series() {
            // Before each series, however few are kept.
            let mut stopped = Ok(());
            let read = series.next_of(labels_only, |labels| {
                stopped = budget.take(0);
                stopped.is_err() || selection.keeps(labels)
            });
            stopped?;
            let Some(read) = read else { break };
            let (labels, chunks) = read.map_err(|e| self.error(e))?;
            budget.take_chunks(&chunks)?;
            selected.push(SelectedSeries { labels, chunks });
        }
        Ok(selected)
    }

    /// The meta file and the tombstones of the block once some samples are deleted; `None` where that changes nothing.
    pub(super) fn tombstones_with(
        &self,
        matchers: &[Matcher],
        min_time_ms: i64,
        max_time_ms: i64,
    ) -> Result<Option<(BlockMeta, Tombstones)>, EngineError> {
        let deleted = with_deleted(&self.block, matchers, min_time_ms, max_time_ms).map_err(|e| self.error(e))?;
        Ok(deleted.map(|tombstones| (self.block.meta().clone(), tombstones)))
    }

    /// At most so many series satisfy all matchers.
    pub(super) fn estimate(&self, matchers: &[Matcher]) -> Result<u64, EngineError> {
        self.block.index().estimate(matchers).map_err(|e| self.error(e.into()))
    }

    pub(super) fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<Vec<u8>>, EngineError> {
        self.block.label_names(matchers).map_err(|e| self.error(e))
    }

    pub(super) fn label_values(&self, name: &[u8], matchers: &[Matcher]) -> Result<Vec<Vec<u8>>, EngineError> {
        self.block.label_values(name, matchers).map_err(|e| self.error(e))
    }
}

/// An unchanging set of blocks, in order of their times.
#[derive(Debug, Default)]
pub(super) struct BlockSet {
    blocks: Vec<Arc<LocalBlock>>,
    /// Those that the disk does not give at the moment.
    unread: Vec<BlockId>,
    /// How many were set aside as corrupt since the start.
    corrupt: usize,
    /// Those that others were made of, and that could not be removed.
    unremoved: Vec<BlockId>,
}

impl BlockSet {
    fn new(mut blocks: Vec<Arc<LocalBlock>>) -> Self {
        blocks.sort_by_key(|block| (block.range_ms(), block.id()));
        BlockSet { blocks, ..BlockSet::default() }
    }

    pub(super) fn with(&self, block: Arc<LocalBlock>) -> Self {
        let set = BlockSet::new(self.blocks.iter().map(Arc::clone).chain([block]).collect());
        BlockSet { unread: self.unread.clone(), corrupt: self.corrupt, ..set }
    }

    pub(super) fn without(&self, removed: &[BlockId]) -> Self {
        let kept = self.blocks.iter().filter(|block| !removed.contains(&block.id()));
        let blocks = kept.map(Arc::clone).collect();
        BlockSet { blocks, unread: self.unread.clone(), corrupt: self.corrupt, ..BlockSet::default() }
    }

    /// The same blocks, of which those that nobody needed for a while hold nothing in memory for queries; `None` where that changes
    /// nothing.
    pub(super) fn rested(&self) -> Option<Self> {
        let rested: Vec<_> = self.blocks.iter().map(|block| block.rested()).collect();
        if rested.iter().all(Option::is_none) {
            return None;
        }
        let pairs = self.blocks.iter().zip(rested);
        let blocks = pairs.map(|(block, rested)| rested.map_or_else(|| Arc::clone(block), Arc::new)).collect();
        let (unread, unremoved) = (self.unread.clone(), self.unremoved.clone());
        Some(BlockSet { blocks, unread, unremoved, corrupt: self.corrupt })
    }

    pub(super) fn overlapping(&self, min_time_ms: i64, max_time_ms: i64) -> impl Iterator<Item = &LocalBlock> {
        let overlaps = move |block: &&LocalBlock| {
            let (min_ms, end_ms) = block.range_ms();
            min_ms <= max_time_ms && end_ms > min_time_ms
        };
        self.blocks.iter().map(AsRef::as_ref).filter(overlaps)
    }

    /// Where the head begins. Blocks of late samples do not count: they lie beside those that were cut in order.
    pub(super) fn end_ms(&self) -> i64 {
        let late = |block: &LocalBlock| block.block.meta().compaction.hints.iter().any(|h| h == HINT_FROM_OUT_OF_ORDER);
        let in_order = self.blocks.iter().filter(|block| !late(block));
        in_order.map(|block| block.range_ms().1).max().unwrap_or(i64::MIN)
    }

    /// All blocks, in order of their times.
    pub(super) fn all(&self) -> impl Iterator<Item = &LocalBlock> {
        self.blocks.iter().map(AsRef::as_ref)
    }

    /// Those that the disk does not give at the moment.
    pub(super) fn unread(&self) -> &[BlockId] {
        &self.unread
    }

    /// Those that others were made of, and that could not be removed when the set was read.
    pub(super) fn unremoved(&self) -> &[BlockId] {
        &self.unremoved
    }

    /// How many blocks cannot be read: for now, and for good.
    pub(super) fn unreadable(&self) -> (usize, usize) {
        (self.unread.len(), self.corrupt)
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn metas(&self) -> impl Iterator<Item = &BlockMeta> {
        self.blocks.iter().map(|block| block.block.meta())
    }

    /// The blocks of which something is deleted.
    pub(super) fn with_tombstones(&self) -> impl Iterator<Item = &BlockMeta> {
        self.blocks.iter().filter(|block| !block.block.tombstones().is_empty()).map(|block| block.block.meta())
    }

    /// The bytes of each block's index and chunks, in order of their times.
    pub(super) fn sizes_bytes(&self) -> impl Iterator<Item = (BlockId, u64)> {
        self.blocks.iter().map(|block| (block.id(), block.block.len_bytes()))
    }

    /// First and last time.
    pub(super) fn times_ms(&self) -> Option<(i64, i64)> {
        let ranges = self.blocks.iter().map(|block| block.range_ms());
        let (min_ms, end_ms) = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some((min_ms, end_ms.saturating_sub(1)))
    }

    /// The blocks that end at or before a time.
    pub(super) fn ended_before(&self, time_ms: i64) -> Vec<BlockId> {
        self.blocks.iter().filter(|block| block.range_ms().1 <= time_ms).map(|block| block.id()).collect()
    }
}

/// Opens a tenant's blocks. What was left half done is removed, what is corrupt set aside, and what the disk does not give
/// at the moment left out.
pub(super) fn open_blocks(dir: &Path, env: &Env) -> Result<BlockSet, EngineError> {
    let io = |e| EngineError::io(dir, &e);
    block::remove_leftovers(&*env.disk, dir).map_err(io)?;
    let ids = block::list(&*env.disk, dir).map_err(io)?;
    read_blocks(dir, Vec::new(), &ids, env).map_err(io)
}

/// Opens more blocks.
fn read_blocks(dir: &Path, mut blocks: Vec<Arc<LocalBlock>>, ids: &[BlockId], env: &Env) -> std::io::Result<BlockSet> {
    let (mut unread, mut corrupt) = (Vec::new(), 0);
    for id in ids {
        let path = dir.join(id.to_string());
        match LocalBlock::open(&path, env) {
            Ok(block) => blocks.push(Arc::new(block)),
            // The disk may be well again soon, and then the block is whole.
            Err(error) if error.io().is_some_and(|e| !is_damage(e)) => {
                tracing::error!(block = %path.display(), %error, "block cannot be read and is left out for now");
                unread.push(*id);
            }
            Err(error) => {
                tracing::error!(block = %path.display(), %error, "block cannot be opened, setting it aside");
                let aside = dir.join(format!("{id}{CORRUPT_SUFFIX}"));
                env.disk.rename(&path, &aside).and_then(|()| env.disk.sync_dir(dir))?;
                corrupt += 1;
            }
        }
    }
    let (kept, unremoved) = without_replaced(dir, blocks, env);
    Ok(BlockSet { unread, corrupt, unremoved, ..BlockSet::new(kept) })
}

impl Tenant {
    /// Tries again to open the blocks that could not be read.
    pub(super) fn read_unread(&self, env: &Env) {
        if self.state.read().blocks.unread.is_empty() {
            return;
        }
        let _cutting = self.cutting.lock();
        let known = Arc::clone(&self.state.read().blocks);
        let there = |id: &BlockId| env.disk.exists(&self.dir.join(id.to_string())).unwrap_or(true);
        let ids: Vec<BlockId> = known.unread.iter().copied().filter(there).collect();
        match read_blocks(&self.dir, known.blocks.iter().map(Arc::clone).collect(), &ids, env) {
            Ok(read) => {
                self.leftovers.lock().extend(read.unremoved());
                self.state.write().blocks = Arc::new(BlockSet { corrupt: read.corrupt + known.corrupt, ..read })
            }
            Err(error) => tracing::error!(tenant = %self.id, %error, "blocks cannot be read"),
        }
    }
}

/// Leaves out the blocks that others were made of. A crash left them there, and they are removed now; those that cannot be
/// are named.
fn without_replaced(dir: &Path, blocks: Vec<Arc<LocalBlock>>, env: &Env) -> (Vec<Arc<LocalBlock>>, Vec<BlockId>) {
    let parents = blocks.iter().flat_map(|block| &block.block.meta().compaction.parents);
    let parents: Vec<BlockId> = parents.map(|parent| parent.ulid).collect();
    let (replaced, kept): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| parents.contains(&block.id()));
    let unremoved = replaced.iter().map(|block| block.id()).filter(|id| !remove_block(dir, *id, env));
    (kept, unremoved.collect())
}

/// Whether an error is not the disk's, which may pass.
pub(super) fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, NotADirectory, NotFound, UnexpectedEof};
    matches!(error.kind(), NotFound | NotADirectory | UnexpectedEof | InvalidData)
}

/// Writes what the head holds of `min_ms..end_ms` as a block. `None` where that is nothing.
pub(super) fn write_block(
    tenant: &Tenant,
    id: BlockId,
    min_ms: i64,
    end_ms: i64,
    env: &Env,
) -> Result<Option<LocalBlock>, EngineError> {
    let path = tenant.dir.join(id.to_string());
    let error = |e| EngineError::of_block(&path, e);
    let Some(started) = write_series(tenant, id, min_ms, end_ms, env).map_err(error)? else { return Ok(None) };
    let block = LocalBlock::open(&path, env).map_err(error)?;
    let _ = block.start_times.set(started);
    Ok(Some(block))
}

/// Says whether some chunk has start times; `None` where there is nothing to write.
fn write_series(tenant: &Tenant, id: BlockId, min_ms: i64, end_ms: i64, env: &Env) -> Result<Option<bool>, BlockError> {
    let last_ms = end_ms.saturating_sub(1);
    let (mut order, mut next) = (SeriesOrder::default(), Some(0));
    while let Some(from) = next {
        next = order.take(&tenant.state.read().head, from, min_ms, last_ms);
    }
    let (slots, symbols) = order.finish();
    let compaction = BlockCompaction { level: 1, sources: vec![id], ..BlockCompaction::default() };
    let meta = BlockMeta {
        ulid: id,
        min_time: min_ms,
        max_time: end_ms,
        compaction,
        version: META_VERSION,
        ..BlockMeta::default()
    };
    let (mut writer, mut started) = (BlockWriter::create(&*env.disk, &tenant.dir, meta, &symbols)?, false);
    for slots in slots.chunks(SERIES_AT_A_TIME) {
        let (files, series) = {
            let state = tenant.state.read();
            let series = slots.iter().filter_map(|slot| state.head.collect(*slot, min_ms, last_ms)).collect();
            (tenant.chunks.files(), series)
        };
        for SelectedSeries { labels, chunks } in load(&files, series)? {
            // None are left where all were damaged.
            if !chunks.is_empty() {
                started |= chunks.iter().any(|chunk| chunk.encoding.has_start_times());
                writer.add_series(&labels, &chunks)?;
            }
        }
    }
    Ok(writer.finish()?.map(|_| started))
}
