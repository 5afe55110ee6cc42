//! Deleting samples of series.
//!
//! In a block the deleted ranges go into its tombstones file, in the head into the log; readers leave them out at once, and
//! the next cut or compaction does away with them.

use std::sync::Arc;

use thanoxide_env::Env;
use thanoxide_model::{Matcher, TenantId};

use super::blocks::LocalBlock;
use super::tenant::Tenant;
use super::{Engine, EngineError};
use crate::block::{BlockError, TOMBSTONES_FILE};
use crate::log::{FrameKind, Position};
use crate::meta::{BlockId, BlockMeta, META_FILE};
use crate::tombstones::{Interval, Tombstones};

impl Engine {
    /// Deletes the samples of `min_time_ms..=max_time_ms` of all series of a tenant that satisfy all matchers, in its head
    /// and in its blocks: readers see it at once and as a whole. It is done when this returns, also after a crash; an error
    /// may leave a part of it done.
    pub fn delete(
        &self,
        tenant: &TenantId,
        matchers: &[Matcher],
        min_time_ms: i64,
        max_time_ms: i64,
    ) -> Result<(), EngineError> {
        self.check_open()?;
        let Some(tenant) = self.tenant(tenant) else { return Ok(()) };
        let _cutting = tenant.cutting.lock();
        self.log.recover()?;
        tenant.remove_leftovers(&self.env)?;
        let blocks = Arc::clone(&tenant.state.read().blocks);
        let mut stained = Vec::new();
        for block in blocks.overlapping(min_time_ms, max_time_ms) {
            if let Some((meta, tombstones)) = block.tombstones_with(matchers, min_time_ms, max_time_ms)? {
                stained.push((meta.ulid, tenant.write_tombstones(meta, &tombstones, &self.env)?));
            }
        }
        let position = tenant.show_deleted(stained, matchers, Interval { min_time_ms, max_time_ms })?;
        Ok(self.log.commit(position)?)
    }
}

impl Tenant {
    /// Makes the files of a block with deleted samples durable, and reads it anew.
    fn write_tombstones(
        &self,
        mut meta: BlockMeta,
        tombstones: &Tombstones,
        env: &Env,
    ) -> Result<LocalBlock, EngineError> {
        let dir = self.dir.join(meta.ulid.to_string());
        let io = |error| EngineError::io(&dir, &error);
        // The directory is synced behind both.
        env.disk.replace(&dir.join(TOMBSTONES_FILE), &tombstones.to_bytes()).map_err(io)?;
        meta.stats.num_tombstones = tombstones.len() as u64;
        env.disk.write_atomically(&dir.join(META_FILE), &meta.to_json()).map_err(io)?;
        LocalBlock::open(&dir, env).map_err(|error| EngineError::of_block(&dir, error))
    }

    /// Puts blocks in the place of those that they were, and deletes in the head, in one step. Gives the position of the
    /// frame that says so.
    fn show_deleted(
        &self,
        stained: Vec<(BlockId, LocalBlock)>,
        matchers: &[Matcher],
        range: Interval,
    ) -> Result<Position, EngineError> {
        let mut state = self.state.write();
        for (id, block) in stained {
            state.blocks = Arc::new(state.blocks.without(&[id]).with(Arc::new(block)));
        }
        let payload = state.head.delete(matchers, range).map_err(|e| EngineError::block(&self.dir, e))?;
        let frame =
            [(FrameKind::Tombstones, payload.as_slice())].into_iter().filter(|(_, payload)| !payload.is_empty());
        Ok(self.log.append(self.id.as_str(), self.generation, frame))
    }
}

/// What is deleted in a block once a range of some series is, too; `None` where that changes nothing. As in Prometheus a
/// range ends with the first and the last sample of its series.
pub(super) fn with_deleted(
    block: &crate::block::Block,
    matchers: &[Matcher],
    min_time_ms: i64,
    max_time_ms: i64,
) -> Result<Option<Tombstones>, BlockError> {
    let mut tombstones = block.tombstones().clone();
    for series in block.postings(matchers)? {
        let chunks = block.index().series(series)?.chunks;
        let (Some(first), Some(last)) = (chunks.first(), chunks.last()) else { continue };
        if chunks.iter().any(|chunk| chunk.min_time_ms <= max_time_ms && chunk.max_time_ms >= min_time_ms) {
            let min_time_ms = min_time_ms.max(first.min_time_ms);
            let max_time_ms = max_time_ms.min(last.max_time_ms);
            tombstones.add(u64::from(series), Interval { min_time_ms, max_time_ms });
        }
    }
    Ok((tombstones != *block.tombstones()).then_some(tombstones))
}
