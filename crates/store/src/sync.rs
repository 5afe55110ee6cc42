//! Bringing the served blocks in line with the bucket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use thanoxide_block::{FetchError, Fetched, Meta, Ulid};
use thanoxide_server::Shutdown;
use thiserror::Error;

use crate::block::ServedBlock;
use crate::bucket_store::BucketStore;
use crate::index_file;
use crate::snapshot::{BrokenBlock, Snapshot};

/// Pause between attempts of the first sync.
const FIRST_SYNC_PAUSE: Duration = Duration::from_secs(10);
/// Attempts of the first sync.
const FIRST_SYNC_ATTEMPTS: u32 = 4;

/// Why the served blocks are not in line with the bucket.
#[derive(Clone, Debug, Error)]
pub enum SyncError {
    /// The bucket could not be listed; nothing changed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Some blocks could not be looked at: new ones were taken up, none was dropped.
    #[error("incomplete view: {failed} blocks could not be looked at, the first is {first}")]
    Incomplete {
        /// How many.
        failed: usize,
        /// One of them, and why.
        first: String,
    },
}

/// What a sync changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Blocks taken up.
    pub loaded: Vec<Ulid>,
    /// Blocks that are served no more.
    pub dropped: Vec<Ulid>,
    /// Blocks that should be served but cannot, and why. They are tried again at the next sync.
    pub broken: Vec<(Ulid, String)>,
}

impl BucketStore {
    /// Looks at the bucket now. Calls that come while one is under way wait and look again.
    pub async fn sync_now(&self) -> Result<SyncReport, SyncError> {
        let _one_at_a_time = self.sync_lock.lock().await;
        let fetched = self.fetcher.fetch().await?;
        let before = self.snapshot.load_full();
        let (loaded, broken) = self.load_missing(&fetched, &before).await;
        let mut report = SyncReport {
            loaded: loaded.iter().map(|block| block.id()).collect(),
            dropped: Vec::new(),
            broken: broken.iter().map(|broken| (broken.meta.id(), broken.reason.clone())).collect(),
        };
        let mut blocks: BTreeMap<Ulid, Arc<ServedBlock>> =
            before.blocks().iter().map(|(id, block)| (*id, Arc::clone(block))).collect();
        blocks.extend(loaded.into_iter().map(|block| (block.id(), block)));
        if fetched.is_complete() {
            report.dropped = blocks.keys().filter(|id| !fetched.blocks.contains_key(id)).copied().collect();
            blocks.retain(|id, _| fetched.blocks.contains_key(id));
        }
        self.metrics.blocks_loaded.set(blocks.len() as i64);
        self.snapshot.store(Arc::new(Snapshot::new(blocks, broken)));
        match fetched.failed.first() {
            Some((id, e)) => Err(SyncError::Incomplete { failed: fetched.failed.len(), first: format!("{id}: {e}") }),
            None => {
                self.tidy(&report, fetched).await;
                Ok(report)
            }
        }
    }

    async fn load_missing(&self, fetched: &Fetched, before: &Snapshot) -> (Vec<Arc<ServedBlock>>, Vec<BrokenBlock>) {
        let missing = fetched.blocks.values().filter(|meta| !before.blocks().contains_key(&meta.id()));
        let loads = stream::iter(missing.map(Arc::clone).collect::<Vec<_>>())
            .map(|meta| async move { self.load(&meta).await.map_err(|reason| BrokenBlock { meta, reason }) });
        let mut loads = loads.buffer_unordered(self.config.sync_concurrency.max(1));
        let (mut loaded, mut broken) = (Vec::new(), Vec::new());
        while let Some(result) = loads.next().await {
            match result {
                Ok(block) => loaded.push(block),
                Err(block) => {
                    self.metrics.block_load_failures.inc();
                    tracing::warn!(block = %block.meta.id(), error = block.reason, "loading block failed");
                    broken.push(block);
                }
            }
        }
        (loaded, broken)
    }

    async fn load(&self, meta: &Arc<Meta>) -> Result<Arc<ServedBlock>, String> {
        self.metrics.block_loads.inc();
        let start = self.env.clock.monotonic();
        let index = index_file::load(&*self.bucket, &self.env.disk, &self.config.data_dir, meta).await?;
        let block = ServedBlock::new(&*self.bucket, Arc::clone(meta), index).await?;
        self.metrics.block_load_duration.observe(self.env.clock.monotonic().saturating_sub(start).as_secs_f64());
        self.metrics.last_loaded_s.set(self.env.clock.now_ms() as f64 / 1000.0);
        Ok(Arc::new(block))
    }

    /// Removes what the disk holds of blocks that are gone. Queries under way keep their files open.
    async fn tidy(&self, report: &SyncReport, fetched: Fetched) {
        self.metrics.block_drops.inc_by(report.dropped.len() as u64);
        let keep = move |id: &Ulid| fetched.blocks.contains_key(id);
        if let Err(e) = index_file::remove_others(&self.env.disk, &self.config.data_dir, keep).await {
            self.metrics.block_drop_failures.inc();
            tracing::warn!(error = e, "directories of dropped blocks were not removed");
        }
    }

    /// Syncs until it is told to stop. Fails where the first sync fails for half a minute.
    pub async fn run(&self, shutdown: Shutdown) -> Result<(), SyncError> {
        self.first_sync(&shutdown).await?;
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(self.config.sync_interval) => {}
            }
            match self.sync_now().await {
                Ok(report) if report == SyncReport::default() => {}
                Ok(report) => {
                    let (loaded, dropped) = (report.loaded.len(), report.dropped.len());
                    tracing::info!(loaded, dropped, broken = report.broken.len(), "blocks synchronized");
                }
                Err(e) => tracing::warn!(error = %e, "synchronizing blocks failed"),
            }
        }
    }

    async fn first_sync(&self, shutdown: &Shutdown) -> Result<(), SyncError> {
        let mut attempt = 1;
        loop {
            match self.sync_now().await {
                Ok(report) => {
                    tracing::info!(loaded = report.loaded.len(), broken = report.broken.len(), "blocks synchronized");
                    self.ready.send_replace(true);
                    return Ok(());
                }
                Err(e) if attempt == FIRST_SYNC_ATTEMPTS => return Err(e),
                Err(e) => tracing::warn!(error = %e, "synchronizing blocks failed, trying again"),
            }
            attempt += 1;
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(FIRST_SYNC_PAUSE) => {}
            }
        }
    }

    /// Returns once the first sync of [`BucketStore::run`] is done.
    pub async fn wait_ready(&self) {
        let mut ready = self.ready.subscribe();
        // The sender lives in self, so this cannot fail.
        let _ = ready.wait_for(|ready| *ready).await;
    }
}
