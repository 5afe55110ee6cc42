//! Making fewer blocks of many, and doing away with what is deleted.
//!
//! A new block names the ones it was made of. They are taken out of sight with the step that shows the new one, and then
//! removed; after a crash in between, the start removes them.

use std::ops::ControlFlow;
use std::sync::Arc;

use thanoxide_env::Env;
use thanoxide_model::TenantId;

use super::blocks::LocalBlock;
use super::tenant::Tenant;
use super::{Engine, EngineError};
use crate::compact::{BlockSource, CompactError, CompactOptions, DirSink, compact, merged_meta, plan, rewritten_meta};
use crate::meta::{BlockId, BlockMeta, META_FILE};

/// What a compaction made of some blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The blocks that are gone.
    pub parents: Vec<BlockId>,
    /// The new one; `None` where nothing was left.
    pub block: Option<BlockId>,
}

impl Engine {
    /// Compacts a tenant's blocks for as long as Prometheus's plan over `ranges_ms` finds any (see [`crate::compact::plan`]).
    /// The newer blocks from the first on that `may_compact` forbids are left alone. `keep_going` is asked now and then.
    pub fn compact_tenant(
        &self,
        tenant: &TenantId,
        ranges_ms: &[i64],
        may_compact: &dyn Fn(BlockId) -> bool,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<Compacted>, EngineError> {
        let mut done = Vec::new();
        let Some(tenant) = self.tenant(tenant) else { return Ok(done) };
        while keep_going()
            && let Some(compacted) = tenant.compact_planned(ranges_ms, may_compact, keep_going, &self.env)?
        {
            done.push(compacted);
        }
        Ok(done)
    }

    /// Writes all blocks of a tenant anew that have deleted samples, without those.
    pub fn clean_tombstones(&self, tenant: &TenantId) -> Result<Vec<Compacted>, EngineError> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(Vec::new()) };
        let _cutting = tenant.cutting.lock();
        tenant.remove_leftovers(&self.env)?;
        let blocks = Arc::clone(&tenant.state.read().blocks);
        let stained: Vec<BlockMeta> = blocks.with_tombstones().cloned().collect();
        stained.into_iter().map(|meta| tenant.rewrite(&meta, &self.env)).collect()
    }
}

impl Tenant {
    fn compact_planned(
        &self,
        ranges_ms: &[i64],
        may_compact: &dyn Fn(BlockId) -> bool,
        keep_going: &dyn Fn() -> bool,
        env: &Env,
    ) -> Result<Option<Compacted>, EngineError> {
        let _cutting = self.cutting.lock();
        self.remove_leftovers(env)?;
        let (blocks, head_ms) = {
            let state = self.state.read();
            (Arc::clone(&state.blocks), state.head.min_valid_ms())
        };
        let mut metas: Vec<&BlockMeta> = blocks.metas().collect();
        metas.sort_by_key(|meta| meta.ulid);
        let allowed = metas.into_iter().take_while(|meta| may_compact(meta.ulid));
        // The head of the next start begins where blocks in order end. One of late samples that reaches into the head would
        // not be told from these once it is merged with them.
        let allowed: Vec<&BlockMeta> = allowed.filter(|meta| meta.max_time <= head_ms).collect();
        let parents = plan(&allowed, ranges_ms);
        if parents.is_empty() {
            return Ok(None);
        }
        let meta = merged_meta(self.unused_id(env)?, &parents);
        let parents: Vec<BlockId> = parents.iter().map(|meta| meta.ulid).collect();
        match self.replace(&parents, meta, keep_going, env) {
            Err(CompactError::Cancelled) => Ok(None),
            Err(error) => {
                let told = EngineError::compaction(&self.dir, error);
                // What the disk does not give or take now may work later; blocks that are damaged stay so.
                if !told.is_retryable() {
                    parents.iter().try_for_each(|parent| self.mark_failed(*parent, env))?;
                }
                Err(told)
            }
            Ok(block) => Ok(Some(Compacted { parents, block })),
        }
    }

    fn rewrite(&self, meta: &BlockMeta, env: &Env) -> Result<Compacted, EngineError> {
        let parents = vec![meta.ulid];
        let made = self.replace(&parents, rewritten_meta(self.unused_id(env)?, meta), &|| true, env);
        let block = made.map_err(|error| EngineError::compaction(&self.dir, error))?;
        Ok(Compacted { parents, block })
    }

    /// Makes one block of others and puts it in their place. Gives its name, if there was anything left to write.
    fn replace(
        &self,
        parents: &[BlockId],
        meta: BlockMeta,
        keep_going: &dyn Fn() -> bool,
        env: &Env,
    ) -> Result<Option<BlockId>, CompactError> {
        let id = meta.ulid;
        // It may be half there, or whole and only not shown.
        self.try_replace(parents, meta, keep_going, env).inspect_err(|_| self.discard(id, env))
    }

    fn try_replace(
        &self,
        parents: &[BlockId],
        meta: BlockMeta,
        keep_going: &dyn Fn() -> bool,
        env: &Env,
    ) -> Result<Option<BlockId>, CompactError> {
        let open = |parent: &BlockId| BlockSource::open(&*env.disk, &self.dir.join(parent.to_string()));
        let sources = parents.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let progress = |_: &_| if keep_going() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let options = CompactOptions { progress: &progress, ..CompactOptions::default() };
        let mut sink = DirSink::create(&*env.disk, &self.dir, meta.ulid)?;
        let made = compact(&sources, meta, &mut sink, &options)?;
        let block = made.map(|meta| meta.ulid);
        self.put_in_place(parents, block, env)?;
        Ok(block)
    }

    /// Shows a new block in place of others, which are removed.
    pub(super) fn put_in_place(
        &self,
        parents: &[BlockId],
        made: Option<BlockId>,
        env: &Env,
    ) -> Result<(), CompactError> {
        let open = |id: BlockId| LocalBlock::open(&self.dir.join(id.to_string()), env).map(Arc::new);
        let block = made.map(open).transpose()?;
        // Without its block only the mark of the cut keeps replay from bringing a sample back.
        self.sync().map_err(std::io::Error::other)?;
        {
            let mut state = self.state.write();
            let left = state.blocks.without(parents);
            state.blocks = Arc::new(match block {
                Some(block) => left.with(block),
                None => left,
            });
        }
        parents.iter().for_each(|parent| self.discard(*parent, env));
        Ok(())
    }

    /// Notes in a block's meta file that compacting it failed, so that it is left alone.
    fn mark_failed(&self, id: BlockId, env: &Env) -> Result<(), EngineError> {
        let blocks = Arc::clone(&self.state.read().blocks);
        let Some(meta) = blocks.metas().find(|meta| meta.ulid == id) else { return Ok(()) };
        let mut meta = meta.clone();
        meta.compaction.failed = true;
        self.write_meta(&meta, env)
    }

    /// Replaces a block's meta file and reads the block anew.
    pub(super) fn write_meta(&self, meta: &BlockMeta, env: &Env) -> Result<(), EngineError> {
        let dir = self.dir.join(meta.ulid.to_string());
        let written = env.disk.write_atomically(&dir.join(META_FILE), &meta.to_json());
        written.map_err(|error| EngineError::io(&dir, &error))?;
        self.reopen(meta.ulid, env)
    }

    /// Reads a block anew whose files were replaced.
    pub(super) fn reopen(&self, id: BlockId, env: &Env) -> Result<(), EngineError> {
        let dir = self.dir.join(id.to_string());
        let block = LocalBlock::open(&dir, env).map_err(|error| EngineError::of_block(&dir, error))?;
        let mut state = self.state.write();
        state.blocks = Arc::new(state.blocks.without(&[id]).with(Arc::new(block)));
        Ok(())
    }
}
