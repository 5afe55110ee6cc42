//! Turning a head into blocks.
//!
//! A cut of `[min, end)` goes: take nothing before `end` any more; write the block; make it visible and drop its samples
//! from the head in one step; say so in the log. A crash or failure before the middle step leaves the samples in the head
//! and its log, one after it leaves them in the block, and replay skips what a block holds.

use std::sync::Arc;

use crate::meta::BlockId;
use thanoxide_env::Env;

use super::blocks::write_block;
use super::tenant::Tenant;
use super::{EngineError, EngineOptions};
use crate::head::range_end;

impl Tenant {
    /// Cuts all ranges that are done. `blocks` gets the new ones, also those before a failure.
    pub(super) fn cut_due(
        &self,
        options: &EngineOptions,
        env: &Env,
        blocks: &mut Vec<BlockId>,
    ) -> Result<(), EngineError> {
        let _cutting = self.cutting.lock();
        self.log.recover()?;
        self.remove_leftovers(env)?;
        let mut any = false;
        while let Some((min_ms, end_ms)) = self.due(options, env) {
            blocks.extend(self.cut(min_ms, end_ms, env)?);
            any = true;
        }
        // As in Prometheus late samples are cut after those in order; where there are none of these, once nothing comes.
        let alone = || self.state.read().head.times_ms().is_none() && self.idle_ms(env) >= options.cut_ms() / 2;
        if any || alone() { self.cut_late(options, env, blocks) } else { Ok(()) }
    }

    /// Cuts all that the head holds now, range by range.
    pub(super) fn flush(
        &self,
        options: &EngineOptions,
        env: &Env,
        blocks: &mut Vec<BlockId>,
    ) -> Result<(), EngineError> {
        let _cutting = self.cutting.lock();
        self.log.recover()?;
        self.remove_leftovers(env)?;
        self.flush_in_order(options, env, blocks)?;
        self.cut_late(options, env, blocks)
    }

    fn flush_in_order(&self, options: &EngineOptions, env: &Env, blocks: &mut Vec<BlockId>) -> Result<(), EngineError> {
        let (flush_end_ms, min_valid_ms) = {
            let mut state = self.state.write();
            let Some((_, max_ms)) = state.head.times_ms() else { return Ok(()) };
            let min_valid_ms = state.head.min_valid_ms();
            // Chunks must not grow across the end of the block.
            state.head.seal_chunks();
            state.head.raise_min_valid(max_ms.saturating_add(1));
            (max_ms.saturating_add(1), min_valid_ms)
        };
        let mut done_ms = min_valid_ms;
        loop {
            let times = self.state.read().head.times_ms();
            let Some((min_ms, _)) = times.filter(|(min_ms, _)| *min_ms < flush_end_ms) else { break };
            let end_ms = range_end(min_ms, options.cut_ms()).min(flush_end_ms);
            match self.cut(min_ms, end_ms, env) {
                Ok(block) => blocks.extend(block),
                Err(error) => {
                    self.state.write().head.restore_min_valid(done_ms);
                    return Err(error);
                }
            }
            done_ms = end_ms;
        }
        Ok(())
    }

    /// The oldest range of the head, if it is done: the head reaches half a range beyond it, or has been idle for as long.
    fn due(&self, options: &EngineOptions, env: &Env) -> Option<(i64, i64)> {
        let range_ms = options.cut_ms();
        let (min_ms, max_ms) = self.state.read().head.times_ms()?;
        let end_ms = range_end(min_ms, range_ms);
        let full = max_ms.saturating_sub(min_ms) > range_ms / 2 * 3;
        let passed = env.clock.now_ms() >= end_ms.saturating_add(range_ms / 2);
        let idle = passed && self.idle_ms(env) >= range_ms / 2;
        (full || idle).then_some((min_ms, end_ms))
    }

    /// By how much the head is longer than a range, if a range of it is done.
    pub(super) fn overdue_ms(&self, options: &EngineOptions, env: &Env) -> Option<i64> {
        self.due(options, env)?;
        let (min_ms, max_ms) = self.state.read().head.times_ms()?;
        Some(max_ms.saturating_sub(min_ms).saturating_sub(options.cut_ms()))
    }

    fn cut(&self, min_ms: i64, end_ms: i64, env: &Env) -> Result<Option<BlockId>, EngineError> {
        let min_valid_ms = {
            let mut state = self.state.write();
            let min_valid_ms = state.head.min_valid_ms();
            state.head.raise_min_valid(end_ms);
            min_valid_ms
        };
        let id = self.unused_id(env)?;
        let block = match write_block(self, id, min_ms, end_ms, env) {
            Ok(block) => block,
            Err(error) => {
                self.state.write().head.restore_min_valid(min_valid_ms);
                // It may be half there, or whole but for the last sync.
                self.discard(id, env);
                return Err(error);
            }
        };
        let cut = block.is_some().then_some(id);
        {
            let mut state = self.state.write();
            if let Some(block) = block {
                state.blocks = Arc::new(state.blocks.with(Arc::new(block)));
            }
            state.head.hide_before(end_ms);
            self.log_truncation(end_ms);
        }
        // Appends and reads go on between.
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.state.write().head.drop_hidden(from);
        }
        Ok(cut)
    }

    /// A name that no block has: what fails is removed by its name.
    pub(super) fn unused_id(&self, env: &Env) -> Result<BlockId, EngineError> {
        loop {
            let id = BlockId::new(env.clock.now_ms(), env.random.next_u128());
            let path = self.dir.join(id.to_string());
            if !env.disk.exists(&path).map_err(|e| EngineError::io(&path, &e))? {
                return Ok(id);
            }
        }
    }

    /// Removes blocks that end `retention_ms` or more before the newest data, if they can be spared.
    pub(super) fn remove_expired(
        &self,
        retention_ms: i64,
        may_remove: &dyn Fn(BlockId) -> bool,
        env: &Env,
    ) -> Result<Vec<BlockId>, EngineError> {
        let _cutting = self.cutting.lock();
        let blocks = Arc::clone(&self.state.read().blocks);
        // Prometheus counts from the newest block, too: one sample of the far future in the head must not end all blocks.
        let expired = blocks.ended_before(blocks.end_ms().saturating_sub(retention_ms));
        let expired: Vec<BlockId> = expired.into_iter().filter(|block| may_remove(*block)).collect();
        if expired.is_empty() {
            return Ok(expired);
        }
        // Without its block only the mark of the cut keeps replay from bringing a sample back.
        self.sync()?;
        self.state.write().blocks = Arc::new(blocks.without(&expired));
        expired.iter().for_each(|block| self.discard(*block, env));
        env.disk.sync_dir(&self.dir).map_err(|e| EngineError::io(&self.dir, &e))?;
        Ok(expired)
    }
}
