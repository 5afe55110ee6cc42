//! The querier's own metrics, under Thanos's names.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Metrics of the gate in front of the engine.
#[derive(Clone, Debug)]
pub struct QueryMetrics {
    /// Queries that run now.
    pub in_flight: Gauge,
    /// Queries that may run at a time.
    pub max: Gauge,
    /// Queries that came to the gate.
    pub total: Counter,
    /// How long they waited.
    pub wait_seconds: Histogram,
}

impl QueryMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let buckets = [0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0];
        let metrics = QueryMetrics {
            in_flight: Gauge::default(),
            max: Gauge::default(),
            total: Counter::default(),
            wait_seconds: Histogram::new(buckets),
        };
        let in_flight = "Number of queries that are currently in flight";
        registry.register("thanos_query_concurrent_gate_queries_in_flight", in_flight, metrics.in_flight.clone());
        let max = "Number of maximum concurrent queries";
        registry.register("thanos_query_concurrent_gate_queries_max", max, metrics.max.clone());
        registry.register("thanos_query_concurrent_gate_queries", "Total number of queries", metrics.total.clone());
        registry.register(
            "thanos_query_concurrent_gate_queries_duration_seconds",
            "How many seconds it took for queries to wait at the gate",
            metrics.wait_seconds.clone(),
        );
        metrics
    }
}
