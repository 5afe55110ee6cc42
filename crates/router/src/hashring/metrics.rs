//! Metrics of rings, with Thanos's names.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Label = [(&'static str, String); 1];

/// The caches of shuffle shards, by hashring, and how often rings were changed.
#[derive(Clone, Debug, Default)]
pub struct HashringMetrics {
    requests: Family<Label, Counter>,
    hits: Family<Label, Counter>,
    items: Family<Label, Gauge>,
    max_items: Family<Label, Gauge>,
    evicted: Family<Label, Counter>,
    pub(crate) updates_attempted: Counter,
    pub(crate) updates_completed: Counter,
}

impl HashringMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let name = |part: &str| format!("thanos_shuffle_shard_cache_{part}");
        let (requests, hits) = (metrics.requests.clone(), metrics.hits.clone());
        registry.register(name("requests"), "Total number of cache requests for shuffle shard subrings", requests);
        registry.register(name("hits"), "Total number of cache hits for shuffle shard subrings", hits);
        registry.register(name("items"), "Total number of cached items", metrics.items.clone());
        registry.register(name("max_items"), "Maximum number of items that can be cached", metrics.max_items.clone());
        registry.register(name("evicted"), "Total number of items evicted from the cache", metrics.evicted.clone());
        // Thanos flushes all databases then; here the rings are swapped, and nothing is flushed.
        let name = |part: &str| format!("thanos_receive_multi_db_updates_{part}");
        let help = "Number of Multi DB attempted reloads with flush and potential upload due to hashring changes";
        registry.register(name("attempted"), help, metrics.updates_attempted.clone());
        let help = "Number of Multi DB completed reloads with flush and potential upload due to hashring changes";
        registry.register(name("completed"), help, metrics.updates_completed.clone());
        metrics
    }

    pub(super) fn of(&self, hashring: &str) -> ShardCacheMetrics {
        ShardCacheMetrics { metrics: self.clone(), label: Arc::new([("hashring", hashring.to_string())]) }
    }
}

/// Those of one ring.
#[derive(Clone, Debug)]
pub struct ShardCacheMetrics {
    metrics: HashringMetrics,
    label: Arc<Label>,
}

impl ShardCacheMetrics {
    pub(super) fn requested(&self) {
        self.metrics.requests.get_or_create(&self.label).inc();
    }

    pub(super) fn hit(&self) {
        self.metrics.hits.get_or_create(&self.label).inc();
    }

    pub(super) fn evicted(&self) {
        self.metrics.evicted.get_or_create(&self.label).inc();
    }

    pub(super) fn items(&self, count: usize) {
        self.metrics.items.get_or_create(&self.label).set(count as i64);
    }

    pub(super) fn max_items(&self, count: usize) {
        self.metrics.max_items.get_or_create(&self.label).set(count as i64);
    }
}
