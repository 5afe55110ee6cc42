//! The ingester's own metrics, under Prometheus's and Thanos's names.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use thanoxide_block::metrics::ShipperMetrics;

use crate::damage_metrics::DamageMetrics;
use crate::exemplar_metrics::ExemplarMetrics;
use crate::tenant_metrics::TenantMetrics;

/// `tenant="…"`.
pub type TenantLabel = [(&'static str, String); 1];

/// Metrics of the tenants in the engine.
#[derive(Clone, Debug)]
pub struct IngesterMetrics {
    /// What tenants hold.
    pub tenants: TenantMetrics,
    /// Samples taken.
    pub appended: Family<TenantLabel, Counter>,
    /// Samples refused as out of order.
    pub out_of_order: Family<TenantLabel, Counter>,
    /// Samples refused as out of bounds.
    pub out_of_bounds: Family<TenantLabel, Counter>,
    /// Samples refused as older than the out-of-order window.
    pub too_old: Family<TenantLabel, Counter>,
    /// Exemplars.
    pub exemplars: ExemplarMetrics,
    /// Blocks cut.
    pub compactions: Family<TenantLabel, Counter>,
    /// Passes of maintenance that failed.
    pub compactions_failed: Family<TenantLabel, Counter>,
    /// What the start found damaged.
    pub damage: DamageMetrics,
    /// Tenants that cannot be opened at the moment.
    pub quarantined_tenants: Gauge,
    /// Blocks that cannot be read.
    pub quarantined_blocks: Family<TenantLabel, Gauge>,
    /// Chunks of heads that were found damaged.
    pub damaged_chunks: Gauge,
    /// Uploads.
    pub shipper: ShipperMetrics,
}

impl IngesterMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = IngesterMetrics {
            tenants: TenantMetrics::default(),
            appended: Family::default(),
            out_of_order: Family::default(),
            out_of_bounds: Family::default(),
            too_old: Family::default(),
            exemplars: ExemplarMetrics::new(registry),
            compactions: Family::default(),
            compactions_failed: Family::default(),
            damage: DamageMetrics::new(registry),
            quarantined_tenants: Gauge::default(),
            quarantined_blocks: Family::default(),
            damaged_chunks: Gauge::default(),
            shipper: ShipperMetrics::new(registry),
        };
        let m = &metrics;
        registry.register_collector(Box::new(m.tenants.clone()));
        registry.register(
            "thanoxide_tsdb_quarantined_tenants",
            "Number of tenants that cannot be opened and are not served",
            m.quarantined_tenants.clone(),
        );
        registry.register(
            "thanoxide_tsdb_quarantined_blocks",
            "Number of blocks that cannot be read and are left out",
            m.quarantined_blocks.clone(),
        );
        registry.register(
            "thanoxide_tsdb_damaged_head_chunks",
            "Number of chunks of heads that were found damaged since the start",
            m.damaged_chunks.clone(),
        );
        let mut counter = |name: &str, help: &str, family: &Family<TenantLabel, Counter>| {
            registry.register(format!("prometheus_tsdb_{name}"), help, family.clone());
        };
        counter("head_samples_appended", "Total number of appended samples", &m.appended);
        counter(
            "out_of_order_samples",
            "Total number of out of order samples ingestion failed attempts",
            &m.out_of_order,
        );
        counter(
            "out_of_bound_samples",
            "Total number of out of bound samples ingestion failed attempts",
            &m.out_of_bounds,
        );
        counter(
            "too_old_samples",
            "Total number of out of order samples ingestion failed attempts with out of support enabled, but sample outside of \
             time window",
            &m.too_old,
        );
        counter("compactions", "Total number of compactions that were executed", &m.compactions);
        counter("compactions_failed", "Total number of compactions that failed", &m.compactions_failed);
        metrics
    }

    /// Forgets a tenant.
    pub(crate) fn remove_tenant(&self, tenant: &str) {
        let label = [("tenant", tenant.to_string())];
        self.quarantined_blocks.remove(&label);
        self.exemplars.remove_tenant(&label);
        let counters = [&self.appended, &self.out_of_order, &self.out_of_bounds, &self.too_old];
        for family in counters.into_iter().chain([&self.compactions, &self.compactions_failed]) {
            family.remove(&label);
        }
    }
}
