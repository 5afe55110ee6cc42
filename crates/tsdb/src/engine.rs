//! The storage engine: many tenants, each a head and blocks, and one log, in one directory.
//!
//! [`Engine::append`] takes a batch and gives a ticket to wait on; [`Engine::reader`] reads a tenant;
//! [`Engine::maintain`] turns old heads into blocks and keeps the log short; it is called from outside, now and then. All
//! calls may be made from any thread at once. The design is told in `docs/decisions/0001-storage-engine.md` and
//! `0002-shared-log-and-snapshot.md`.

mod backup;
mod blocks;
mod compaction;
mod cut;
mod delete;
mod error;
mod fence;
mod generation;
mod handback;
mod late_cut;
mod leftovers;
mod maintain;
mod memory;
mod merge;
mod open;
mod options;
mod pass;
mod quarantine;
mod reader;
mod recode;
mod relocate;
mod resting;
mod retention;
mod scrub;
mod selection;
mod takeover;
mod tenant;
mod ticket;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use thanoxide_env::{Env, Memory, ResidentMemory};
use thanoxide_model::{TenantId, WriteBatch};

pub use crate::exemplars::ExemplarStats;
pub use crate::head::{HeadMemory, Rejected, SelectedSeries};
pub use backup::BackedUp;
pub use compaction::Compacted;
pub use error::EngineError;
pub use generation::GENERATION_FILE;
pub use handback::HandedBack;
pub use maintain::Maintained;
pub use open::OpenReport;
pub use options::{AppendOptions, EngineOptions, OutOfOrder};
pub use reader::{TenantReader, TenantStats};
pub use retention::Retention;
pub use scrub::{Broken, Scrubbed};
pub use selection::{Selection, Shown};
pub use ticket::CommitTicket;

use crate::chunk_store::ChunkStore;
use crate::head::Scratch;
use crate::log::SharedLog;
use memory::MemoryLimit;
use quarantine::Quarantine;
use tenant::Tenant;

/// The file whose lock says that an engine is at work in a directory.
pub const LOCK_FILE: &str = ".thanoxide.lock";

/// What became of a batch. What is not rejected is durable once the ticket says so.
#[derive(Debug)]
pub struct Appended {
    /// Samples and histograms taken; those known already count.
    pub accepted: u64,
    /// What was not taken, in the order of the batch.
    pub rejected: Vec<Rejected>,
    /// Exemplars that were not looked at: none are to be stored, or their series is not there.
    pub dropped_exemplars: u64,
    /// Waits for the disk.
    pub ticket: CommitTicket,
}

/// A directory of tenants.
#[derive(Debug)]
pub struct Engine {
    root: PathBuf,
    env: Env,
    options: EngineOptions,
    log: Arc<SharedLog>,
    chunks: Arc<ChunkStore>,
    /// Samples in the log since the last snapshot, and the log's bytes at that moment.
    tail_samples: AtomicU64,
    tail_begin_bytes: AtomicU64,
    /// With more samples in the log than this a snapshot was due when somebody last looked.
    long_tail_samples: AtomicU64,
    memory: MemoryLimit,
    /// Held during a snapshot pass.
    next_snapshot: Mutex<u64>,
    opened: OpenReport,
    tenants: RwLock<HashMap<TenantId, Arc<Tenant>, RandomState>>,
    quarantine: Quarantine,
    /// Buffers of appends; there are as many as there were appends at once.
    scratches: Mutex<Vec<Scratch>>,
    /// Held while a tenant is opened, so that it is opened once.
    opening: Mutex<()>,
    closed: AtomicBool,
    _lock: Box<dyn Debug + Send + Sync>,
}

impl Engine {
    /// Opens a directory, which is made where it is missing, and all tenants in it, with what stock programs left there. A
    /// tenant that cannot be read is left out for now, see [`Engine::quarantined`].
    pub fn open(root: &Path, options: EngineOptions, env: Env) -> Result<Self, EngineError> {
        Engine::open_within(root, options, env, Arc::new(ResidentMemory))
    }

    /// As [`Engine::open`], where the limit of memory is put to something else than this process.
    pub fn open_within(
        root: &Path,
        options: EngineOptions,
        env: Env,
        memory: Arc<dyn Memory>,
    ) -> Result<Self, EngineError> {
        options.check()?;
        let memory = MemoryLimit::new(options.memory_limit_bytes, memory);
        create_durably(root, &env).map_err(|e| EngineError::io(root, &e))?;
        let lock = env.disk.lock(&root.join(LOCK_FILE)).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => EngineError::AlreadyLocked { dir: root.to_path_buf() },
            _ => EngineError::io(root, &e),
        })?;
        let opened = open::open(root, &options, &env)?;
        let engine = Engine {
            root: root.to_path_buf(),
            env,
            options,
            log: opened.log,
            quarantine: Quarantine::new(opened.refused, opened.chunks.next_number()),
            chunks: opened.chunks,
            tail_samples: AtomicU64::new(opened.report.counts.samples),
            tail_begin_bytes: AtomicU64::new(0),
            long_tail_samples: AtomicU64::new(pass::LEAST_TAIL_SAMPLES),
            memory,
            next_snapshot: Mutex::new(opened.next_snapshot),
            opened: opened.report,
            tenants: RwLock::new(opened.tenants),
            scratches: Mutex::default(),
            opening: Mutex::new(()),
            closed: AtomicBool::new(false),
            _lock: lock,
        };
        for (tenant, error) in engine.take_over_each(opened.stock)? {
            engine.quarantine.put(tenant.id.clone(), error, Some(tenant));
        }
        engine.forget_quarantine();
        Ok(engine)
    }

    /// What opening found.
    pub fn open_report(&self) -> OpenReport {
        self.opened
    }

    /// Takes a batch for a tenant, which is made where it is missing. An error takes nothing and may be tried again. Start
    /// times are dropped unless the engine is to store them, and so are those of late samples.
    pub fn append(
        &self,
        tenant: &TenantId,
        batch: &WriteBatch,
        options: AppendOptions,
    ) -> Result<Appended, EngineError> {
        self.check_open()?;
        self.check_room()?;
        let mut limits = self.options.limits(&options, &self.env);
        if self.memory.is_full(&self.env) {
            limits.max_series = 0;
        }
        let mut scratch = self.scratches.lock().pop().unwrap_or_default();
        let appended = self.tenant_or_open(tenant)?.append(batch, limits, &mut scratch, &self.env)?;
        scratch.release_memory();
        self.scratches.lock().push(scratch);
        self.tail_samples.fetch_add(appended.accepted, Ordering::Relaxed);
        Ok(appended)
    }

    /// Reads a tenant; `None` where there is no such tenant.
    pub fn reader(&self, tenant: &TenantId) -> Option<TenantReader> {
        self.tenant(tenant).map(TenantReader::new)
    }

    /// How many tenants there are.
    pub fn tenant_count(&self) -> usize {
        self.tenants.read().len()
    }

    /// All tenants, sorted.
    pub fn tenants(&self) -> Vec<TenantId> {
        let mut tenants: Vec<_> = self.tenants.read().keys().cloned().collect();
        tenants.sort_unstable();
        tenants
    }

    /// The directory of a tenant, where its blocks lie.
    pub fn tenant_dir(&self, tenant: &TenantId) -> PathBuf {
        self.root.join(tenant.as_str())
    }

    /// Makes sure that a tenant is open, and makes it where it is missing.
    pub fn open_tenant(&self, tenant: &TenantId) -> Result<(), EngineError> {
        self.check_open()?;
        self.tenant_or_open(tenant).map(|_| ())
    }

    /// Removes a tenant and its directory, if its head is empty: for tenants that were idle for long, are flushed, and
    /// whose blocks were uploaded. A later write makes it anew. Readers from before go on with what they hold. False where
    /// there is something in the head, or no such tenant.
    pub fn remove_tenant(&self, id: &TenantId) -> Result<bool, EngineError> {
        let _opening = self.opening.lock();
        let Some(tenant) = self.tenant(id).filter(|tenant| tenant.retire()) else { return Ok(false) };
        // Even half removed it is of no use any more; the next start or write opens what is left.
        self.tenants.write().remove(id);
        tenant.remove(&self.root, &self.env).map(|()| true)
    }

    /// Makes all that was appended durable and takes nothing more.
    pub fn close(&self) -> Result<(), EngineError> {
        self.closed.store(true, Ordering::SeqCst);
        Ok(self.log.commit(self.log.position())?)
    }

    /// Takes nothing more and turns all that heads hold into blocks. Reads go on; what did not work is still in the log.
    pub fn drain(&self) -> Result<Maintained, EngineError> {
        self.close()?;
        Ok(self.flush_all())
    }

    fn tenant(&self, tenant: &TenantId) -> Option<Arc<Tenant>> {
        self.tenants.read().get(tenant).map(Arc::clone)
    }

    fn all_tenants(&self) -> Vec<Arc<Tenant>> {
        self.tenants.read().values().map(Arc::clone).collect()
    }

    fn tenant_or_open(&self, id: &TenantId) -> Result<Arc<Tenant>, EngineError> {
        if let Some(tenant) = self.tenant(id) {
            return Ok(tenant);
        }
        let _opening = self.opening.lock();
        if let Some(tenant) = self.tenant(id) {
            return Ok(tenant);
        }
        if let Some(tenant) = self.readmit(id)? {
            return Ok(tenant);
        }
        let dir = self.tenant_dir(id);
        let (tenant, stock) = Tenant::create(id, &dir, &self.options, &self.log, &self.chunks, &self.env)?;
        let tenant = Arc::new(tenant);
        if !stock {
            self.tenants.write().insert(id.clone(), Arc::clone(&tenant));
        } else if let Some((_, error)) = self.take_over_each(vec![Arc::clone(&tenant)])?.pop() {
            return Err(error);
        }
        Ok(tenant)
    }

    fn check_open(&self) -> Result<(), EngineError> {
        if self.closed.load(Ordering::SeqCst) { Err(EngineError::Closed) } else { Ok(()) }
    }

    /// A cut needs room too: writing stops before the last byte is used.
    fn check_room(&self) -> Result<(), EngineError> {
        if self.options.min_free_bytes == 0 {
            return Ok(());
        }
        let free = self.env.disk.free_bytes(&self.root).map_err(|e| EngineError::io(&self.root, &e))?;
        if free < self.options.min_free_bytes {
            return Err(EngineError::DiskFull { path: self.root.clone() });
        }
        Ok(())
    }
}

/// Makes a directory and its parents, so that they are there after a crash.
fn create_durably(dir: &Path, env: &Env) -> std::io::Result<()> {
    if env.disk.is_dir(dir)? {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_durably(parent, env)?;
    }
    env.disk.create_dir_all(dir)?;
    env.disk.sync_dir(parent.unwrap_or(Path::new(".")))
}
