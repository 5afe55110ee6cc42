//! Removing the oldest blocks where all of them together take too much room.
//!
//! Each tenant is charged its share: one that has a tenth of the bytes may keep a tenth of the room. Log and chunk files
//! belong to all; of these a tenant has as much as its head has of all chunks. Only blocks can be given up.

use std::sync::Arc;

use thanoxide_env::Env;
use thanoxide_model::TenantId;

use super::tenant::Tenant;
use super::{Engine, EngineError, Maintained};
use crate::meta::BlockId;

impl Engine {
    /// Removes the oldest blocks of each tenant that has more than its share of the room for blocks.
    pub(super) fn remove_beyond_size(
        &self,
        room_bytes: u64,
        may_remove: &dyn Fn(&TenantId, BlockId) -> bool,
        done: &mut Maintained,
    ) {
        let tenants: Vec<_> = self.all_tenants().into_iter().map(|t| (t.usage(), t)).collect();
        let shared_bytes = self.chunks.size_bytes() + self.log.size_bytes().unwrap_or_default();
        let shares = shares(&tenants.iter().map(|(usage, _)| *usage).collect::<Vec<_>>(), shared_bytes, room_bytes);
        for ((_, tenant), allowed_bytes) in tenants.iter().zip(shares) {
            let Some(allowed_bytes) = allowed_bytes else { return };
            let may_remove = |block| may_remove(&tenant.id, block);
            match tenant.remove_beyond_size(allowed_bytes, &may_remove, &self.env) {
                Ok(removed) => done.removed.extend(removed.into_iter().map(|block| (tenant.id.clone(), block))),
                Err(error) => done.failed.push((tenant.id.clone(), error)),
            }
        }
    }
}

/// What of one tenant is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Blocks that end longer before the newest one go; `None` keeps all.
    pub time_ms: Option<i64>,
    /// The room for all blocks, beyond which the oldest go; `None` is no limit.
    pub bytes: Option<u64>,
}

impl Engine {
    /// Removes the blocks of a tenant that `retention` does not keep and that `may_remove` can spare. For callers that
    /// keep tenants for different times; beside it [`Engine::maintain`] keeps to the options that all tenants share.
    pub fn retain(
        &self,
        tenant: &TenantId,
        retention: Retention,
        may_remove: &dyn Fn(BlockId) -> bool,
    ) -> Result<Vec<BlockId>, EngineError> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(Vec::new()) };
        let mut removed = Vec::new();
        if let Some(time_ms) = retention.time_ms {
            removed.extend(tenant.remove_expired(time_ms, may_remove, &self.env)?);
        }
        if let Some(bytes) = retention.bytes {
            removed.extend(tenant.remove_beyond_size(bytes, may_remove, &self.env)?);
        }
        Ok(removed)
    }
}

/// What a tenant takes: bytes of its blocks, and chunks of its head.
#[derive(Clone, Copy, Debug)]
struct Usage {
    block_bytes: u64,
    head_chunks: u64,
}

/// The bytes of blocks that each tenant may keep; `None` where all is well.
fn shares(tenants: &[Usage], shared_bytes: u64, room_bytes: u64) -> Vec<Option<u64>> {
    let total_bytes = u128::from(shared_bytes) + tenants.iter().map(|t| u128::from(t.block_bytes)).sum::<u128>();
    let all_chunks: u128 = tenants.iter().map(|t| u128::from(t.head_chunks)).sum::<u128>().max(1);
    let share = |tenant: &Usage| {
        let own_shared = u128::from(shared_bytes) * u128::from(tenant.head_chunks) / all_chunks;
        let own = u128::from(tenant.block_bytes) + own_shared;
        let room = u128::from(room_bytes) * own / total_bytes.max(1);
        (total_bytes > u128::from(room_bytes)).then_some(room.saturating_sub(own_shared) as u64)
    };
    tenants.iter().map(share).collect()
}

impl Tenant {
    fn usage(&self) -> Usage {
        let state = self.state.read();
        let (blocks, head_chunks) = (Arc::clone(&state.blocks), state.head.stats().chunks as u64);
        Usage { block_bytes: blocks.sizes_bytes().map(|(_, bytes)| bytes).sum(), head_chunks }
    }

    fn remove_beyond_size(
        &self,
        allowed_bytes: u64,
        may_remove: &dyn Fn(BlockId) -> bool,
        env: &Env,
    ) -> Result<Vec<BlockId>, EngineError> {
        let _cutting = self.cutting.lock();
        let blocks = Arc::clone(&self.state.read().blocks);
        let mut sizes: Vec<_> = blocks.sizes_bytes().collect();
        sizes.reverse();
        let doomed: Vec<BlockId> = beyond_size(&sizes, allowed_bytes).into_iter().filter(|b| may_remove(*b)).collect();
        if doomed.is_empty() {
            return Ok(doomed);
        }
        // Without its block only the mark of the cut keeps replay from bringing a sample back.
        self.sync()?;
        self.state.write().blocks = Arc::new(blocks.without(&doomed));
        doomed.iter().for_each(|block| self.discard(*block, env));
        env.disk.sync_dir(&self.dir).map_err(|e| EngineError::io(&self.dir, &e))?;
        Ok(doomed)
    }
}

/// The oldest blocks that a tenant has to give up so that it has at most `allowed_bytes`: one that does not fit any more,
/// counted from the newest, and all that are older.
fn beyond_size(newest_first: &[(BlockId, u64)], allowed_bytes: u64) -> Vec<BlockId> {
    let mut bytes = 0u64;
    let fits = |(_, size): &&(BlockId, u64)| {
        bytes = bytes.saturating_add(*size);
        bytes <= allowed_bytes
    };
    let kept = newest_first.iter().take_while(fits).count();
    newest_first[kept..].iter().map(|(id, _)| *id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_is_charged_its_share_of_what_is_shared() {
        let tenant = |block_bytes, head_chunks| Usage { block_bytes, head_chunks };
        let tenants = [tenant(600, 0), tenant(100, 30), tenant(0, 10)];
        assert_eq!(shares(&tenants, 300, 1000), [None, None, None]);
        // Half of 1000: the first gives up half its blocks, the second half of 325, of which 225 are not blocks.
        assert_eq!(shares(&tenants, 300, 500), [Some(300), Some(0), Some(0)]);
        assert_eq!(shares(&tenants, 300, 900), [Some(540), Some(67), Some(0)]);
        assert_eq!(shares(&[], 300, 100), []);
    }

    #[test]
    fn the_newest_blocks_stay() {
        let blocks: Vec<_> = (0..4u128).map(|i| (BlockId::new(0, i), 10)).collect();
        let gone = |allowed| beyond_size(&blocks, allowed).len();
        assert_eq!([gone(40), gone(39), gone(20), gone(5)], [0, 1, 2, 4]);
    }
}
