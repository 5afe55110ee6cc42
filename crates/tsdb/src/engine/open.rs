//! Opening an engine's directory: tenants, snapshot, log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

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
use crate::log::segment::{SEGMENT_MAGIC, SegmentReader, list_segments, numbered_path, segment_path};
use crate::log::{Frame, FrameKind, Position, SharedLog};
use crate::snapshot::{first_segment, list_snapshots, open_snapshot, remove_leftovers};

/// Frames with orphans are set aside up to so many bytes.
const MOST_ORPHAN_BYTES: usize = 64 << 20;

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
#[derive(Clone, Copy, Default)]
struct End {
    position: Position,
    first_segment: u64,
}

type Openings = HashMap<Vec<u8>, Opening, RandomState>;

/// Opens all that is there.
pub(super) fn open(root: &Path, options: &EngineOptions, env: &Env) -> Result<Opened, EngineError> {
    let io = |e| EngineError::io(root, &e);
    remove_leftovers(&*env.disk, root).map_err(io)?;
    let chunks = Arc::new(ChunkStore::open(Arc::clone(&env.disk), root).map_err(io)?);
    let snapshot = list_snapshots(&*env.disk, root).map_err(io)?.last().copied();
    let ids = tenant_dirs(root, env)?;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let workers = cores.min(ids.len()).max(1);
    let parts: Vec<&[TenantId]> = ids.chunks(ids.len().div_ceil(workers).max(1)).collect();
    let parts = if parts.is_empty() { vec![&[] as &[TenantId]] } else { parts };
    let source = Source { root, options, env, chunks: &chunks, snapshot, threads: cores / workers };
    let restored: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = parts.iter().map(|ids| scope.spawn(|| source.restore(ids))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let (mut end, mut report, mut openings) = (End::default(), OpenReport::default(), Vec::new());
    let (mut orphans, mut refused) = (Vec::new(), Vec::new());
    for part in restored {
        let part = part?;
        end.position = end.position.max(part.end.position);
        end.first_segment = end.first_segment.max(part.end.first_segment);
        // Every worker reads all files and meets the same damage.
        (report.damaged, report.damaged_bytes, report.segments) = (part.damaged, part.damaged_bytes, part.segments);
        report.missing = part.missing;
        refused.extend(part.refused);
        orphans.extend_from_slice(&part.orphans);
        openings.extend(part.openings.into_values());
    }
    set_aside(root, &orphans, env)?;
    let refused_ids: Vec<&TenantId> = refused.iter().map(|(id, _)| id).collect();
    quarantine::set_aside(root, &refused_ids, end.first_segment, env).map_err(io)?;
    let segments = list_segments(&*env.disk, root).map_err(io)?;
    let number = segments.last().map_or(1, |n| n + 1).max(end.first_segment);
    let disk = Arc::clone(&env.disk);
    let log = SharedLog::new(disk, root, options.segment_bytes, options.sync_commits, number, end.position);
    let log = Arc::new(log);
    let mut opened = Opened {
        tenants: HashMap::default(),
        log,
        chunks,
        next_snapshot: snapshot.map_or(1, |n| n + 1),
        report,
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
    let restored = Source { root, options, env, chunks, snapshot, threads: 1 }.restore(std::slice::from_ref(id))?;
    if let Some((_, error)) = restored.refused.into_iter().next() {
        return Err(error);
    }
    let opening = restored.openings.into_values().next().ok_or(EngineError::Removed)?;
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

/// Where workers read from.
struct Source<'a> {
    root: &'a Path,
    options: &'a EngineOptions,
    env: &'a Env,
    chunks: &'a Arc<ChunkStore>,
    snapshot: Option<u64>,
    /// As many as each worker may use.
    threads: usize,
}

/// What one worker restored.
#[derive(Default)]
struct Restored {
    openings: Openings,
    end: End,
    damaged: u64,
    damaged_bytes: u64,
    segments: u64,
    missing: u64,
    /// The position behind which not all is in the snapshot; 0 without one, `None` where it does not say.
    saved_up_to: Option<Position>,
    orphans: Vec<u8>,
    refused: Vec<(TenantId, EngineError)>,
}

impl Source<'_> {
    /// Restores some tenants: reads all, and applies what is theirs.
    fn restore(&self, ids: &[TenantId]) -> Result<Restored, EngineError> {
        let mut restored = Restored { saved_up_to: Some(0), ..Restored::default() };
        for id in ids {
            match begin(id, self.root, self.options, self.chunks, self.threads, self.env) {
                Ok(opening) => drop(restored.openings.insert(id.as_str().as_bytes().to_vec(), opening)),
                Err(error) => restored.refused.push((id.clone(), error)),
            }
        }
        if let Some(number) = self.snapshot {
            let reader = open_snapshot(&*self.env.disk, self.root, number);
            let reader = reader.map_err(|e| EngineError::io(self.root, &e))?;
            restored.saved_up_to = None;
            self.each_frame(reader, false, &mut restored, &mut |frame, restored| {
                if matches!(frame.kind, Some(FrameKind::Tenant | FrameKind::End)) {
                    let least = restored.saved_up_to.map_or(frame.position, |least| least.min(frame.position));
                    restored.saved_up_to = Some(least);
                }
                if let Some(segment) = first_segment(frame) {
                    restored.end.first_segment = segment;
                } else if let Some(restore) = restored.of(frame) {
                    restore.snapshot_frame(frame);
                }
            })?;
        }
        for path in self.quarantined()? {
            let reader = SegmentReader::open(&*self.env.disk, &path).map_err(|e| EngineError::io(&path, &e))?;
            self.each_frame(reader, false, &mut restored, &mut |frame, restored| {
                if let Some(restore) = restored.of(frame) {
                    restore.snapshot_frame(frame);
                }
            })?;
        }
        self.each_log_frame(&mut restored, &mut |frame, restored| {
            if let Some(restore) = restored.of(frame) {
                restore.log_definitions(frame);
            }
        })?;
        let known = (restored.damaged, restored.damaged_bytes, restored.missing);
        self.each_log_frame(&mut restored, &mut |frame, restored| {
            let orphaned = restored.of(frame).is_some_and(|restore| restore.log_samples(frame));
            if orphaned && restored.orphans.len() < MOST_ORPHAN_BYTES {
                frame.push(&mut restored.orphans);
            }
        })?;
        (restored.damaged, restored.damaged_bytes, restored.missing) = known;
        Ok(restored)
    }

    fn each_log_frame(
        &self,
        restored: &mut Restored,
        visit: &mut dyn FnMut(&Frame<'_>, &mut Restored),
    ) -> Result<(), EngineError> {
        let mut segments = list_segments(&*self.env.disk, self.root).map_err(|e| EngineError::io(self.root, &e))?;
        segments.retain(|number| *number >= restored.end.first_segment);
        restored.segments = segments.len() as u64;
        for path in self.quarantined()? {
            let reader = SegmentReader::open(&*self.env.disk, &path).map_err(|e| EngineError::io(&path, &e))?;
            self.each_frame(reader, false, restored, &mut |frame, restored| {
                if !frame.is_of_snapshot() {
                    visit(frame, restored);
                }
            })?;
        }
        // What the snapshot does not hold begins behind it, and without one with the first frame of all.
        let mut last = restored.saved_up_to;
        for number in &segments {
            let path = segment_path(self.root, *number);
            let reader = SegmentReader::open(&*self.env.disk, &path).map_err(|e| EngineError::io(&path, &e))?;
            self.each_frame(reader, true, restored, &mut |frame, restored| {
                restored.note_gap(&mut last, frame.position);
                visit(frame, restored);
            })?;
        }
        Ok(())
    }

    fn quarantined(&self) -> Result<Vec<PathBuf>, EngineError> {
        quarantine::files(&*self.env.disk, self.root).map_err(|e| EngineError::io(self.root, &e))
    }

    /// Visits the frames of a file and counts its damage. Damage at the very end of a segment is a torn write.
    fn each_frame(
        &self,
        mut reader: SegmentReader,
        may_be_torn: bool,
        restored: &mut Restored,
        visit: &mut dyn FnMut(&Frame<'_>, &mut Restored),
    ) -> Result<(), EngineError> {
        while let Some((_, frame)) = reader.next_frame().map_err(|e| EngineError::io(self.root, &e))? {
            restored.end.position = restored.end.position.max(frame.position);
            visit(&frame, restored);
        }
        for damage in reader.damage().iter().filter(|damage| !may_be_torn || damage.end < reader.len()) {
            tracing::warn!(root = %self.root.display(), ?damage, "stepped over damage");
            restored.damaged += 1;
            restored.damaged_bytes += damage.end - damage.offset;
        }
        Ok(())
    }
}

impl Restored {
    /// Positions have no gaps, and go back only where a commit was tried again: what lies between two frames was lost, even
    /// where the bytes between look like padding.
    fn note_gap(&mut self, last: &mut Option<Position>, position: Position) {
        if let Some(last) = *last
            && position > last + 1
        {
            tracing::warn!(behind = last, before = position, "frames of the log are missing");
            self.missing += position - last - 1;
        }
        *last = Some(position.max(last.unwrap_or_default()));
    }

    /// The tenant that a frame speaks of, if it is of its present life.
    fn of(&mut self, frame: &Frame<'_>) -> Option<&mut Restore> {
        let opening = self.openings.get_mut(frame.tenant)?;
        (opening.generation == Some(frame.generation)).then_some(&mut opening.restore)
    }
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
