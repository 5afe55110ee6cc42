//! What must be done now and then: cut blocks, remove old ones, take a snapshot.

use std::sync::Arc;

use crate::meta::BlockId;
use thanoxide_model::TenantId;

use super::tenant::Tenant;
use super::{Engine, EngineError};

/// All tenants that wait have been cut after so many passes.
const CUTTING_PASSES: usize = 16;
/// So many heads are cut in a pass if they wait.
const LEAST_CUTS: usize = 8;

/// What a maintenance pass did. One tenant's failure does not stop the others; what failed is tried again next time.
#[derive(Debug, Default)]
pub struct Maintained {
    /// New blocks.
    pub cut: Vec<(TenantId, BlockId)>,
    /// Blocks that are gone.
    pub removed: Vec<(TenantId, BlockId)>,
    /// What did not work.
    pub failed: Vec<(TenantId, EngineError)>,
    /// Why no snapshot could be taken, if one was due.
    pub snapshot_failed: Option<EngineError>,
}

impl Engine {
    /// Cuts what is due of all heads, removes blocks that are older than the retention and that `may_remove` can spare,
    /// which are those that were uploaded, takes a snapshot if the log has become long, and forgets what queries needed of blocks until
    /// the call before the last. Call it about once a minute.
    pub fn maintain(&self, may_remove: &dyn Fn(&TenantId, BlockId) -> bool) -> Maintained {
        let mut done = Maintained::default();
        self.readmit_all();
        let tenants = self.all_tenants();
        self.cut_some(&tenants, &mut done);
        for tenant in tenants {
            tenant.read_unread(&self.env);
            tenant.rest_blocks();
            if let Some(retention_ms) = self.options.retention_ms {
                let may_remove = |block| may_remove(&tenant.id, block);
                match tenant.remove_expired(retention_ms, &may_remove, &self.env) {
                    Ok(removed) => done.removed.extend(removed.into_iter().map(|block| (tenant.id.clone(), block))),
                    Err(error) => done.failed.push((tenant.id.clone(), error)),
                }
            }
        }
        self.cut_for_memory(&mut done);
        if let Some(room_bytes) = self.options.retention_bytes {
            self.remove_beyond_size(room_bytes, may_remove, &mut done);
        }
        if self.snapshot_due()
            && let Err(error) = self.snapshot()
        {
            tracing::error!(%error, "snapshot failed, will be tried again");
            done.snapshot_failed = Some(error);
        }
        done
    }

    /// Cuts the heads that have waited longest, so many in each pass that all of them have had their turn after some passes:
    /// tenants whose ranges end at one moment are not all cut then.
    fn cut_some(&self, tenants: &[Arc<Tenant>], done: &mut Maintained) {
        let due = |tenant: &Arc<Tenant>| Some((tenant.overdue_ms(&self.options, &self.env)?, Arc::clone(tenant)));
        let mut waiting: Vec<_> = tenants.iter().filter_map(due).collect();
        waiting.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
        let turn = waiting.into_iter().map(|(_, tenant)| tenant).take((tenants.len() / CUTTING_PASSES).max(LEAST_CUTS));
        // A head without samples in order may have late ones.
        let empty = tenants.iter().filter(|tenant| tenant.state.read().head.times_ms().is_none()).map(Arc::clone);
        for tenant in turn.chain(empty) {
            let mut blocks = Vec::new();
            let cut = tenant.cut_due(&self.options, &self.env, &mut blocks);
            done.note(&tenant, blocks, cut);
        }
    }

    /// Turns all that a tenant's head holds now into blocks. Samples as old as these are not taken afterwards.
    pub fn flush_tenant(&self, tenant: &TenantId) -> Result<Vec<BlockId>, EngineError> {
        let mut blocks = Vec::new();
        if let Some(tenant) = self.tenant(tenant) {
            tenant.flush(&self.options, &self.env, &mut blocks)?;
        }
        Ok(blocks)
    }

    /// As [`Engine::flush_tenant`], for all tenants.
    pub fn flush_all(&self) -> Maintained {
        let mut done = Maintained::default();
        for tenant in self.all_tenants() {
            let mut blocks = Vec::new();
            let flushed = tenant.flush(&self.options, &self.env, &mut blocks);
            done.note(&tenant, blocks, flushed);
        }
        done
    }
}

impl Maintained {
    pub(super) fn note(&mut self, tenant: &Tenant, blocks: Vec<BlockId>, result: Result<(), EngineError>) {
        self.cut.extend(blocks.into_iter().map(|block| (tenant.id.clone(), block)));
        if let Err(error) = result {
            tracing::error!(tenant = %tenant.id, %error, "maintenance failed, will be tried again");
            self.failed.push((tenant.id.clone(), error));
        }
    }
}
