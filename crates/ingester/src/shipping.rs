//! Uploading the blocks of all tenants.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thanoxide_block::meta::Source;
use thanoxide_block::metrics::ShipperMetrics;
use thanoxide_block::shipper::{Shipper, ShipperConfig};
use thanoxide_env::Env;
use thanoxide_model::TenantId;
use thanoxide_objstore::Bucket;
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
            match self.shipper(&tenant).sync().await {
                Ok(report) => uploaded += report.uploaded.len(),
                Err(error) => tracing::error!(%tenant, %error, "blocks were not uploaded, will be tried again"),
            }
        }
        uploaded
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
        };
        let (disk, clock) = (Arc::clone(&self.env.disk), Arc::clone(&self.env.clock));
        Shipper::new(config, disk, clock, Arc::clone(&self.bucket), self.metrics.for_tenant(tenant.as_str()))
    }
}
