//! What can be configured of an ingester.

use std::path::PathBuf;
use std::time::Duration;

use thanoxide_model::{Labels, LabelsBuilder, TenantId};

/// Plain data; the durations have stock's defaults.
#[derive(Clone, Debug)]
pub struct IngesterConfig {
    /// Where tenants lie, a directory each.
    pub dir: PathBuf,
    /// Labels of every series, besides the tenant's.
    pub external_labels: Labels,
    /// The external label that carries the tenant.
    pub tenant_label_name: String,
    /// A tenant that is there from the start.
    pub default_tenant: TenantId,
    /// The time that a block spans.
    pub block_duration_ms: i64,
    /// How long blocks are kept here; `None` is for ever.
    pub retention_ms: Option<i64>,
    /// How far ahead of the clock a sample may be; `None` takes all.
    pub too_far_in_future_ms: Option<i64>,
    /// How often heads are looked at and blocks shipped.
    pub maintenance_interval: Duration,
}

impl IngesterConfig {
    /// Stock's defaults over a directory.
    pub fn new(dir: PathBuf, external_labels: Labels, default_tenant: TenantId) -> Self {
        IngesterConfig {
            dir,
            external_labels,
            tenant_label_name: "tenant_id".to_string(),
            default_tenant,
            block_duration_ms: 2 * 3_600_000,
            retention_ms: Some(15 * 86_400_000),
            too_far_in_future_ms: None,
            maintenance_interval: Duration::from_secs(30),
        }
    }

    /// The external labels of one tenant.
    pub fn labels_of(&self, tenant: &TenantId) -> Labels {
        let mut labels = LabelsBuilder::from(&self.external_labels);
        labels.set(&self.tenant_label_name, tenant.as_str());
        labels.build()
    }
}
