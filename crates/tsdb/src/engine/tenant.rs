//! One tenant: its head and its blocks. Its log is everyone's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use thanoxide_env::Env;
use thanoxide_model::{TenantId, WriteBatch};

use super::blocks::{BlockSet, open_blocks};
use super::{Appended, CommitTicket, EngineError, EngineOptions, generation, takeover};
use crate::chunk_store::ChunkStore;
use crate::encoding::Put;
use crate::head::late::LateRecords;
use crate::head::{AppendLimits, Head, Scratch, Slot};
use crate::log::{Frame, FrameKind, Position, SharedLog};
use crate::meta::BlockId;
use crate::snapshot::SnapshotWriter;

/// With more than this waiting for the disk, an append first waits itself.
const MAX_BACKLOG_BYTES: usize = 16 * 1024 * 1024;
/// So much of a head is written to a snapshot at a time; appends go on between.
const SLICE_BYTES: usize = 256 * 1024;
/// Series of a snapshot come in frames of about this size: damage costs the series of one.
const FRAME_BYTES: usize = 2 * 1024;

/// What readers see: always both of one moment.
#[derive(Debug)]
pub(super) struct State {
    pub(super) head: Head,
    pub(super) blocks: Arc<BlockSet>,
    /// Whether the tenant was removed: nothing is written to its directory any more.
    pub(super) removed: bool,
}

/// One tenant.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: TenantId,
    pub(super) dir: PathBuf,
    /// Which life of the tenant this is.
    pub(super) generation: u64,
    pub(super) log: Arc<SharedLog>,
    pub(super) chunks: Arc<ChunkStore>,
    pub(super) state: RwLock<State>,
    /// Held while the set of blocks is being changed.
    pub(super) cutting: Mutex<()>,
    /// Blocks on the disk that nobody shows.
    pub(super) leftovers: Mutex<Vec<BlockId>>,
    /// Monotonic time of the last append.
    last_append_ms: AtomicU64,
}

impl Tenant {
    #[allow(clippy::too_many_arguments, reason = "its parts")]
    pub(super) fn new(
        id: TenantId,
        dir: PathBuf,
        generation: u64,
        head: Head,
        blocks: BlockSet,
        log: Arc<SharedLog>,
        chunks: Arc<ChunkStore>,
        env: &Env,
    ) -> Self {
        let leftovers = Mutex::new(blocks.unremoved().to_vec());
        let state = State { head, blocks: Arc::new(blocks), removed: false };
        Tenant {
            id,
            dir,
            generation,
            log,
            chunks,
            state: RwLock::new(state),
            cutting: Mutex::new(()),
            leftovers,
            last_append_ms: AtomicU64::new(env.clock.monotonic().as_millis() as u64),
        }
    }

    /// Makes a tenant that the engine does not have: a new life, with the blocks that are there, if any. Says whether
    /// there is something of a stock program, which is to be taken over first.
    pub(super) fn create(
        id: &TenantId,
        dir: &Path,
        options: &EngineOptions,
        log: &Arc<SharedLog>,
        chunks: &Arc<ChunkStore>,
        env: &Env,
    ) -> Result<(Self, bool), EngineError> {
        let io = |e| EngineError::io(dir, &e);
        if !env.disk.exists(dir).map_err(io)? {
            env.disk.create_dir_all(dir).map_err(io)?;
            log.note_new_name();
        }
        let blocks = open_blocks(dir, env)?;
        let head = Head::new(options.block_duration_ms, blocks.end_ms(), env.random.next_u64(), Arc::clone(chunks))
            .with_late_chunks(options.out_of_order_chunk_samples)
            .with_exemplars(options.max_exemplars);
        let generation = env.random.next_u64();
        let stock = takeover::is_stock(dir, env).map_err(io)?;
        if !stock {
            generation::write(dir, generation, env).map_err(io)?;
        }
        let (log, chunks) = (Arc::clone(log), Arc::clone(chunks));
        Ok((Tenant::new(id.clone(), dir.to_path_buf(), generation, head, blocks, log, chunks, env), stock))
    }

    /// Takes a batch: into the head, and into the log's queue.
    pub(super) fn append(
        &self,
        batch: &WriteBatch,
        limits: AppendLimits,
        scratch: &mut Scratch,
        env: &Env,
    ) -> Result<Appended, EngineError> {
        // What an earlier failure left behind comes first; while that does not work nothing new is taken.
        self.log.recover()?;
        if self.log.backlog_bytes() > MAX_BACKLOG_BYTES {
            self.log.commit(self.log.position())?;
        }
        self.chunks.check_backlog().map_err(|e| EngineError::io(&self.dir, &e))?;
        self.last_append_ms.store(env.clock.monotonic().as_millis() as u64, Ordering::Relaxed);
        let mut state = self.state.write();
        if state.removed {
            // Whoever got hold of the tenant before it went is told to come again.
            return Err(EngineError::Removed);
        }
        state.head.append(batch, &limits, scratch);
        // Under the head's lock, so that the log has the order of the head. Even where nothing is new the ticket waits for
        // what is there already: the first copy of a repeated sample may not be durable yet.
        let position = self.log.append(self.id.as_str(), self.generation, scratch.payloads());
        let (accepted, rejected) = (scratch.accepted, std::mem::take(&mut scratch.rejected));
        let dropped_exemplars = scratch.dropped_exemplars;
        drop(state);
        if let Err(error) = self.chunks.flush() {
            // The log has it all: what waits is tried again, and too much of it stops appends.
            tracing::warn!(%error, "cannot write closed chunks");
        }
        Ok(Appended {
            accepted,
            rejected,
            dropped_exemplars,
            ticket: CommitTicket::new(Arc::clone(&self.log), position),
        })
    }

    /// Says in the log that the head holds nothing older than this any more. Under the state's lock.
    pub(super) fn log_truncation(&self, time_ms: i64) {
        let mut payload = Vec::new();
        payload.put_varint(time_ms);
        self.log.append(self.id.as_str(), self.generation, [(FrameKind::Truncation, payload.as_slice())].into_iter());
    }

    /// Writes the head to a snapshot, slice by slice.
    pub(super) fn save(&self, writer: &mut SnapshotWriter<'_>) -> std::io::Result<()> {
        let frame = |kind, position: Position, payload: &[u8], writer: &mut SnapshotWriter<'_>| {
            let (tenant, generation) = (self.id.as_str().as_bytes(), self.generation);
            writer.push(&Frame { position, tenant, generation, kind: Some(kind), payload })
        };
        let mut payload = Vec::new();
        let position = {
            let state = self.state.read();
            if state.removed {
                return Ok(());
            }
            state.head.save_tenant(&mut payload);
            self.log.position()
        };
        frame(FrameKind::Tenant, position, &payload, writer)?;
        let mut next = Some(0);
        let mut ends = Vec::new();
        while let Some(from) = next {
            payload.clear();
            ends.clear();
            let position = {
                let state = self.state.read();
                next = save_slice(&state.head, from, &mut payload, &mut ends);
                self.log.position()
            };
            let mut start = 0;
            for end in &ends {
                frame(FrameKind::PiecedSeries, position, &payload[start..*end], writer)?;
                start = *end;
            }
        }
        let (position, payload) = {
            let state = self.state.read();
            (self.log.position(), state.head.save_deletions())
        };
        if !payload.is_empty() {
            frame(FrameKind::Tombstones, position, &payload, writer)?;
        }
        // What is frozen in between is then met a second time, and not left out.
        for frozen in [false, true] {
            self.save_late(frozen, writer)?;
        }
        // Last, so that a later exemplar of the log is of a series that the snapshot has, or the log behind it defines.
        let (position, payloads, metadata) = {
            let state = self.state.read();
            (self.log.position(), state.head.save_exemplars(FRAME_BYTES), state.head.save_metadata(FRAME_BYTES))
        };
        metadata.iter().try_for_each(|payload| frame(FrameKind::Metadata, position, payload, writer))?;
        payloads.iter().try_for_each(|payload| frame(FrameKind::SavedExemplars, position, payload, writer))
    }

    /// Writes late samples to a snapshot, behind their series.
    fn save_late(&self, frozen: bool, writer: &mut SnapshotWriter<'_>) -> std::io::Result<()> {
        let mut records = LateRecords::default();
        let mut next = Some(0);
        while let Some(from) = next {
            records.clear();
            let position = {
                let state = self.state.read();
                let saved = state.head.save_late(frozen, from, SLICE_BYTES, &mut records);
                next = saved.map_err(std::io::Error::other)?;
                // Frozen ones are known to be in blocks by the position that they were frozen at.
                if frozen { state.head.frozen_late_position().unwrap_or_default() } else { self.log.position() }
            };
            for (kind, payload) in records.iter() {
                let (tenant, generation) = (self.id.as_str().as_bytes(), self.generation);
                writer.push(&Frame { position, tenant, generation, kind: Some(kind), payload })?;
            }
        }
        Ok(())
    }

    /// Takes nothing more, if there is nothing that only the head has. Says whether.
    pub(super) fn retire(&self) -> bool {
        let _cutting = self.cutting.lock();
        let mut state = self.state.write();
        state.removed |= state.head.stats().series == 0;
        state.removed
    }

    /// Removes all that is on disk of a retired tenant.
    pub(super) fn remove(&self, root: &Path, env: &Env) -> Result<(), EngineError> {
        let _cutting = self.cutting.lock();
        let io = |e| EngineError::io(&self.dir, &e);
        env.disk.remove_dir_all(&self.dir).map_err(io)?;
        env.disk.sync_dir(root).map_err(io)
    }

    /// Makes all that was appended durable.
    pub(super) fn sync(&self) -> Result<(), EngineError> {
        Ok(self.log.commit(self.log.position())?)
    }

    /// How long ago the last append was.
    pub(super) fn idle_ms(&self, env: &Env) -> i64 {
        let now_ms = env.clock.monotonic().as_millis() as u64;
        now_ms.saturating_sub(self.last_append_ms.load(Ordering::Relaxed)) as i64
    }
}

/// Appends the payloads of some frames from a slot on, and where each ends. Gives the slot to go on with.
fn save_slice(head: &Head, from: Slot, payloads: &mut Vec<u8>, ends: &mut Vec<usize>) -> Option<Slot> {
    let mut next = Some(from);
    while let Some(from) = next.filter(|_| payloads.len() < SLICE_BYTES) {
        let start = payloads.len();
        next = head.save_series(from, start + FRAME_BYTES, payloads);
        if payloads.len() > start {
            ends.push(payloads.len());
        }
    }
    next
}
