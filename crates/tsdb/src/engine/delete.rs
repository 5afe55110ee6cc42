//! Deleting samples of series.
//!
//! In a block the deleted ranges go into its tombstones file; readers leave them out at once, and the next compaction does
//! away with them.

use std::sync::Arc;

use thanoxide_env::Env;
use thanoxide_model::{Matcher, TenantId};

use super::tenant::Tenant;
use super::{Engine, EngineError};
use crate::block::{BlockError, TOMBSTONES_FILE};
use crate::meta::BlockMeta;
use crate::tombstones::{Interval, Tombstones};

impl Engine {
    /// Deletes the samples of `min_time_ms..=max_time_ms` in the blocks of a tenant, of all series that satisfy all matchers.
    /// It is done when this returns, also after a crash; an error may leave some blocks done.
    pub fn delete_in_blocks(
        &self,
        tenant: &TenantId,
        matchers: &[Matcher],
        min_time_ms: i64,
        max_time_ms: i64,
    ) -> Result<(), EngineError> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(()) };
        let _cutting = tenant.cutting.lock();
        let blocks = Arc::clone(&tenant.state.read().blocks);
        for block in blocks.overlapping(min_time_ms, max_time_ms) {
            let tombstones = block.tombstones_with(matchers, min_time_ms, max_time_ms)?;
            if let Some((meta, tombstones)) = tombstones {
                tenant.write_tombstones(meta, &tombstones, &self.env)?;
            }
        }
        Ok(())
    }
}

impl Tenant {
    fn write_tombstones(&self, mut meta: BlockMeta, tombstones: &Tombstones, env: &Env) -> Result<(), EngineError> {
        let dir = self.dir.join(meta.ulid.to_string());
        let written = env.disk.write_atomically(&dir.join(TOMBSTONES_FILE), &tombstones.to_bytes());
        written.map_err(|error| EngineError::io(&dir, &error))?;
        meta.stats.num_tombstones = tombstones.len() as u64;
        self.write_meta(&meta, env)
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
