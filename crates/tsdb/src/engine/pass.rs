//! Snapshot passes: they keep the log's tail, and with it a restart, short.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Engine, EngineError, fence, generation, takeover};
use crate::engine::tenant::Tenant;
use crate::log::SharedLog;
use crate::snapshot::SnapshotWriter;

/// A pass begins when the log has more samples for each series than this.
const TAIL_SAMPLES: u64 = 50;
/// Of a tail so many times as long nothing more is to come in before a pass has ended.
const FULL_TAILS: u64 = 4;
/// A tail of fewer samples is not worth a pass.
pub(super) const LEAST_TAIL_SAMPLES: u64 = 10_000;

impl Engine {
    /// The log, to follow it by position: [`SharedLog::reader`], [`SharedLog::read`], [`SharedLog::watermark`].
    pub fn log(&self) -> &SharedLog {
        &self.log
    }

    /// Whether the log may have grown so long that a snapshot is due; [`Engine::snapshot_due`] knows. Cheap: ask it after each
    /// append, for the tail is bounded in samples for each series, not in time.
    pub fn tail_is_long(&self) -> bool {
        self.tail_samples.load(Ordering::Relaxed) > self.long_tail_samples.load(Ordering::Relaxed)
    }

    /// Whether the log is so much longer still that appends are to wait until a pass has ended: a restart must not take longer
    /// because passes do not keep up. Cheap: ask it before each append.
    pub fn tail_is_full(&self) -> bool {
        let is_full = |long: u64| self.tail_samples.load(Ordering::Relaxed) > long.saturating_mul(FULL_TAILS);
        is_full(self.long_tail_samples.load(Ordering::Relaxed)) && is_full(self.count_long_tail())
    }

    /// With more samples than this a tail is long.
    fn count_long_tail(&self) -> u64 {
        let long = self.series().saturating_mul(TAIL_SAMPLES).max(LEAST_TAIL_SAMPLES);
        self.long_tail_samples.store(long, Ordering::Relaxed);
        long
    }

    /// Whether the log has grown so long that a snapshot is due.
    pub fn snapshot_due(&self) -> bool {
        let bytes = self.log.written_bytes().saturating_sub(self.tail_begin_bytes.load(Ordering::Relaxed));
        if bytes > self.options.segment_bytes.saturating_mul(4) {
            return true;
        }
        let samples = self.tail_samples.load(Ordering::Relaxed);
        samples > LEAST_TAIL_SAMPLES && samples > self.count_long_tail()
    }

    /// Whether memory is so short that [`Engine::maintain`] is to cut heads now. Cheap enough to be asked after each append.
    pub fn is_pressed(&self) -> bool {
        self.memory.wants_cut(&self.env)
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
        let mut unused = self.chunks.unused();
        self.quarantine.spare(&mut unused);
        let (samples, bytes) = (self.tail_samples.load(Ordering::Relaxed), self.log.written_bytes());
        let first_segment = self.log.rotate()?;
        let mut writer = SnapshotWriter::create(&*self.env.disk, &self.root, *number).map_err(io)?;
        let mut tenants = self.all_tenants();
        for tenant in self.quarantine.tenants().iter().chain(more) {
            if !tenants.iter().any(|other| Arc::ptr_eq(other, tenant)) {
                tenants.push(Arc::clone(tenant));
            }
        }
        let sparse = self.chunks.sparse();
        if !sparse.is_empty() {
            tenants.iter().try_for_each(|tenant| tenant.relocate_chunks(&sparse)).map_err(io)?;
        }
        tenants.iter().try_for_each(|tenant| tenant.save(&mut writer)).map_err(io)?;
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
    /// tenants, so that they take nothing. Gives those with which it did not work; it may be tried again.
    pub(super) fn take_over_each(
        &self,
        tenants: Vec<Arc<Tenant>>,
    ) -> Result<Vec<(Arc<Tenant>, EngineError)>, EngineError> {
        let (mut taken, mut failed) = (Vec::new(), Vec::new());
        for tenant in tenants {
            match takeover::take_over(&tenant, &self.options, &self.env) {
                Ok(()) => taken.push(tenant),
                Err(error) => failed.push((tenant, error)),
            }
        }
        if !taken.is_empty() {
            self.snapshot_with(&taken)?;
        }
        for tenant in taken {
            match self.end_take_over(&tenant) {
                Ok(()) => drop(self.tenants.write().insert(tenant.id.clone(), tenant)),
                Err(error) => failed.push((tenant, error)),
            }
        }
        Ok(failed)
    }

    /// What was taken over is durable: from here on it is ours.
    fn end_take_over(&self, tenant: &Tenant) -> Result<(), EngineError> {
        let io = |e| EngineError::io(&tenant.dir, &e);
        generation::write(&tenant.dir, tenant.generation, &self.env).map_err(io)?;
        fence::lift(&tenant.dir, &self.env).map_err(io)?;
        takeover::put_aside(&tenant.dir, &self.env).map_err(io)
    }
}
