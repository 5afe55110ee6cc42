//! `thanos_bucket_store_*` and the gate of `Series` calls.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

type Label = [(&'static str, &'static str); 1];

/// The metrics of a store gateway.
#[derive(Clone, Debug)]
pub(crate) struct StoreMetrics {
    pub(crate) block_loads: Counter,
    pub(crate) block_load_failures: Counter,
    pub(crate) block_drops: Counter,
    pub(crate) block_drop_failures: Counter,
    pub(crate) blocks_loaded: Gauge,
    pub(crate) last_loaded_s: Gauge<f64, AtomicU64>,
    pub(crate) block_load_duration: Histogram,
    pub(crate) blocks_queried: Histogram,
    pub(crate) result_series: Histogram,
    pub(crate) chunk_refetches: Counter,
    pub(crate) sent_chunk_bytes: Histogram,
    data_fetched_bytes: Family<Label, Histogram>,
    data_touched: Family<Label, Histogram>,
    queries_dropped: Family<Label, Counter>,
    pub(crate) gate: GateMetrics,
}

/// The gate of `Series` calls.
#[derive(Clone, Debug)]
pub(crate) struct GateMetrics {
    pub(crate) max: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) total: Counter,
    pub(crate) wait: Histogram,
}

impl StoreMetrics {
    /// Registers the metrics.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let sizes = || Histogram::new(exponential_buckets(200.0, 2.0, 15));
        let metrics = StoreMetrics {
            block_loads: Counter::default(),
            block_load_failures: Counter::default(),
            block_drops: Counter::default(),
            block_drop_failures: Counter::default(),
            blocks_loaded: Gauge::default(),
            last_loaded_s: Gauge::default(),
            block_load_duration: Histogram::new([0.01, 0.1, 0.5, 1.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0]),
            blocks_queried: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]),
            result_series: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]),
            chunk_refetches: Counter::default(),
            sent_chunk_bytes: Histogram::new([32.0, 256.0, 512.0, 1024.0, 32_768.0, 262_144.0, 524_288.0]),
            data_fetched_bytes: Family::new_with_constructor(sizes),
            data_touched: Family::new_with_constructor(sizes),
            queries_dropped: Family::default(),
            gate: GateMetrics {
                max: Gauge::default(),
                in_flight: Gauge::default(),
                total: Counter::default(),
                wait: Histogram::new([0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0]),
            },
        };
        metrics.expose_blocks(registry);
        metrics.expose_series(registry);
        metrics.gate.expose(registry);
        metrics
    }

    fn expose_blocks(&self, registry: &mut Registry) {
        let help = "Total number of remote block loading attempts";
        registry.register("thanos_bucket_store_block_loads", help, self.block_loads.clone());
        let help = "Total number of failed remote block loading attempts";
        registry.register("thanos_bucket_store_block_load_failures", help, self.block_load_failures.clone());
        let help = "Total number of local blocks that were dropped";
        registry.register("thanos_bucket_store_block_drops", help, self.block_drops.clone());
        let help = "Total number of local blocks that failed to be dropped";
        registry.register("thanos_bucket_store_block_drop_failures", help, self.block_drop_failures.clone());
        let help = "Number of currently loaded blocks";
        registry.register("thanos_bucket_store_blocks_loaded", help, self.blocks_loaded.clone());
        let help = "Timestamp when last block got loaded";
        registry.register("thanos_bucket_store_blocks_last_loaded_timestamp_seconds", help, self.last_loaded_s.clone());
        let help = "The total time taken to load a block in seconds";
        registry.register("thanos_bucket_store_block_load_duration_seconds", help, self.block_load_duration.clone());
    }

    fn expose_series(&self, registry: &mut Registry) {
        let help = "Number of blocks in a bucket store that were touched to satisfy a query";
        registry.register("thanos_bucket_store_series_blocks_queried", help, self.blocks_queried.clone());
        let help = "Number of series observed in the final result of a query";
        registry.register("thanos_bucket_store_series_result_series", help, self.result_series.clone());
        let help = "Number of chunks that were longer than expected and fetched again";
        registry.register("thanos_bucket_store_chunk_refetches", help, self.chunk_refetches.clone());
        let help = "Size in bytes of the chunks for the single series";
        registry.register("thanos_bucket_store_sent_chunk_size_bytes", help, self.sent_chunk_bytes.clone());
        let help = "Size of all items of a data type in a block were fetched for a single Series request";
        registry.register("thanos_bucket_store_series_data_size_fetched_bytes", help, self.data_fetched_bytes.clone());
        let help = "Number of items of a data type in a block were touched for a single Series request";
        registry.register("thanos_bucket_store_series_data_touched", help, self.data_touched.clone());
        let help = "Number of queries that were dropped due to the limit";
        registry.register("thanos_bucket_store_queries_dropped", help, self.queries_dropped.clone());
        for reason in ["series", "chunks", "bytes"] {
            let _ = self.queries_dropped.get_or_create(&[("reason", reason)]);
        }
    }

    pub(crate) fn touched(&self, data_type: &'static str, count: usize) {
        self.data_touched.get_or_create(&[("data_type", data_type)]).observe(count as f64);
    }

    pub(crate) fn fetched_bytes(&self, data_type: &'static str, bytes: u64) {
        self.data_fetched_bytes.get_or_create(&[("data_type", data_type)]).observe(bytes as f64);
    }

    pub(crate) fn dropped(&self, reason: &'static str) {
        self.queries_dropped.get_or_create(&[("reason", reason)]).inc();
    }
}

impl GateMetrics {
    fn expose(&self, registry: &mut Registry) {
        let help = "Maximum number of concurrent queries";
        registry.register("thanos_bucket_store_series_gate_queries_max", help, self.max.clone());
        let help = "Number of queries that are currently in flight";
        registry.register("thanos_bucket_store_series_gate_queries_in_flight", help, self.in_flight.clone());
        let help = "Total number of queries";
        registry.register("thanos_bucket_store_series_gate_queries", help, self.total.clone());
        let help = "How many seconds it took for queries to wait at the gate";
        registry.register("thanos_bucket_store_series_gate_queries_duration_seconds", help, self.wait.clone());
    }
}
