//! One tenant: its log, its head and its blocks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use thanoxide_env::Env;
use thanoxide_model::{TenantId, WriteBatch};

use super::blocks::{BlockSet, open_blocks};
use super::{Appended, CommitTicket, EngineError, EngineOptions};
use crate::head::{AppendLimits, Head, Replay, Scratch};
use crate::wal::{Log, SegmentLog};

/// With more than this waiting for the disk, an append first waits itself.
const MAX_BACKLOG_BYTES: usize = 16 * 1024 * 1024;

/// What readers see: always both of one moment.
#[derive(Debug)]
pub(super) struct State {
    pub(super) head: Head,
    pub(super) blocks: Arc<BlockSet>,
    scratch: Scratch,
    /// Whether the tenant was removed: nothing is written to its directory any more.
    pub(super) removed: bool,
}

/// One tenant.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: TenantId,
    pub(super) dir: PathBuf,
    pub(super) log: Arc<dyn Log>,
    pub(super) state: RwLock<State>,
    /// Held while the set of blocks is being changed.
    pub(super) cutting: Mutex<()>,
    /// Whether there was a cut since the log was last shortened.
    pub(super) log_is_long: AtomicBool,
    /// Monotonic time of the last append.
    last_append_ms: AtomicU64,
}

impl Tenant {
    /// Opens or makes a tenant, and fills its head from its log.
    pub(super) fn open(id: &TenantId, dir: &Path, options: &EngineOptions, env: &Env) -> Result<Self, EngineError> {
        if !env.disk.exists(dir).map_err(|e| EngineError::io(dir, &e))? {
            make_dir(dir, env).map_err(|e| EngineError::io(dir, &e))?;
        }
        let blocks = open_blocks(dir, env)?;
        let log = SegmentLog::open(Arc::clone(&env.disk), dir.join("wal"), options.segment_bytes)?;
        env.disk.sync_dir(dir).map_err(|e| EngineError::io(dir, &e))?;
        let mut head = Head::new(options.block_duration_ms, blocks.end_ms(), env.random.next_u64());
        replay(id, &log, &mut head)?;
        Ok(Tenant {
            id: id.clone(),
            dir: dir.to_path_buf(),
            log: Arc::new(log),
            state: RwLock::new(State { head, blocks: Arc::new(blocks), scratch: Scratch::default(), removed: false }),
            cutting: Mutex::new(()),
            log_is_long: AtomicBool::new(false),
            last_append_ms: AtomicU64::new(env.clock.monotonic().as_millis() as u64),
        })
    }

    /// Takes a batch: into the head, and into the log's queue.
    pub(super) fn append(&self, batch: &WriteBatch, limits: AppendLimits, env: &Env) -> Result<Appended, EngineError> {
        // What an earlier failure left behind comes first; while that does not work nothing new is taken.
        self.log.recover()?;
        if self.log.backlog_bytes() > MAX_BACKLOG_BYTES {
            self.log.commit(self.log.position())?;
        }
        self.last_append_ms.store(env.clock.monotonic().as_millis() as u64, Ordering::Relaxed);
        let mut state = self.state.write();
        if state.removed {
            // Whoever got hold of the tenant before it went is told to come again.
            return Err(EngineError::Removed);
        }
        let State { head, scratch, .. } = &mut *state;
        head.append(batch, &limits, scratch);
        let records: Vec<&[u8]> = scratch.records().collect();
        // Under the head's lock, so that the log has the order of the head. Even where nothing is new the ticket waits for
        // what is there already: the first copy of a repeated sample may not be durable yet.
        let position = if records.is_empty() { self.log.position() } else { self.log.append(&records) };
        let (accepted, rejected) = (scratch.accepted, std::mem::take(&mut scratch.rejected));
        scratch.release_memory();
        drop(state);
        Ok(Appended {
            accepted,
            rejected,
            dropped_exemplars: batch.exemplars.len() as u64,
            ticket: CommitTicket::new(Arc::clone(&self.log), position),
        })
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

fn make_dir(dir: &Path, env: &Env) -> std::io::Result<()> {
    env.disk.create_dir_all(dir)?;
    env.disk.sync_dir(dir.parent().unwrap_or(Path::new(".")))
}

fn replay(id: &TenantId, log: &SegmentLog, head: &mut Head) -> Result<(), EngineError> {
    let mut replay = Replay::new(head, log.current_segment());
    let report = log.replay(&mut |record| replay.record(record))?;
    let counts = replay.finish();
    if report.records > 0 {
        tracing::info!(tenant = %id, ?report, ?counts, "log replayed");
    }
    if report.damaged + counts.undecodable + counts.unknown_series > 0 {
        tracing::error!(tenant = %id, ?report, ?counts, "parts of the log were lost");
    }
    Ok(())
}
