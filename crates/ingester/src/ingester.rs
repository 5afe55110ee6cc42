//! The ingester itself: an engine, a bucket to ship to, and the loop that keeps both in order.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thanoxide_config::Limits;
use thanoxide_env::{Clock, Env};
use thanoxide_model::{Labels, TenantId};
use thanoxide_objstore::Bucket;
use thanoxide_server::Shutdown;
use thanoxide_tsdb::engine::{Engine, EngineError, EngineOptions, Retention, TenantStats};
use thanoxide_tsdb::meta::BlockId;
use tokio::sync::{Notify, watch};

use crate::config::IngesterConfig;
use crate::departure::Idleness;
use crate::memory_guard::MemoryGuard;
use crate::metrics::IngesterMetrics;
use crate::series_limits::SeriesLimits;
use crate::shipping::Shipping;

/// How often the memory of the process is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_millis(500);
/// How soon a snapshot that failed is tried again.
const SNAPSHOT_RETRY: Duration = Duration::from_secs(1);

/// What an ingester needs from outside.
#[derive(Debug)]
pub struct IngesterDeps {
    /// Clock, disk, randomness.
    pub env: Env,
    /// Where blocks go; without one they stay here.
    pub bucket: Option<Arc<dyn Bucket>>,
    /// Its metrics.
    pub metrics: IngesterMetrics,
}

/// Tenants in one engine.
#[derive(Debug)]
pub struct Ingester {
    pub(crate) config: IngesterConfig,
    pub(crate) engine: Arc<Engine>,
    pub(crate) metrics: IngesterMetrics,
    pub(crate) series_limits: SeriesLimits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) memory: MemoryGuard,
    pub(crate) shipping: Option<Shipping>,
    idleness: Mutex<Idleness>,
    /// Held by whoever uploads, so that nobody removes what is on its way.
    pub(crate) passes: tokio::sync::Mutex<()>,
    wake: Notify,
    /// Told by writes.
    pub(crate) tail_is_long: Notify,
    /// Counts what came of it, so that writes can wait for it.
    pub(crate) tail_passes: watch::Sender<u64>,
    /// Held while a new tenant is let in.
    pub(crate) admitting: Arc<Mutex<()>>,
    /// Tenants none of whose blocks that are to be uploaded has start times.
    without_start_times: Mutex<BTreeSet<TenantId>>,
    /// Counts the passes of maintenance that brought blocks into the bucket.
    shipped: watch::Sender<u64>,
}

/// What is told of a tenant.
#[derive(Clone, Debug)]
pub struct TenantSummary {
    /// Its name.
    pub tenant: TenantId,
    /// Its external labels.
    pub labels: Labels,
    /// What it holds.
    pub stats: TenantStats,
}

impl Ingester {
    /// Opens the engine: replays logs, repairs what a crash left. Blocks; call it from a thread that may.
    pub fn open(config: IngesterConfig, deps: IngesterDeps) -> Result<Arc<Self>, EngineError> {
        let options = EngineOptions {
            block_duration_ms: config.block_duration_ms,
            cut_duration_ms: config.cut_duration_ms,
            // Tenants have retentions of their own.
            retention_ms: None,
            too_far_in_future_ms: config.too_far_in_future_ms,
            out_of_order_window_ms: config.out_of_order_window_ms,
            out_of_order_chunk_samples: config.out_of_order_chunk_samples,
            max_exemplars: config.max_exemplars,
            store_start_times: config.start_times,
            memory_limit_bytes: config.memory_limit_bytes,
            ..EngineOptions::default()
        };
        let shipping = deps.bucket.map(|bucket| Shipping::new(&config, &deps.env, bucket, &deps.metrics.shipper));
        let clock = Arc::clone(&deps.env.clock);
        let engine = Arc::new(Engine::open(&config.dir, options, deps.env)?);
        engine.open_tenant(&config.default_tenant)?;
        deps.metrics.tenants.watch(&engine);
        deps.metrics.damage.note(&engine.open_report());
        let memory = MemoryGuard::new(config.memory_limit_bytes);
        let ingester = Ingester {
            memory,
            config,
            engine,
            metrics: deps.metrics,
            series_limits: SeriesLimits::default(),
            clock,
            shipping,
            idleness: Mutex::default(),
            passes: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            tail_is_long: Notify::new(),
            tail_passes: watch::Sender::new(0),
            admitting: Arc::default(),
            without_start_times: Mutex::default(),
            shipped: watch::Sender::new(0),
        };
        ingester.count_heads();
        Ok(Arc::new(ingester))
    }

    /// Where its tenants lie.
    pub fn dir(&self) -> &Path {
        &self.config.dir
    }

    /// Puts limits of series in force.
    pub fn set_limits(&self, limits: Limits) {
        self.series_limits.set(limits);
    }

    /// What is kept here of a tenant: as its limits say, or else as for all.
    pub(crate) fn retention_of(&self, tenant: &TenantId) -> Retention {
        let own_ms = self.series_limits.retention_ms(tenant);
        Retention { time_ms: own_ms.or(self.config.retention_ms), bytes: self.config.retention_bytes }
    }

    /// Changes whenever blocks came into the bucket.
    pub fn watch_shipped(&self) -> watch::Receiver<u64> {
        self.shipped.subscribe()
    }

    /// All tenants with what they hold.
    pub fn tenants(&self) -> Vec<TenantSummary> {
        let summary = |tenant: TenantId| {
            let stats = self.engine.reader(&tenant)?.stats();
            Some(TenantSummary { labels: self.config.labels_of(&tenant), tenant, stats })
        };
        self.engine.tenants().into_iter().filter_map(summary).collect()
    }

    /// Has maintenance look at the heads now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Cuts, ships and removes until asked to stop; then leaves the directory as [`Ingester::stop`] does.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), EngineError> {
        tokio::select! {
            // What is cut off begins anew with the next start.
            () = shutdown.requested() => {}
            () = self.maintain_for_ever() => {}
            () = self.keep_tail_short() => {}
            () = self.watch_memory() => {}
        }
        self.stop().await
    }

    async fn maintain_for_ever(self: &Arc<Self>) {
        loop {
            self.maintain().await;
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(self.config.maintenance_interval) => {}
            }
        }
    }

    /// Takes a snapshot whenever writes have made the log long, so that a restart is as short at any time.
    async fn keep_tail_short(&self) {
        loop {
            self.tail_is_long.notified().await;
            let engine = Arc::clone(&self.engine);
            let taken = blocking(move || if engine.snapshot_due() { engine.snapshot() } else { Ok(()) }).await;
            self.tail_passes.send_modify(|passes| *passes += 1);
            if let Err(error) = taken {
                tracing::error!(%error, "snapshot failed, will be tried again");
                tokio::time::sleep(SNAPSHOT_RETRY).await;
            }
        }
    }

    /// Takes nothing more, makes all durable, and leaves a directory from which stock programs go on as well as we do. A
    /// stop that is killed meanwhile loses nothing: what is not handed back is still ours.
    pub async fn stop(self: &Arc<Self>) -> Result<(), EngineError> {
        let engine = Arc::clone(&self.engine);
        blocking(move || engine.close()).await?;
        if self.config.flush_on_shutdown {
            let engine = Arc::clone(&self.engine);
            // What cannot be flushed is in the log, and is handed back.
            let done = blocking(move || engine.flush_all()).await;
            tracing::info!(blocks = done.cut.len(), failed = done.failed.len(), "heads flushed");
        }
        let engine = Arc::clone(&self.engine);
        match blocking(move || engine.hand_back()).await {
            Ok(done) => tracing::info!(series = done.series, chunks = done.chunks, "heads handed back"),
            Err(error) => tracing::warn!(%error, "heads are not handed back: stock programs need an export first"),
        }
        // Last, for a bucket that does not answer may take what time is left.
        if let Some(shipping) = self.shipping.as_ref().filter(|_| self.config.flush_on_shutdown) {
            let _pass = self.passes.lock().await;
            shipping.ship_all(&self.engine).await;
        }
        Ok(())
    }

    /// Never ends.
    async fn watch_memory(&self) {
        loop {
            self.memory.look();
            tokio::time::sleep(MEMORY_INTERVAL).await;
        }
    }

    /// One pass. Whatever fails is named in the log and tried again in the next pass.
    pub async fn maintain(self: &Arc<Self>) {
        let _pass = self.passes.lock().await;
        let own = Arc::clone(self);
        blocking(move || own.cut()).await;
        if let Some(shipping) = &self.shipping
            && shipping.ship_all(&self.engine).await > 0
        {
            self.shipped.send_modify(|passes| *passes += 1);
        }
        self.remove_idle_tenants(&self.idleness).await;
        let own = Arc::clone(self);
        blocking(move || own.count_heads()).await;
    }

    /// Cuts what is due and removes what retention ends and the bucket has.
    fn cut(&self) {
        let may_remove = |tenant: &TenantId, block: BlockId| match &self.shipping {
            Some(shipping) => shipping.is_uploaded(tenant, block.0),
            None => true,
        };
        // What failed is in the log already.
        let done = self.engine.maintain(&may_remove);
        for tenant in self.engine.tenants() {
            let may_remove = |block| may_remove(&tenant, block);
            if let Err(error) = self.engine.retain(&tenant, self.retention_of(&tenant), &may_remove) {
                tracing::error!(%tenant, %error, "old blocks were not removed, will be tried again");
            }
        }
        let label = |tenant: &TenantId| [("tenant", tenant.to_string())];
        for (tenant, _) in &done.cut {
            self.metrics.compactions.get_or_create(&label(tenant)).inc();
        }
        for (tenant, _) in &done.failed {
            self.metrics.compactions_failed.get_or_create(&label(tenant)).inc();
        }
        if let Some(shipping) = &self.shipping {
            self.drop_start_times(shipping);
        }
    }

    /// Stock Thanos reads no start times: what is not in the bucket yet comes there without.
    fn drop_start_times(&self, shipping: &Shipping) {
        for tenant in self.engine.tenants() {
            // Blocks of ours never have any: only what was there at the start need be looked at.
            if self.without_start_times.lock().contains(&tenant) {
                continue;
            }
            let not_uploaded = |block: BlockId| !shipping.is_uploaded(&tenant, block.0);
            match self.engine.drop_start_times(&tenant, &not_uploaded) {
                Ok(recoded) if recoded.is_empty() => {}
                Ok(recoded) => {
                    tracing::info!(%tenant, blocks = recoded.len(), "blocks were written without start times")
                }
                Err(error) => tracing::error!(%tenant, %error, "blocks keep their start times, will be tried again"),
            }
        }
    }

    fn count_heads(&self) {
        self.metrics.quarantined_tenants.set(self.engine.quarantined().len() as i64);
        self.metrics.damaged_chunks.set(self.engine.damaged_chunks() as i64);
        for summary in self.tenants() {
            let label = [("tenant", summary.tenant.to_string())];
            let broken = summary.stats.unread_blocks + summary.stats.corrupt_blocks;
            self.metrics.quarantined_blocks.get_or_create(&label).set(broken as i64);
            self.count_exemplars(&summary.tenant);
        }
    }
}

/// Runs on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(run).await {
        Ok(value) => value,
        // Only a panic ends a blocking task early; it goes on where it would have without the other thread.
        Err(join) => std::panic::resume_unwind(join.into_panic()),
    }
}
