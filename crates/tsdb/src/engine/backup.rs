//! A copy of an engine's directory while it works, and blocks that come from elsewhere.
//!
//! A backup is made of second names (hard links) where the disk allows, of copies otherwise. Order: the log is rotated, so
//! that all before is in segments that nobody writes to any more; these, the snapshot and the chunk files come first, under
//! the lock of snapshot passes, which remove such files; then the blocks of each tenant. A block that was cut meanwhile
//! holds what the log holds as well, and a start over the backup skips that, as after a crash in the middle of a cut.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thanoxide_env::{Disk, Env};
use thanoxide_model::TenantId;

use super::blocks::LocalBlock;
use super::tenant::Tenant;
use super::{Engine, EngineError, GENERATION_FILE, create_durably};
use crate::block::CREATION_SUFFIX;
use crate::meta::{BlockId, HINT_FROM_OUT_OF_ORDER, META_FILE};

/// What is read at once where files are copied.
const PIECE_BYTES: usize = 1 << 20;

/// What a backup has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// Tenants.
    pub tenants: u64,
    /// Blocks of all tenants.
    pub blocks: u64,
    /// Files of log, snapshot and chunks.
    pub shared_files: u64,
}

impl Engine {
    /// Makes a directory, which must not be there, that an engine can be opened on with all that was appended before this
    /// call. Appends and reads go on; cuts and snapshots of a tenant wait for it. While a tenant cannot be opened there is
    /// no backup.
    pub fn backup(&self, into: &Path) -> Result<BackedUp, EngineError> {
        let io = |e| EngineError::io(into, &e);
        if self.env.disk.exists(into).map_err(io)? {
            return Err(EngineError::io(into, &io::ErrorKind::AlreadyExists.into()));
        }
        // No tenant comes or goes, and no file of log, snapshot and chunks does.
        let _opening = self.opening.lock();
        // A copy without those that are not served at the moment would pass for a whole one.
        self.quarantined().iter().try_for_each(|(id, _)| self.readmit(id).map(drop))?;
        let _pass = self.next_snapshot.lock();
        create_durably(into, &self.env).map_err(io)?;
        let mut done = BackedUp::default();
        let next_segment = self.log.rotate()?;
        let root_io = |e| EngineError::io(&self.root, &e);
        for path in self.env.disk.list(&self.root).map_err(root_io)? {
            if is_shared(&path, next_segment) && !self.env.disk.is_dir(&path).map_err(root_io)? {
                link_into(&*self.env.disk, &path, into)?;
                done.shared_files += 1;
            }
        }
        for tenant in self.all_tenants() {
            done.blocks += tenant.backup(&into.join(tenant.id.as_str()), &self.env)?;
            done.tenants += 1;
        }
        self.env.disk.sync_dir(into).map_err(io)?;
        Ok(done)
    }

    /// Takes a block that lies elsewhere into a tenant, which is made where it is missing. The block is read whole first. It
    /// may overlap with what is there; then it counts as one of late samples.
    pub fn import_block(&self, tenant: &TenantId, block: &Path) -> Result<BlockId, EngineError> {
        self.check_open()?;
        let broken = |e: crate::block::BlockError| EngineError::of_block(block, e);
        let meta = {
            let opened = LocalBlock::open(block, &self.env).map_err(broken)?;
            opened.read_all(|_| Ok(())).map_err(broken)?;
            opened.meta().clone()
        };
        let tenant = self.tenant_or_open(tenant)?;
        let _cutting = tenant.cutting.lock();
        tenant.remove_leftovers(&self.env)?;
        let io = |e| EngineError::io(&tenant.dir, &e);
        let path = tenant.dir.join(meta.ulid.to_string());
        if self.env.disk.exists(&path).map_err(io)? {
            return Err(EngineError::io(&path, &io::ErrorKind::AlreadyExists.into()));
        }
        let mut meta = meta;
        // The head of the next start would begin behind a block in order, and what it holds before that be forgotten.
        if meta.max_time > tenant.state.read().head.min_valid_ms()
            && !meta.compaction.hints.iter().any(|h| h == HINT_FROM_OUT_OF_ORDER)
        {
            meta.compaction.hints.push(HINT_FROM_OUT_OF_ORDER.to_string());
            meta.compaction.hints.sort_unstable();
        }
        let temporary = tenant.dir.join(format!("{}{CREATION_SUFFIX}", meta.ulid));
        let disk = &*self.env.disk;
        let take = || {
            if disk.exists(&temporary).map_err(io)? {
                disk.remove_dir_all(&temporary).map_err(io)?;
            }
            each_file(disk, block, &temporary, &mut |file, dir| {
                let name = file.file_name().unwrap_or_default();
                let to = dir.join(name);
                if name == META_FILE { write(disk, &to, &meta.to_json()) } else { copy(disk, file, &to) }
            })?;
            disk.rename(&temporary, &path).and_then(|()| disk.sync_dir(&tenant.dir)).map_err(io)
        };
        // It may be half there, or whole but for the last sync; whoever tries again must not find it.
        let open = || LocalBlock::open(&path, &self.env).map_err(|e| EngineError::of_block(&path, e));
        let opened = take().and_then(|()| open());
        let opened = opened.inspect_err(|_| tenant.discard(meta.ulid, &self.env))?;
        let mut state = tenant.state.write();
        state.blocks = Arc::new(state.blocks.with(Arc::new(opened)));
        Ok(meta.ulid)
    }
}

impl Tenant {
    fn backup(&self, into: &Path, env: &Env) -> Result<u64, EngineError> {
        let _cutting = self.cutting.lock();
        let (disk, io) = (&*env.disk, |e| EngineError::io(into, &e));
        disk.create_dir_all(into).map_err(io)?;
        let blocks = Arc::clone(&self.state.read().blocks);
        // Those that the disk did not give when they were to be opened are part of it, too.
        let ids: Vec<BlockId> = blocks.all().map(|block| block.id()).chain(blocks.unread().iter().copied()).collect();
        for id in &ids {
            let name = id.to_string();
            link_tree(disk, &self.dir.join(&name), &into.join(name))?;
        }
        link_into(disk, &self.dir.join(GENERATION_FILE), into)?;
        disk.sync_dir(into).map_err(io)?;
        Ok(ids.len() as u64)
    }
}

/// Whether a file of the root belongs to all tenants, and is not written to any more or may be without harm.
pub(super) fn is_shared(path: &Path, next_segment: u64) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let numbered = |prefix: &str, suffix: &str| name.strip_prefix(prefix)?.strip_suffix(suffix)?.parse::<u64>().ok();
    numbered("log-", ".tlog").is_some_and(|number| number < next_segment)
        || numbered("snapshot-", ".tsnap").is_some()
        || numbered("chunks-", ".tchk").is_some()
        || numbered("quarantine-", ".tlog").is_some()
}

// Of these each error names what could not be read, or what could not be written.

fn link_into(disk: &dyn Disk, file: &Path, dir: &Path) -> Result<(), EngineError> {
    let to = dir.join(file.file_name().unwrap_or_default());
    match disk.hard_link(file, &to) {
        Err(e) if matches!(e.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported) => {
            copy(disk, file, &to)
        }
        linked => linked.map_err(|e| EngineError::io(&to, &e)),
    }
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), EngineError> {
    let (unread, unwritten) = (|e| EngineError::io(from, &e), |e| EngineError::io(to, &e));
    let source = disk.open(from).map_err(unread)?;
    let target = disk.create(to).map_err(unwritten)?;
    let (len, mut piece) = (source.len().map_err(unread)?, vec![0; PIECE_BYTES]);
    for start in (0..len).step_by(PIECE_BYTES) {
        let part = &mut piece[..(len - start).min(PIECE_BYTES as u64) as usize];
        source.read_exact_at(part, start).map_err(unread)?;
        target.append(part).map_err(unwritten)?;
    }
    target.sync_data().map_err(unwritten)
}

fn link_tree(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), EngineError> {
    each_file(disk, from, to, &mut |file, dir| link_into(disk, file, dir))
}

fn write(disk: &dyn Disk, to: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    let write = || {
        let file = disk.create(to)?;
        file.append(bytes)?;
        file.sync_data()
    };
    write().map_err(|e| EngineError::io(to, &e))
}

/// Makes the directories of a block in another place, and has each file put there.
fn each_file(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    put: &mut dyn FnMut(&Path, &Path) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let (unread, unwritten) = (|e| EngineError::io(from, &e), |e| EngineError::io(to, &e));
    disk.create_dir_all(to).map_err(unwritten)?;
    let mut dirs: Vec<PathBuf> = Vec::new();
    for path in disk.list(from).map_err(unread)? {
        if disk.is_dir(&path).map_err(unread)? {
            dirs.push(path);
        } else {
            put(&path, to)?;
        }
    }
    // A block has directories of one level; what lies deeper is none of its parts.
    for dir in dirs {
        let into = to.join(dir.file_name().unwrap_or_default());
        disk.create_dir_all(&into).map_err(unwritten)?;
        for path in disk.list(&dir).map_err(unread)? {
            if !disk.is_dir(&path).map_err(unread)? {
                put(&path, &into)?;
            }
        }
        disk.sync_dir(&into).map_err(unwritten)?;
    }
    disk.sync_dir(to).map_err(unwritten)
}
