//! Uploads the blocks of a TSDB directory, each once.
//!
//! What was uploaded is kept in `thanos.shipper.json` in the directory (`{"version":1,"uploaded":[…]}`, as Thanos writes
//! it). The file only saves questions: without it, blocks are found in the bucket by their `meta.json`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thanoxide_env::{Clock, Disk};
use thanoxide_model::Labels;
use thanoxide_objstore::Bucket;
use thiserror::Error;
use ulid::Ulid;

use crate::fetcher::{Fetcher, FetcherConfig};
use crate::meta::{META_NAME, Meta, Source, ThanosMeta, go_lines, ulid_texts};
use crate::metrics::ShipperCounters;
use crate::upload::{UploadError, read_local_meta, upload_block};

/// Name of the state file.
pub const SHIPPER_STATE_NAME: &str = "thanos.shipper.json";

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    version: i64,
    #[serde(with = "ulid_texts")]
    uploaded: Vec<Ulid>,
}

/// How the files of uploaded blocks are hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockHash {
    /// Not at all.
    #[default]
    None,
    /// `SHA256`; the compactor then need not download what it has.
    Sha256,
}

/// How a block is uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadOptions {
    /// Whether its files are hashed.
    pub hash: BlockHash,
    /// As many of its chunk files go at once; 0 is one after the other, too.
    pub concurrency: usize,
}

/// What a shipper is to do.
#[derive(Clone, Debug)]
pub struct ShipperConfig {
    /// The TSDB directory.
    pub dir: PathBuf,
    /// External labels of its blocks.
    pub labels: Labels,
    /// Who uploads.
    pub source: Source,
    /// Whether blocks that were compacted locally are uploaded too, if they overlap nothing in the bucket.
    pub upload_compacted: bool,
    /// How blocks are uploaded.
    pub upload: UploadOptions,
}

/// Why a pass over the directory failed as a whole.
#[derive(Debug, Error)]
pub enum ShipError {
    /// The directory cannot be listed or the state not be written.
    #[error("{}: {error}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// The disk's words.
        error: io::Error,
    },
}

/// What a pass did.
#[derive(Debug, Default)]
pub struct ShipReport {
    /// Blocks uploaded in this pass.
    pub uploaded: Vec<Ulid>,
    /// Blocks that were not, and why; the others were not held up by them.
    pub failed: Vec<(String, String)>,
}

/// Uploads the blocks of one directory.
#[derive(Debug)]
pub struct Shipper {
    config: ShipperConfig,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    bucket: Arc<dyn Bucket>,
    metrics: ShipperCounters,
}

impl Shipper {
    /// A shipper; does nothing yet.
    pub fn new(
        config: ShipperConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        bucket: Arc<dyn Bucket>,
        metrics: ShipperCounters,
    ) -> Self {
        Shipper { config, disk, clock, bucket, metrics }
    }

    /// The blocks that are known to be in the bucket and need not be kept for it; empty where the state is lost.
    pub fn uploaded(&self) -> BTreeSet<Ulid> {
        self.read_state().unwrap_or_default()
    }

    /// One pass: uploads what is not in the bucket yet. Passes of one directory must not overlap.
    pub async fn sync(&self) -> Result<ShipReport, ShipError> {
        self.metrics.dir_syncs.inc();
        let result = self.pass().await;
        let failed = result.as_ref().map_or(true, |report| !report.failed.is_empty());
        if failed {
            self.metrics.dir_sync_failures.inc();
        }
        self.metrics.upload_compacted_done.set(i64::from(self.config.upload_compacted && !failed));
        result
    }

    async fn pass(&self) -> Result<ShipReport, ShipError> {
        let known = self.uploaded();
        let mut report = ShipReport::default();
        let mut state = State { version: 1, uploaded: Vec::new() };
        for (meta, dir) in self.local_blocks(&mut report)? {
            if known.contains(&meta.id()) {
                state.uploaded.push(meta.id());
                continue;
            }
            match self.ship(&meta, &dir).await {
                Ok(Shipped::Skipped) => {}
                Ok(shipped) => {
                    state.uploaded.push(meta.id());
                    if shipped == Shipped::Uploaded {
                        self.metrics.uploads.inc();
                        report.uploaded.push(meta.id());
                    }
                }
                Err(reason) => {
                    self.metrics.upload_failures.inc();
                    tracing::error!(block = %meta.id(), error = %reason, "block was not uploaded");
                    report.failed.push((meta.id().to_string(), reason));
                }
            }
        }
        self.write_state(&state)?;
        Ok(report)
    }

    /// The whole blocks of the directory, oldest first. Others are named in the report.
    fn local_blocks(&self, report: &mut ShipReport) -> Result<Vec<(Meta, PathBuf)>, ShipError> {
        let failed = |error| ShipError::Disk { path: self.config.dir.clone(), error };
        let mut blocks = Vec::new();
        for dir in self.disk.list(&self.config.dir).map_err(failed)? {
            let Some(id) = block_id(&dir) else { continue };
            if !self.disk.is_dir(&dir).map_err(failed)? {
                continue;
            }
            match read_local_meta(&*self.disk, &dir) {
                Ok(meta) if meta.id() == id => blocks.push((meta, dir)),
                Ok(meta) => self.name_corrupt(report, id, format!("meta.json says {}", meta.id())),
                Err(e) => self.name_corrupt(report, id, e.to_string()),
            }
        }
        blocks.sort_by_key(|(meta, _)| (meta.min_time_ms(), meta.id()));
        Ok(blocks)
    }

    fn name_corrupt(&self, report: &mut ShipReport, id: Ulid, reason: String) {
        self.metrics.corrupted_blocks.inc();
        tracing::error!(block = %id, error = %reason, "block is corrupt and will not be uploaded");
        report.failed.push((id.to_string(), reason));
    }

    async fn ship(&self, meta: &Meta, dir: &Path) -> Result<Shipped, String> {
        if meta.tsdb.stats.num_samples == 0 || (meta.tsdb.compaction.level > 1 && !self.config.upload_compacted) {
            return Ok(Shipped::Skipped);
        }
        let name = format!("{}/{META_NAME}", meta.id());
        if self.bucket.exists(&name).await.map_err(|e| e.to_string())? {
            return Ok(Shipped::AlreadyThere);
        }
        if meta.tsdb.compaction.level > 1 {
            self.check_overlap(meta).await?;
        }
        let mut thanos = meta.thanos.clone().unwrap_or_else(|| ThanosMeta::new(&self.config.labels, Source::default()));
        thanos.labels = ThanosMeta::new(&self.config.labels, Source::default()).labels;
        thanos.source = self.config.source.clone();
        match upload_block(&*self.bucket, &self.disk, &*self.clock, dir, thanos, self.config.upload).await {
            Ok(_) => Ok(Shipped::Uploaded),
            Err(e) => {
                if matches!(e, UploadError::Corrupt { .. }) {
                    self.metrics.corrupted_blocks.inc();
                }
                Err(e.to_string())
            }
        }
    }

    /// A block that was compacted locally may repeat what its parents brought into the bucket already.
    async fn check_overlap(&self, meta: &Meta) -> Result<(), String> {
        let fetcher = Fetcher::new(FetcherConfig::default(), Arc::clone(&self.bucket), Arc::clone(&self.clock), None);
        let fetched = fetcher.fetch().await.map_err(|e| e.to_string())?;
        if let Some((id, e)) = fetched.failed.first() {
            return Err(format!("whether it overlaps block {id} is unknown: {e}"));
        }
        let overlaps = |other: &Meta| {
            other.label_set() == self.config.labels
                && other.min_time_ms() < meta.max_time_ms()
                && meta.min_time_ms() < other.max_time_ms()
        };
        match fetched.blocks.values().find(|other| overlaps(other)) {
            Some(other) => Err(format!("it overlaps block {} of the bucket", other.id())),
            None => Ok(()),
        }
    }

    fn read_state(&self) -> Option<BTreeSet<Ulid>> {
        let path = self.config.dir.join(SHIPPER_STATE_NAME);
        let json = self.disk.read(&path).ok()?;
        match serde_json::from_slice::<State>(&json) {
            Ok(state) if state.version == 1 => Some(state.uploaded.into_iter().collect()),
            Ok(state) => {
                tracing::warn!(version = state.version, "unknown shipper state, blocks are looked up in the bucket");
                None
            }
            Err(e) => {
                tracing::warn!(error = %e, "unreadable shipper state, blocks are looked up in the bucket");
                None
            }
        }
    }

    fn write_state(&self, state: &State) -> Result<(), ShipError> {
        let path = self.config.dir.join(SHIPPER_STATE_NAME);
        let json = go_lines(state);
        if self.disk.read(&path).is_ok_and(|old| old == json) {
            return Ok(());
        }
        self.disk.write_atomically(&path, &json).map_err(|error| ShipError::Disk { path, error })
    }
}

#[derive(PartialEq, Eq)]
enum Shipped {
    Uploaded,
    AlreadyThere,
    Skipped,
}

/// The id in a block directory's name.
fn block_id(dir: &Path) -> Option<Ulid> {
    dir.file_name()?.to_str().and_then(|name| Ulid::from_string(name).ok())
}
