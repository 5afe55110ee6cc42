//! Metrics of the shipper and of the fetcher, with Thanos's names.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

type Label = [(&'static str, String); 1];
type LabelledCounter = Family<Label, Counter>;

/// `thanos_shipper_*` for all tenants.
#[derive(Clone, Debug, Default)]
pub struct ShipperMetrics {
    dir_syncs: LabelledCounter,
    dir_sync_failures: LabelledCounter,
    uploads: LabelledCounter,
    upload_failures: LabelledCounter,
    corrupted_blocks: LabelledCounter,
    upload_compacted_done: Family<Label, Gauge>,
}

/// `thanos_shipper_*` of one tenant.
#[derive(Clone, Debug, Default)]
pub struct ShipperCounters {
    pub(crate) dir_syncs: Counter,
    pub(crate) dir_sync_failures: Counter,
    pub(crate) uploads: Counter,
    pub(crate) upload_failures: Counter,
    pub(crate) corrupted_blocks: Counter,
    pub(crate) upload_compacted_done: Gauge,
}

impl ShipperMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = ShipperMetrics::default();
        for (name, help, family) in [
            ("thanos_shipper_dir_syncs", "Total number of dir syncs", &metrics.dir_syncs),
            ("thanos_shipper_dir_sync_failures", "Total number of failed dir syncs", &metrics.dir_sync_failures),
            ("thanos_shipper_uploads", "Total number of uploaded blocks", &metrics.uploads),
            ("thanos_shipper_upload_failures", "Total number of block upload failures", &metrics.upload_failures),
            ("thanos_shipper_corrupted_blocks", "Total number of corrupted blocks", &metrics.corrupted_blocks),
        ] {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "thanos_shipper_upload_compacted_done",
            "If 1 it means shipper uploaded all compacted blocks from the filesystem",
            metrics.upload_compacted_done.clone(),
        );
        metrics
    }

    /// The metrics of a tenant.
    pub fn for_tenant(&self, tenant: &str) -> ShipperCounters {
        let label = [("tenant", tenant.to_string())];
        let counter = |family: &LabelledCounter| family.get_or_create(&label).clone();
        ShipperCounters {
            dir_syncs: counter(&self.dir_syncs),
            dir_sync_failures: counter(&self.dir_sync_failures),
            uploads: counter(&self.uploads),
            upload_failures: counter(&self.upload_failures),
            corrupted_blocks: counter(&self.corrupted_blocks),
            upload_compacted_done: self.upload_compacted_done.get_or_create(&label).clone(),
        }
    }

    /// Forgets a tenant.
    pub fn remove_tenant(&self, tenant: &str) {
        let label = [("tenant", tenant.to_string())];
        for family in
            [&self.dir_syncs, &self.dir_sync_failures, &self.uploads, &self.upload_failures, &self.corrupted_blocks]
        {
            family.remove(&label);
        }
        self.upload_compacted_done.remove(&label);
    }
}

/// What became of a block in a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncState {
    Loaded,
    CorruptedMeta,
    NoMeta,
    Failed,
    TimeExcluded,
    LabelExcluded,
    TooFresh,
    MarkedForDeletion,
    Duplicate,
}

impl SyncState {
    fn as_str(self) -> &'static str {
        match self {
            SyncState::Loaded => "loaded",
            SyncState::CorruptedMeta => "corrupted-meta-json",
            SyncState::NoMeta => "no-meta-json",
            SyncState::Failed => "failed",
            SyncState::TimeExcluded => "time-excluded",
            SyncState::LabelExcluded => "label-excluded",
            SyncState::TooFresh => "too-fresh",
            SyncState::MarkedForDeletion => "marked-for-deletion",
            SyncState::Duplicate => "duplicate",
        }
    }
}

const STATES: [SyncState; 9] = [
    SyncState::Loaded,
    SyncState::CorruptedMeta,
    SyncState::NoMeta,
    SyncState::Failed,
    SyncState::TimeExcluded,
    SyncState::LabelExcluded,
    SyncState::TooFresh,
    SyncState::MarkedForDeletion,
    SyncState::Duplicate,
];

/// `thanos_blocks_meta_*`.
#[derive(Clone, Debug)]
pub struct FetcherMetrics {
    pub(crate) syncs: Counter,
    pub(crate) sync_failures: Counter,
    pub(crate) sync_duration: Histogram,
    pub(crate) cache_busts: Counter,
    synced: Family<Label, Gauge>,
    pub(crate) consistency_delay: Gauge<f64, AtomicU64>,
}

impl FetcherMetrics {
    /// Registers the metrics; every state exists from the start, at 0.
    pub fn new(registry: &mut Registry) -> Self {
        let buckets = [0.01, 1.0, 10.0, 100.0, 300.0, 600.0, 1000.0];
        let metrics = FetcherMetrics {
            syncs: Counter::default(),
            sync_failures: Counter::default(),
            sync_duration: Histogram::new(buckets),
            cache_busts: Counter::default(),
            synced: Family::default(),
            consistency_delay: Gauge::default(),
        };
        metrics.expose(registry);
        metrics.set_synced(&[]);
        metrics
    }

    fn expose(&self, registry: &mut Registry) {
        let help = "Total blocks metadata synchronization attempts";
        registry.register("thanos_blocks_meta_syncs", help, self.syncs.clone());
        let help = "Total blocks metadata synchronization attempts by base Fetcher";
        registry.register("thanos_blocks_meta_base_syncs", help, self.syncs.clone());
        let help = "Total blocks metadata cache busts by base Fetcher";
        registry.register("thanos_blocks_meta_base_cache_busts", help, self.cache_busts.clone());
        let help = "Total blocks metadata synchronization failures";
        registry.register("thanos_blocks_meta_sync_failures", help, self.sync_failures.clone());
        let help = "Duration of the blocks metadata synchronization in seconds";
        registry.register("thanos_blocks_meta_sync_duration_seconds", help, self.sync_duration.clone());
        registry.register("thanos_blocks_meta_synced", "Number of block metadata synced", self.synced.clone());
        let help = "Configured consistency delay in seconds";
        registry.register("thanos_consistency_delay_seconds", help, self.consistency_delay.clone());
    }

    /// Sets the number of blocks in each state.
    pub(crate) fn set_synced(&self, counts: &[(SyncState, usize)]) {
        for state in STATES {
            let count: usize = counts.iter().filter(|(s, _)| *s == state).map(|(_, n)| n).sum();
            self.synced.get_or_create(&[("state", state.as_str().to_string())]).set(count as i64);
        }
    }
}
