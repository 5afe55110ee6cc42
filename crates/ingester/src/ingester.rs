//! The ingester itself: an engine, a bucket to ship to, and the loop that keeps both in order.

use std::path::Path;
use std::sync::Arc;

use thanoxide_config::Limits;
use thanoxide_env::{Clock, Env};
use thanoxide_model::{Labels, TenantId};
use thanoxide_objstore::Bucket;
use thanoxide_server::Shutdown;
use thanoxide_tsdb::engine::{Engine, EngineError, EngineOptions, TenantStats};
use thanoxide_tsdb::meta::BlockId;
use tokio::sync::{Notify, watch};

use crate::config::IngesterConfig;
use crate::metrics::IngesterMetrics;
use crate::series_limits::SeriesLimits;
use crate::shipping::Shipping;

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
    shipping: Option<Shipping>,
    wake: Notify,
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
            retention_ms: config.retention_ms,
            too_far_in_future_ms: config.too_far_in_future_ms,
            ..EngineOptions::default()
        };
        let shipping = deps.bucket.map(|bucket| Shipping::new(&config, &deps.env, bucket, &deps.metrics.shipper));
        let clock = Arc::clone(&deps.env.clock);
        let engine = Arc::new(Engine::open(&config.dir, options, deps.env)?);
        engine.open_tenant(&config.default_tenant)?;
        let ingester = Ingester {
            config,
            engine,
            metrics: deps.metrics,
            series_limits: SeriesLimits::default(),
            clock,
            shipping,
            wake: Notify::new(),
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

    /// Cuts, ships and removes until asked to stop; then makes all durable.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), EngineError> {
        loop {
            self.maintain().await;
            tokio::select! {
                () = shutdown.requested() => break,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(self.config.maintenance_interval) => {}
            }
        }
        let engine = Arc::clone(&self.engine);
        blocking(move || engine.close()).await
    }

    /// One pass. Whatever fails is named in the log and tried again in the next pass.
    pub async fn maintain(self: &Arc<Self>) {
        let own = Arc::clone(self);
        blocking(move || own.cut()).await;
        if let Some(shipping) = &self.shipping
            && shipping.ship_all(&self.engine).await > 0
        {
            self.shipped.send_modify(|passes| *passes += 1);
        }
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
        let label = |tenant: &TenantId| [("tenant", tenant.to_string())];
        for (tenant, _) in &done.cut {
            self.metrics.compactions.get_or_create(&label(tenant)).inc();
        }
        for (tenant, _) in &done.failed {
            self.metrics.compactions_failed.get_or_create(&label(tenant)).inc();
        }
    }

    fn count_heads(&self) {
        for summary in self.tenants() {
            let label = [("tenant", summary.tenant.to_string())];
            self.metrics.head_series.get_or_create(&label).set(summary.stats.series as i64);
            self.metrics.head_chunks.get_or_create(&label).set(summary.stats.chunks as i64);
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
