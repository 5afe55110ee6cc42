//! Uploading the blocks of all tenants.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thanoxide_block::fetcher::{Fetcher, FetcherConfig};
use thanoxide_block::meta::{META_NAME, Source};
use thanoxide_block::metrics::ShipperMetrics;
use thanoxide_block::shipper::{Shipper, ShipperConfig};
use thanoxide_env::Env;
use thanoxide_model::TenantId;
use thanoxide_objstore::{Bucket, BucketError};
use thanoxide_tsdb::engine::Engine;
use ulid::Ulid;

use crate::config::IngesterConfig;

/// One shipper per tenant, made when the tenant is first seen.
#[derive(Debug)]
pub(crate) struct Shipping {
    config: IngesterConfig,
    env: Env,
    bucket: Arc<dyn Bucket>,
    metrics: ShipperMetrics,
    shippers: Mutex<BTreeMap<TenantId, Arc<Shipper>>>,
}

impl Shipping {
    pub(crate) fn new(config: &IngesterConfig, env: &Env, bucket: Arc<dyn Bucket>, metrics: &ShipperMetrics) -> Self {
        let (config, env, metrics) = (config.clone(), env.clone(), metrics.clone());
        Shipping { config, env, bucket, metrics, shippers: Mutex::default() }
    }

    /// Ships what is new of every tenant, and says how many blocks that was. One tenant's trouble holds up no other.
    pub(crate) async fn ship_all(&self, engine: &Engine) -> usize {
        let mut uploaded = 0;
        for tenant in engine.tenants() {
            uploaded += self.sync(&tenant).await;
        }
        uploaded
    }

    async fn sync(&self, tenant: &TenantId) -> usize {
        match self.shipper(tenant).sync().await {
            Ok(report) => report.uploaded.len(),
            Err(error) => {
                tracing::error!(%tenant, %error, "blocks were not uploaded, will be tried again");
                0
            }
        }
    }

    /// Ships what is new of one tenant, and says whether the bucket has all its blocks.
    pub(crate) async fn ship(&self, engine: &Engine, tenant: &TenantId) -> bool {
        self.sync(tenant).await;
        let uploaded = self.shipper(tenant).uploaded();
        let blocks = engine.reader(tenant).map(|reader| reader.blocks()).unwrap_or_default();
        blocks.iter().all(|block| block.stats.num_samples == 0 || uploaded.contains(&block.ulid.0))
    }

    /// Forgets a tenant that is gone.
    pub(crate) fn forget(&self, tenant: &TenantId) {
        self.shippers.lock().remove(tenant);
        self.metrics.remove_tenant(tenant.as_str());
    }

    /// Removes the blocks that have a tenant's external labels: the meta first, so that no reader takes half a block.
    pub(crate) async fn delete_from_bucket(&self, tenant: &TenantId) -> Result<(), String> {
        let labels = self.config.labels_of(tenant);
        loop {
            // Blocks that are marked for deletion go, too.
            let config = FetcherConfig { ignore_deletion_marks_delay_ms: i64::MAX, ..FetcherConfig::default() };
            let fetcher = Fetcher::new(config, Arc::clone(&self.bucket), Arc::clone(&self.env.clock), None);
            let fetched = fetcher.fetch().await.map_err(|error| error.to_string())?;
            let own: Vec<_> = fetched.blocks.values().filter(|meta| meta.label_set() == labels).collect();
            for meta in &own {
                self.delete_block(&meta.id().to_string()).await.map_err(|error| error.to_string())?;
            }
            // A block that others were made of is seen only once those are gone.
            match fetched.failed.first() {
                Some((id, error)) => return Err(format!("whose block {id} is, is unknown: {error}")),
                None if own.is_empty() => return Ok(()),
                None => {}
            }
        }
    }

    async fn delete_block(&self, id: &str) -> Result<(), BucketError> {
        let gone = |result: Result<(), BucketError>| match result {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        };
        gone(self.bucket.delete(&format!("{id}/{META_NAME}")).await)?;
        for object in self.bucket.iter_recursive(id).await? {
            gone(self.bucket.delete(&object.name).await)?;
        }
        Ok(())
    }

    /// Whether the bucket has a block.
    pub(crate) fn is_uploaded(&self, tenant: &TenantId, block: Ulid) -> bool {
        self.shipper(tenant).uploaded().contains(&block)
    }

    fn shipper(&self, tenant: &TenantId) -> Arc<Shipper> {
        let mut shippers = self.shippers.lock();
        let shipper = shippers.entry(tenant.clone()).or_insert_with(|| Arc::new(self.new_shipper(tenant)));
        Arc::clone(shipper)
    }

    fn new_shipper(&self, tenant: &TenantId) -> Shipper {
        let config = ShipperConfig {
            dir: self.config.dir.join(tenant.as_str()),
            labels: self.config.labels_of(tenant),
            source: Source::receive(),
            upload_compacted: false,
            upload: self.config.upload,
        };
        let (disk, clock) = (Arc::clone(&self.env.disk), Arc::clone(&self.env.clock));
        Shipper::new(config, disk, clock, Arc::clone(&self.bucket), self.metrics.for_tenant(tenant.as_str()))
    }
}
