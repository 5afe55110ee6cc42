//! What the disk does not give at the moment must not stop the rest.
//!
//! A tenant whose directory cannot be read, or whose stock files cannot be taken over, is not served: writes to it are told
//! to come again, and each of them, like each maintenance pass, tries to open it. Log and snapshot are given up in time all
//! the same, so what they say of a tenant that is not open is copied to `quarantine-<seq>.tlog` first: frames of snapshots
//! and of the log, in a file like a segment. It is read between snapshot and log, and removed once all tenants are open and
//! a snapshot has them. Until then no chunk file goes that the tenant may refer to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use thanoxide_env::{Disk, DiskFile, Env};
use thanoxide_model::TenantId;

use super::backup::is_shared;
use super::tenant::Tenant;
use super::{Engine, EngineError, open};
use crate::encoding::Put;
use crate::log::segment::{SEGMENT_MAGIC, SegmentReader, list_numbered, list_segments, numbered_path, segment_path};
use crate::log::{Frame, Position};
use crate::snapshot::{list_snapshots, open_snapshot};

const FLUSH_BYTES: usize = 1 << 20;

/// Why a tenant is not served, and what there is of it.
#[derive(Debug)]
struct Refused {
    error: EngineError,
    /// Where only the take-over failed: the tenant, of which snapshots are taken.
    tenant: Option<Arc<Tenant>>,
}

/// The tenants that are not served.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    refused: Mutex<HashMap<TenantId, Refused, RandomState>>,
    /// Chunk files below this number may be theirs.
    chunk_files_below: u32,
}

impl Quarantine {
    pub(super) fn new(refused: Vec<(TenantId, EngineError)>, chunk_files_below: u32) -> Self {
        let quarantine = Quarantine { refused: Mutex::default(), chunk_files_below };
        for (id, error) in refused {
            quarantine.put(id, error, None);
        }
        quarantine
    }

    /// A tenant is not served from here on.
    pub(super) fn put(&self, id: TenantId, error: EngineError, tenant: Option<Arc<Tenant>>) {
        tracing::error!(tenant = %id, %error, "tenant cannot be opened and is not served, will be tried again");
        self.refused.lock().insert(id, Refused { error, tenant });
    }

    /// An error if a tenant is not served.
    pub(super) fn check(&self, id: &TenantId) -> Result<(), EngineError> {
        self.refused.lock().get(id).map_or(Ok(()), |refused| Err(refused.error.clone()))
    }

    /// Those of which snapshots are taken.
    pub(super) fn tenants(&self) -> Vec<Arc<Tenant>> {
        self.refused.lock().values().filter_map(|refused| refused.tenant.as_ref().map(Arc::clone)).collect()
    }

    /// Leaves out the chunk files that a tenant which is not open may refer to.
    pub(super) fn spare(&self, unused: &mut Vec<u32>) {
        if self.refused.lock().values().any(|refused| refused.tenant.is_none()) {
            unused.retain(|number| *number >= self.chunk_files_below);
        }
    }

    fn list(&self) -> Vec<(TenantId, EngineError)> {
        let refused = self.refused.lock();
        let mut list: Vec<_> = refused.iter().map(|(id, refused)| (id.clone(), refused.error.clone())).collect();
        list.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        list
    }
}

impl Engine {
    /// The tenants that cannot be opened at the moment, and why, in order.
    pub fn quarantined(&self) -> Vec<(TenantId, EngineError)> {
        self.quarantine.list()
    }

    /// How many chunks of heads were found damaged since the start; they are left out, the log names them.
    pub fn damaged_chunks(&self) -> usize {
        self.chunks.damaged()
    }

    /// Tries again to open a tenant that could not be; `None` where there is no such tenant. While `opening` is held.
    pub(super) fn readmit(&self, id: &TenantId) -> Result<Option<Arc<Tenant>>, EngineError> {
        if self.quarantine.check(id).is_ok() {
            return Ok(None);
        }
        if self.is_file(id) {
            // The disk did not say so at the start.
            self.quarantine.refused.lock().remove(id);
            self.forget_quarantine();
            return Ok(None);
        }
        self.open_refused(id).inspect_err(|error| {
            if let Some(refused) = self.quarantine.refused.lock().get_mut(id) {
                refused.error = error.clone();
            }
        })?;
        self.quarantine.refused.lock().remove(id);
        tracing::info!(tenant = %id, "tenant is served again");
        self.forget_quarantine();
        Ok(self.tenant(id))
    }

    /// Whether what has a tenant's name is no directory. Files that belong to all tenants may have gone meanwhile.
    fn is_file(&self, id: &TenantId) -> bool {
        let (disk, path) = (&self.env.disk, self.tenant_dir(id));
        let is_no_dir = disk.is_dir(&path).is_ok_and(|is_dir| !is_dir);
        is_no_dir && (is_shared(&path, u64::MAX) || disk.exists(&path).unwrap_or(false))
    }

    fn open_refused(&self, id: &TenantId) -> Result<(), EngineError> {
        let known = self.quarantine.refused.lock().get(id).and_then(|refused| refused.tenant.as_ref().map(Arc::clone));
        let (tenant, stock) = match known {
            Some(tenant) => (tenant, true),
            None => {
                // No pass removes what is read here.
                let _pass = self.next_snapshot.lock();
                open::open_one(id, &self.root, &self.options, &self.log, &self.chunks, &self.env)?
            }
        };
        if !stock {
            self.tenants.write().insert(id.clone(), tenant);
            return Ok(());
        }
        self.quarantine
            .refused
            .lock()
            .entry(id.clone())
            .and_modify(|refused| refused.tenant = Some(Arc::clone(&tenant)));
        match self.take_over_each(vec![tenant])?.pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Tries to open all tenants that could not be.
    pub(super) fn readmit_all(&self) {
        for (id, _) in self.quarantined() {
            let _opening = self.opening.lock();
            if let Err(error) = self.readmit(&id) {
                tracing::warn!(tenant = %id, %error, "tenant still cannot be opened");
            }
        }
    }

    /// Once all tenants are open: a snapshot that has them all makes what was set aside needless.
    pub(super) fn forget_quarantine(&self) {
        let forget = || -> Result<(), EngineError> {
            let io = |e| EngineError::io(&self.root, &e);
            let files = files(&*self.env.disk, &self.root).map_err(io)?;
            if files.is_empty() || !self.quarantine.refused.lock().is_empty() {
                return Ok(());
            }
            self.snapshot()?;
            files.iter().try_for_each(|path| self.env.disk.remove_file(path)).map_err(io)
        };
        if let Err(error) = forget() {
            tracing::warn!(%error, "what was set aside of tenants stays for now");
        }
    }
}

/// The files with frames of tenants that could not be opened, oldest first.
pub(super) fn files(disk: &dyn Disk, root: &Path) -> io::Result<Vec<PathBuf>> {
    let numbers = list_numbered(disk, root, "quarantine", "tlog")?;
    Ok(numbers.into_iter().map(|number| numbered_path(root, "quarantine", number, "tlog")).collect())
}

/// Copies all frames of some tenants to a file of their own, but for those that an earlier one has.
pub(super) fn set_aside(root: &Path, ids: &[&TenantId], first_segment: u64, env: &Env) -> io::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let disk = &*env.disk;
    let mut known: HashMap<Vec<u8>, Position, RandomState> =
        ids.iter().map(|id| (id.as_str().as_bytes().to_vec(), 0)).collect();
    for path in files(disk, root)? {
        each_frame(SegmentReader::open(disk, &path)?, &mut |frame| {
            if let Some(position) = known.get_mut(frame.tenant) {
                *position = frame.position.max(*position);
            }
            Ok(())
        })?;
    }
    let mut aside = Aside::new(disk, root)?;
    let mut copy = |frame: &Frame<'_>| match known.get(frame.tenant) {
        Some(position) if frame.position > *position => aside.push(frame),
        _ => Ok(()),
    };
    if let Some(number) = list_snapshots(disk, root)?.last() {
        each_frame(open_snapshot(disk, root, *number)?, &mut copy)?;
    }
    for number in list_segments(disk, root)?.into_iter().filter(|number| *number >= first_segment) {
        each_frame(SegmentReader::open(disk, &segment_path(root, number))?, &mut copy)?;
    }
    aside.finish()
}

fn each_frame(mut reader: SegmentReader, visit: &mut dyn FnMut(&Frame<'_>) -> io::Result<()>) -> io::Result<()> {
    while let Some((_, frame)) = reader.next_frame()? {
        visit(&frame)?;
    }
    Ok(())
}

/// A file of frames that is made with the first one.
struct Aside<'d> {
    disk: &'d dyn Disk,
    root: &'d Path,
    path: PathBuf,
    file: Option<Box<dyn DiskFile>>,
    buffer: Vec<u8>,
}

impl<'d> Aside<'d> {
    fn new(disk: &'d dyn Disk, root: &'d Path) -> io::Result<Self> {
        let number = list_numbered(disk, root, "quarantine", "tlog")?.last().map_or(1, |last| last + 1);
        let mut buffer = SEGMENT_MAGIC.to_vec();
        buffer.put_u64(number);
        Ok(Aside { disk, root, path: numbered_path(root, "quarantine", number, "tlog"), file: None, buffer })
    }

    fn push(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(self.disk.create(&self.temporary())?);
        }
        frame.push(&mut self.buffer);
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.append(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn temporary(&self) -> PathBuf {
        self.path.with_extension("tlog.tmp")
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let Some(file) = self.file.take() else { return Ok(()) };
        file.sync_data()?;
        self.disk.rename(&self.temporary(), &self.path)?;
        self.disk.sync_dir(self.root)
    }
}
