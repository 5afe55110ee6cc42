//! Blocks with start times (chunk encodings 4 to 6) become blocks without, which every stock program reads.

use std::sync::Arc;

use thanoxide_env::Env;
use thanoxide_model::TenantId;

use super::blocks::LocalBlock;
use super::tenant::Tenant;
use super::{Compacted, Engine, EngineError};
use crate::meta::BlockId;

impl Engine {
    /// Writes those blocks of a tenant anew that are `wanted` and have start times. Each block is looked at once.
    pub fn drop_start_times(
        &self,
        tenant: &TenantId,
        wanted: &dyn Fn(BlockId) -> bool,
    ) -> Result<Vec<Compacted>, EngineError> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(Vec::new()) };
        let _cutting = tenant.cutting.lock();
        tenant.remove_leftovers(&self.env)?;
        let blocks = Arc::clone(&tenant.state.read().blocks);
        let mut recoded = Vec::new();
        for block in blocks.all().filter(|block| wanted(block.id())) {
            if block.has_start_times()? {
                recoded.push(tenant.recode(block, &self.env)?);
            }
        }
        Ok(recoded)
    }
}

impl Tenant {
    fn recode(&self, block: &LocalBlock, env: &Env) -> Result<Compacted, EngineError> {
        let id = self.unused_id(env)?;
        let parents = vec![block.id()];
        let recode = || -> Result<Option<BlockId>, EngineError> {
            let made = block.recode(id, &self.dir, env)?.map(|meta| meta.ulid);
            self.put_in_place(&parents, made, env).map_err(|error| EngineError::compaction(&self.dir, error))?;
            Ok(made)
        };
        let made = recode().inspect_err(|_| self.discard(id, env))?;
        Ok(Compacted { parents, block: made })
    }
}
