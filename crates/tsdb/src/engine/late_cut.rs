//! Turning late samples into blocks, one for each aligned range that has any.
//!
//! The samples are frozen first: readers still see them, and later ones begin anew. Then the blocks are written; then these
//! become visible and the frozen samples go in one step, and a mark in the log says up to which frame late samples are in
//! blocks. After a failure the frozen samples stay and are tried again.

use std::path::Path;
use std::sync::Arc;

use thanoxide_env::Env;

use super::blocks::LocalBlock;
use super::tenant::Tenant;
use super::{EngineError, EngineOptions, SelectedSeries};
use crate::block::{BlockError, BlockWriter, redact};
use crate::chunk_store::load;
use crate::encoding::Put;
use crate::index::SymbolSet;
use crate::log::{FrameKind, Position};
use crate::meta::{BlockCompaction, BlockId, BlockMeta, HINT_FROM_OUT_OF_ORDER, META_VERSION};
use crate::tombstones::Interval;

/// Series are taken out of the head so many at a time, so that appends go on between.
const SERIES_AT_A_TIME: usize = 1024;

impl Tenant {
    /// Cuts all late samples, with `cutting` held. `blocks` gets the new ones.
    pub(super) fn cut_late(
        &self,
        options: &EngineOptions,
        env: &Env,
        blocks: &mut Vec<BlockId>,
    ) -> Result<(), EngineError> {
        // What a failed cut froze goes first.
        while let Some(position) = self.freeze_late() {
            let mut written = Vec::new();
            let result = self.write_late(options.block_duration_ms, env, &mut written);
            let cut = result.and_then(|()| self.open_blocks(&written, env));
            let opened = cut.inspect_err(|_| written.iter().for_each(|id| self.discard(*id, env)))?;
            let mut state = self.state.write();
            for block in opened {
                state.blocks = Arc::new(state.blocks.with(Arc::new(block)));
            }
            state.head.drop_frozen_late();
            self.log_late_truncation(position);
            blocks.append(&mut written);
        }
        Ok(())
    }

    fn freeze_late(&self) -> Option<Position> {
        let mut state = self.state.write();
        // Whatever the head has, the log has been given under this lock.
        state.head.freeze_late(self.log.position()).then(|| state.head.frozen_late_position())?
    }

    fn open_blocks(&self, blocks: &[BlockId], env: &Env) -> Result<Vec<LocalBlock>, EngineError> {
        let open = |id: &BlockId| {
            let path = self.dir.join(id.to_string());
            LocalBlock::open(&path, env).map_err(|e| EngineError::of_block(&path, e))
        };
        blocks.iter().map(open).collect()
    }

    fn write_late(&self, range_ms: i64, env: &Env, written: &mut Vec<BlockId>) -> Result<(), EngineError> {
        let error = |e| EngineError::of_block(&self.dir, e);
        let (ranges, slots) = {
            let state = self.state.read();
            let ranges = state.head.frozen_late_ranges(range_ms).map_err(|e| error(e.into()))?;
            (ranges, state.head.sorted_frozen_slots())
        };
        for range in ranges {
            let min_time_ms = range.saturating_mul(range_ms);
            let mut series = Vec::new();
            for slots in slots.chunks(SERIES_AT_A_TIME) {
                let (files, part) = {
                    let state = self.state.read();
                    let last_ms = min_time_ms.saturating_add(range_ms - 1);
                    let collect = |slot: &u32| state.head.collect_frozen(*slot, min_time_ms, last_ms);
                    (self.chunks.files(), slots.iter().filter_map(collect).collect())
                };
                series.extend(load(&files, part).map_err(|e| EngineError::io(&self.dir, &e))?);
            }
            let series = within(series, min_time_ms, range_ms).map_err(error)?;
            let id = self.unused_id(env)?;
            written.push(id);
            write_late_block(&self.dir, id, (min_time_ms, range_ms), &series, env).map_err(error)?;
        }
        Ok(())
    }

    fn log_late_truncation(&self, position: Position) {
        let mut payload = Vec::new();
        payload.put_uvarint(position);
        let frame = [(FrameKind::LateTruncation, payload.as_slice())];
        self.log.append(self.id.as_str(), self.generation, frame.into_iter());
    }
}

/// Cuts chunks off at the ends of a range; series that have nothing in it go.
fn within(series: Vec<SelectedSeries>, min_time_ms: i64, range_ms: i64) -> Result<Vec<SelectedSeries>, BlockError> {
    let before = Interval { min_time_ms: i64::MIN, max_time_ms: min_time_ms.saturating_sub(1) };
    let behind = Interval { min_time_ms: min_time_ms.saturating_add(range_ms), max_time_ms: i64::MAX };
    let mut kept = Vec::with_capacity(series.len());
    for SelectedSeries { labels, chunks } in series {
        let parts = chunks.into_iter().map(|chunk| redact(chunk, &[before, behind]));
        let chunks = parts.collect::<Result<Vec<_>, _>>()?.concat();
        if !chunks.is_empty() {
            kept.push(SelectedSeries { labels, chunks });
        }
    }
    Ok(kept)
}

/// Writes a block of late samples of one range and makes it durable. The series are sorted.
pub(super) fn write_late_block(
    dir: &Path,
    id: BlockId,
    (min_time, range_ms): (i64, i64),
    series: &[SelectedSeries],
    env: &Env,
) -> Result<(), BlockError> {
    let mut symbols = SymbolSet::default();
    symbols.add(b"");
    series.iter().for_each(|series| symbols.add_labels(&series.labels));
    let hints = vec![HINT_FROM_OUT_OF_ORDER.to_string()];
    let compaction = BlockCompaction { level: 1, sources: vec![id], hints, ..BlockCompaction::default() };
    let max_time = min_time.saturating_add(range_ms);
    let meta = BlockMeta { ulid: id, min_time, max_time, compaction, version: META_VERSION, ..BlockMeta::default() };
    let mut writer = BlockWriter::create(&*env.disk, dir, meta, &symbols)?;
    for series in series {
        writer.add_series(&series.labels, &series.chunks)?;
    }
    writer.finish()?;
    Ok(())
}
