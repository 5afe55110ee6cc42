//! Snapshot passes: they keep the log's tail, and with it a restart, short.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Engine, EngineError, fence, generation, takeover};
use crate::engine::tenant::Tenant;
use crate::snapshot::SnapshotWriter;

/// A pass begins when the log has more samples for each series than this.
const TAIL_SAMPLES: u64 = 60;
/// A tail of fewer samples is not worth a pass.
const LEAST_TAIL_SAMPLES: u64 = 10_000;

impl Engine {
    /// Whether the log has grown so long that a snapshot is due.
    pub fn snapshot_due(&self) -> bool {
        let samples = self.tail_samples.load(Ordering::Relaxed);
        let bytes = self.log.written_bytes().saturating_sub(self.tail_begin_bytes.load(Ordering::Relaxed));
        // Looking at every tenant is left for when it may matter.
        if bytes > self.options.segment_bytes.saturating_mul(4) {
            return true;
        }
        samples > LEAST_TAIL_SAMPLES && samples / TAIL_SAMPLES > self.series()
    }

    /// Series in all heads.
    fn series(&self) -> u64 {
        self.all_tenants().iter().map(|tenant| tenant.state.read().head.stats().series as u64).sum()
    }

    /// Writes a snapshot of all heads and gives up the log before it. Appends and reads go on.
    pub fn snapshot(&self) -> Result<(), EngineError> {
        self.snapshot_with(&[])
    }

    /// As [`Engine::snapshot`], with tenants that the engine does not list yet.
    fn snapshot_with(&self, more: &[Arc<Tenant>]) -> Result<(), EngineError> {
        let mut number = self.next_snapshot.lock();
        let io = |e| EngineError::io(&self.root, &e);
        self.log.recover()?;
        // What nobody refers to now, no slice of this pass refers to either.
        let unused = self.chunks.unused();
        let (samples, bytes) = (self.tail_samples.load(Ordering::Relaxed), self.log.written_bytes());
        let first_segment = self.log.rotate()?;
        let mut writer = SnapshotWriter::create(&*self.env.disk, &self.root, *number).map_err(io)?;
        for tenant in self.all_tenants().iter().chain(more) {
            tenant.save(&mut writer).map_err(io)?;
        }
        self.chunks.sync().map_err(io)?;
        writer.finish(self.log.position(), first_segment).map_err(io)?;
        *number += 1;
        self.tail_samples.fetch_sub(samples, Ordering::Relaxed);
        self.tail_begin_bytes.store(bytes, Ordering::Relaxed);
        // From here on only room is given back; the next pass tries again.
        self.log.remove_before(first_segment).map_err(io)?;
        self.chunks.remove(&unused).map_err(io)
    }

    /// Takes over what stock programs left in tenants' directories. Until that is durable the engine does not list the
    /// tenants, so that they take nothing.
    pub(super) fn take_over(&self, tenants: Vec<Arc<Tenant>>) -> Result<(), EngineError> {
        if tenants.is_empty() {
            return Ok(());
        }
        tenants.iter().try_for_each(|tenant| takeover::take_over(tenant, &self.options, &self.env))?;
        self.snapshot_with(&tenants)?;
        for tenant in tenants {
            let io = |e| EngineError::io(&tenant.dir, &e);
            generation::write(&tenant.dir, tenant.generation, &self.env).map_err(io)?;
            fence::lift(&tenant.dir, &self.env).map_err(io)?;
            takeover::put_aside(&tenant.dir, &self.env).map_err(io)?;
            self.tenants.write().insert(tenant.id.clone(), tenant);
        }
        Ok(())
    }
}
