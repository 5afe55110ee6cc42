//! What can be configured of an ingester.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use thanoxide_block::UploadOptions;
use thanoxide_config::TenantLabels as LabelRules;
use thanoxide_model::{Labels, LabelsBuilder, TenantId};
use thanoxide_tsdb::head::late::LATE_CHUNK_SAMPLES;

/// Labels (name and value) by tenant.
type LabelsOfTenants = HashMap<String, Vec<(String, String)>>;

/// External labels by tenant, beside those of the process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct TenantLabels(Arc<RwLock<LabelsOfTenants>>);

impl TenantLabels {
    /// Sets those of all tenants.
    pub fn set(&self, labels: HashMap<String, Vec<(String, String)>>) {
        *self.0.write() = labels;
    }

    fn of(&self, tenant: &TenantId, mut each: impl FnMut(&str, &str)) {
        for (name, value) in self.0.read().get(tenant.as_str()).into_iter().flatten() {
            each(name, value);
        }
    }
}

/// Plain data; the durations have stock's defaults.
#[derive(Clone, Debug)]
pub struct IngesterConfig {
    /// Where tenants lie, a directory each.
    pub dir: PathBuf,
    /// Labels of every series, besides the tenant's.
    pub external_labels: Labels,
    /// Labels that tenants have by their names.
    pub label_rules: Arc<LabelRules>,
    /// The external label that carries the tenant.
    pub tenant_label_name: String,
    /// More labels of some tenants; they may change at any time.
    pub tenant_labels: TenantLabels,
    /// A tenant that is there from the start.
    pub default_tenant: TenantId,
    /// The time that a block of late samples spans, and the longest that a chunk may span.
    pub block_duration_ms: i64,
    /// The time that any other block spans: a multiple of the former, which `None` stands for.
    pub cut_duration_ms: Option<i64>,
    /// How long blocks are kept here; `None` is for ever.
    pub retention_ms: Option<i64>,
    /// The room that the blocks of each tenant may take; `None` is no limit.
    pub retention_bytes: Option<u64>,
    /// How blocks are uploaded.
    pub upload: UploadOptions,
    /// Near this much memory of the process new series are refused, and then heads are cut early; `None` is no limit.
    pub memory_limit_bytes: Option<u64>,
    /// How far ahead of the clock a sample may be; `None` takes all.
    pub too_far_in_future_ms: Option<i64>,
    /// How much older than its tenant's newest a sample out of order may be; 0 takes none.
    pub out_of_order_window_ms: i64,
    /// How many samples out of order make a chunk.
    pub out_of_order_chunk_samples: usize,
    /// Whether the start times of samples are kept.
    pub start_times: bool,
    /// How many exemplars of each tenant are kept; 0 keeps none.
    pub max_exemplars: usize,
    /// Whether a stop cuts all heads to blocks and ships them, as Thanos does. Otherwise, and where that fails, heads are left
    /// as `wal/` and `chunks_head/`, from which stock programs go on.
    pub flush_on_shutdown: bool,
    /// How often heads are looked at and blocks shipped.
    pub maintenance_interval: Duration,
}

impl IngesterConfig {
    /// Stock's defaults over a directory.
    pub fn new(dir: PathBuf, external_labels: Labels, default_tenant: TenantId) -> Self {
        IngesterConfig {
            dir,
            external_labels,
            label_rules: Arc::default(),
            tenant_label_name: "tenant_id".to_string(),
            tenant_labels: TenantLabels::default(),
            default_tenant,
            block_duration_ms: 2 * 3_600_000,
            cut_duration_ms: None,
            retention_ms: Some(15 * 86_400_000),
            retention_bytes: None,
            upload: UploadOptions::default(),
            memory_limit_bytes: None,
            too_far_in_future_ms: None,
            out_of_order_window_ms: 0,
            out_of_order_chunk_samples: LATE_CHUNK_SAMPLES,
            start_times: false,
            max_exemplars: 0,
            flush_on_shutdown: false,
            maintenance_interval: Duration::from_secs(30),
        }
    }

    /// The external labels of one tenant.
    pub fn labels_of(&self, tenant: &TenantId) -> Labels {
        let mut labels = LabelsBuilder::default();
        // As in stock: what the process says goes before what a hashring says.
        self.tenant_labels.of(tenant, |name, value| _ = labels.set(name, value));
        for (name, value) in self.label_rules.apply(&self.external_labels, tenant).iter() {
            labels.set(name, value);
        }
        labels.set(&self.tenant_label_name, tenant.as_str());
        labels.build()
    }
}
