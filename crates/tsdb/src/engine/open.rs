//! Opening an engine's directory: tenants, snapshot, log.

mod reading;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::ScopedJoinHandle;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use thanoxide_env::Env;
use thanoxide_model::TenantId;
use thanoxide_model::tenant::HINTS_DIR;

use super::blocks::{BlockSet, open_blocks};
use super::tenant::Tenant;
use super::{EngineError, EngineOptions, fence, generation, handback, quarantine, takeover};

use crate::chunk_store::ChunkStore;
use crate::encoding::Put;
use crate::head::{Head, Restore, RestoreCounts};
use crate::log::segment::{SEGMENT_MAGIC, list_segments, numbered_path};
use crate::log::{Position, SharedLog};
use crate::snapshot::{list_snapshots, remove_leftovers};
use reading::{Found, Reading, WAITING};
use worker::Worker;

/// What an engine begins with.
pub(super) struct Opened {
    pub(super) tenants: HashMap<TenantId, Arc<Tenant>, RandomState>,
    pub(super) log: Arc<SharedLog>,
    pub(super) chunks: Arc<ChunkStore>,
    pub(super) next_snapshot: u64,
    pub(super) report: OpenReport,
    /// Tenants whose directories have something of a stock program.
    pub(super) stock: Vec<Arc<Tenant>>,
    /// Tenants that cannot be opened.
    pub(super) refused: Vec<(TenantId, EngineError)>,
}

/// What a restart found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// What became of series and samples.
    pub counts: RestoreCounts,
    /// Damaged stretches in snapshot and log; what they held is lost. The torn end of the log is not counted.
    pub damaged: u64,
    /// Bytes in these.
    pub damaged_bytes: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Frames of the log that are not there although later ones are. Those of a commit that a crash tore count, too.
    pub missing: u64,
}

/// A tenant that is being opened.
struct Opening {
    id: TenantId,
    dir: PathBuf,
    /// Of this directory; frames of another one are not applied.
    generation: Option<u64>,
    /// Whether a stock program left something.
    stock: bool,
    blocks: BlockSet,
    restore: Restore,
}

/// Where the log goes on.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    position: Position,
    first_segment: u64,
}

/// Opens all that is there.
pub(super) fn open(root: &Path, options: &EngineOptions, env: &Env) -> Result<Opened, EngineError> {
    let io = |e| EngineError::io(root, &e);
    remove_leftovers(&*env.disk, root).map_err(io)?;
    let chunks = Arc::new(ChunkStore::open(Arc::clone(&env.disk), root).map_err(io)?);
    let snapshot = list_snapshots(&*env.disk, root).map_err(io)?.last().copied();
    let ids = tenant_dirs(root, env)?;
    let restored = Source { root, options, env, chunks: &chunks, snapshot }.restore(&ids)?;
    let Restored { found, openings, orphans, refused } = restored;
    set_aside(root, &orphans, env)?;
    let refused_ids: Vec<&TenantId> = refused.iter().map(|(id, _)| id).collect();
    quarantine::set_aside(root, &refused_ids, found.end.first_segment, env).map_err(io)?;
    let segments = list_segments(&*env.disk, root).map_err(io)?;
    let number = segments.last().map_or(1, |n| n + 1).max(found.end.first_segment);
    let disk = Arc::clone(&env.disk);
    let log = SharedLog::new(disk, root, options.segment_bytes, options.sync_commits, number, found.end.position);
    let Found { damaged, damaged_bytes, segments, missing, .. } = found;
    let mut opened = Opened {
        tenants: HashMap::default(),
        log: Arc::new(log),
        chunks,
        next_snapshot: snapshot.map_or(1, |n| n + 1),
        report: OpenReport { damaged, damaged_bytes, segments, missing, ..OpenReport::default() },
        stock: Vec::new(),
        refused,
    };
    for opening in openings {
        opened.add(opening, env);
    }
    opened.tell();
    Ok(opened)
}

/// Opens one tenant beside those that are open. Says whether there is something of a stock program, too.
pub(super) fn open_one(
    id: &TenantId,
    root: &Path,
    options: &EngineOptions,
    log: &Arc<SharedLog>,
    chunks: &Arc<ChunkStore>,
    env: &Env,
) -> Result<(Arc<Tenant>, bool), EngineError> {
    let snapshot = list_snapshots(&*env.disk, root).map_err(|e| EngineError::io(root, &e))?.last().copied();
    let restored = Source { root, options, env, chunks, snapshot }.restore(std::slice::from_ref(id))?;
    if let Some((_, error)) = restored.refused.into_iter().next() {
        return Err(error);
    }
    let opening = restored.openings.into_iter().next().ok_or(EngineError::Removed)?;
    let stock = opening.stock;
    opening.finish(log, chunks, env).map(|(tenant, _)| (tenant, stock))
}

impl Opening {
    fn finish(
        self,
        log: &Arc<SharedLog>,
        chunks: &Arc<ChunkStore>,
        env: &Env,
    ) -> Result<(Arc<Tenant>, RestoreCounts), EngineError> {
        let Opening { id, dir, generation, stock, blocks, restore } = self;
        let (head, counts) = restore.finish();
        let fresh = generation.is_none();
        let generation = generation.unwrap_or_else(|| env.random.next_u64());
        if fresh && !stock {
            generation::write(&dir, generation, env).map_err(|e| EngineError::io(&dir, &e))?;
        }
        let (log, chunks) = (Arc::clone(log), Arc::clone(chunks));
        Ok((Arc::new(Tenant::new(id, dir, generation, head, blocks, log, chunks, env)), counts))
    }
}

impl Opened {
    fn add(&mut self, opening: Opening, env: &Env) {
        let (id, stock) = (opening.id.clone(), opening.stock);
        match opening.finish(&self.log, &self.chunks, env) {
            Err(error) => self.refused.push((id, error)),
            Ok((tenant, counts)) => {
                self.report.counts.add(&counts);
                match stock {
                    true => self.stock.push(tenant),
                    false => drop(self.tenants.insert(id, tenant)),
                }
            }
        }
    }

    fn tell(&self) {
        let report = &self.report;
        if report.counts != RestoreCounts::default() {
            tracing::info!(?report, "snapshot and log read");
        }
        if report.missing > 0 {
            tracing::warn!(frames = report.missing, "frames of the log are missing: lost, or torn by a crash");
        }
        if report.damaged + report.counts.orphans + report.counts.undecodable + report.counts.lost_chunks > 0 {
            tracing::error!(?report, "parts of snapshot or log were lost");
        }
    }
}

fn tenant_dirs(root: &Path, env: &Env) -> Result<Vec<TenantId>, EngineError> {
    let mut ids = Vec::new();
    for path in env.disk.list(root).map_err(|e| EngineError::io(root, &e))? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == "lost+found" || name == HINTS_DIR || !env.disk.is_dir(&path).unwrap_or(true) {
            continue;
        }
        match TenantId::new(name) {
            Ok(tenant) => ids.push(tenant),
            Err(error) => tracing::warn!(path = %path.display(), %error, "directory is no tenant's"),
        }
    }
    Ok(ids)
}

/// Opens the blocks of a tenant, and begins to fill its head.
fn begin(
    id: &TenantId,
    root: &Path,
    options: &EngineOptions,
    chunks: &Arc<ChunkStore>,
    threads: usize,
    env: &Env,
) -> Result<Opening, EngineError> {
    let dir = root.join(id.as_str());
    let io = |e| EngineError::io(&dir, &e);
    let (generation, stock, blocks) = if has_head_only(&dir, env).map_err(io)? {
        (generation::read(&dir, env).map_err(io)?, false, BlockSet::default())
    } else {
        handback::remove_unfinished(&dir, env).map_err(io)?;
        let ended = fence::reclaim(&dir, env).map_err(io)?;
        let generation = generation::read(&dir, env).map_err(io)?.filter(|_| !ended);
        (generation, takeover::is_stock(&dir, env).map_err(io)?, open_blocks(&dir, env)?)
    };
    let head = Head::new(options.block_duration_ms, blocks.end_ms(), env.random.next_u64(), Arc::clone(chunks))
        .with_late_chunks(options.out_of_order_chunk_samples)
        .with_exemplars(options.max_exemplars);
    Ok(Opening { id: id.clone(), dir, generation, stock, blocks, restore: Restore::new(head, threads) })
}

/// Whether all that is known of a tenant is in our log and snapshot, so that nothing else is to be looked for in its directory: tenants
/// may be thousands.
fn has_head_only(dir: &Path, env: &Env) -> std::io::Result<bool> {
    Ok(env.disk.list(dir)? == [dir.join(generation::GENERATION_FILE)])
}

/// Where tenants are restored from.
struct Source<'a> {
    root: &'a Path,
    options: &'a EngineOptions,
    env: &'a Env,
    chunks: &'a Arc<ChunkStore>,
    snapshot: Option<u64>,
}

/// What was restored.
struct Restored {
    found: Found,
    openings: Vec<Opening>,
    /// Frames with samples that no series takes.
    orphans: Vec<u8>,
    refused: Vec<(TenantId, EngineError)>,
}

impl Source<'_> {
    /// Restores some tenants: as many workers as there are cores fill their heads, while this thread reads.
    fn restore(&self, ids: &[TenantId]) -> Result<Restored, EngineError> {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let (mut workers, refused) = self.begin_each(ids, cores);
        let (senders, receivers): (Vec<_>, Vec<_>) = workers.iter().map(|_| sync_channel(WAITING)).unzip();
        let reading = Reading::new(&*self.env.disk, self.root, &workers, senders);
        let found = std::thread::scope(|scope| {
            let begun = workers.drain(..).zip(receivers);
            let threads: Vec<_> = begun.map(|(worker, passed)| scope.spawn(move || worker.run(&passed))).collect();
            let found = reading.read_all(self.snapshot);
            workers.extend(threads.into_iter().map(joined));
            found
        });
        let found = found.map_err(|e| EngineError::io(self.root, &e))?;
        let orphans = workers.iter().flat_map(|worker| worker.orphans.iter().copied()).collect();
        let openings = workers.into_iter().flat_map(|worker| worker.openings).collect();
        Ok(Restored { found, openings, orphans, refused })
    }

    /// Begins with tenants, in so many threads: they may be thousands. Gives those that cannot be opened, too.
    fn begin_each(&self, ids: &[TenantId], threads: usize) -> (Vec<Worker>, Vec<(TenantId, EngineError)>) {
        let begin = |id: &TenantId| {
            let begun = begin(id, self.root, self.options, self.chunks, threads, self.env);
            begun.map_err(|error| (id.clone(), error))
        };
        // Neighbours often stand together in the log, too: each goes to another worker.
        let part = |from| ids.iter().skip(from).step_by(threads).map(begin).collect();
        let begun: Vec<Vec<_>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.min(ids.len())).map(|from| scope.spawn(move || part(from))).collect();
            threads.into_iter().map(joined).collect()
        });
        let (mut workers, mut refused) = (Vec::new(), Vec::new());
        for begun in begun {
            let mut worker = Worker::default();
            for opening in begun {
                match opening {
                    Ok(opening) => worker.openings.push(opening),
                    Err(failed) => refused.push(failed),
                }
            }
            workers.push(worker);
        }
        (workers, refused)
    }
}

/// What a thread gives, or its panic.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Writes frames whose samples nobody takes to a file of their own.
fn set_aside(root: &Path, frames: &[u8], env: &Env) -> Result<(), EngineError> {
    if frames.is_empty() {
        return Ok(());
    }
    let mut number = env.clock.now_ms().max(0) as u64;
    let mut path = numbered_path(root, "orphans", number, "tlog");
    while env.disk.exists(&path).map_err(|e| EngineError::io(&path, &e))? {
        number += 1;
        path = numbered_path(root, "orphans", number, "tlog");
    }
    tracing::error!(path = %path.display(), bytes = frames.len(), "samples without a series are set aside");
    let mut bytes = SEGMENT_MAGIC.to_vec();
    bytes.put_u64(number);
    bytes.extend_from_slice(frames);
    env.disk.write_atomically(&path, &bytes).map_err(|e| EngineError::io(&path, &e))
}
