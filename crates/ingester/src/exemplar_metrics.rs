//! Metrics of exemplars, under Prometheus's names.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use thanoxide_tsdb::engine::ExemplarStats;

use crate::metrics::TenantLabel;

/// Metrics of the exemplars of each tenant.
#[derive(Clone, Debug, Default)]
pub struct ExemplarMetrics {
    /// Exemplars stored since the start.
    pub appended: Family<TenantLabel, Counter>,
    /// Exemplars refused as out of order since the start.
    pub out_of_order: Family<TenantLabel, Counter>,
    /// Exemplars that are there.
    pub stored: Family<TenantLabel, Gauge>,
    /// Series that have any.
    pub series: Family<TenantLabel, Gauge>,
    /// Time of the oldest one, in seconds.
    pub oldest_seconds: Family<TenantLabel, Gauge>,
    /// As many as there may be.
    pub max: Family<TenantLabel, Gauge>,
    /// Exemplars that came and were not looked at.
    pub dropped: Family<TenantLabel, Counter>,
}

impl ExemplarMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = ExemplarMetrics::default();
        let m = &metrics;
        let mut counter = |name: &str, help: &str, family: &Family<TenantLabel, Counter>| {
            registry.register(name, help, family.clone());
        };
        counter("prometheus_tsdb_exemplar_exemplars_appended", "Total number of appended exemplars", &m.appended);
        counter(
            "prometheus_tsdb_exemplar_out_of_order_exemplars",
            "Total number of out of order exemplar ingestion failed attempts",
            &m.out_of_order,
        );
        counter(
            "thanoxide_ingester_exemplars_dropped",
            "Total number of exemplars that were received and not stored",
            &m.dropped,
        );
        let mut gauge = |name: &str, help: &str, family: &Family<TenantLabel, Gauge>| {
            registry.register(format!("prometheus_tsdb_exemplar_{name}"), help, family.clone());
        };
        gauge("exemplars_in_storage", "Number of exemplars currently in circular storage", &m.stored);
        gauge(
            "series_with_exemplars_in_storage",
            "Number of series with exemplars currently in circular storage",
            &m.series,
        );
        gauge(
            "last_exemplars_timestamp_seconds",
            "The timestamp of the oldest exemplar stored in circular storage",
            &m.oldest_seconds,
        );
        gauge("max_exemplars", "Total number of exemplars the exemplar storage can store", &m.max);
        metrics
    }

    /// Shows how a tenant stands.
    pub(crate) fn show(&self, label: &TenantLabel, stats: ExemplarStats) {
        // Whoever comes late says less, and counters do not fall.
        self.appended.get_or_create(label).inner().fetch_max(stats.appended, Ordering::Relaxed);
        self.out_of_order.get_or_create(label).inner().fetch_max(stats.out_of_order, Ordering::Relaxed);
        self.stored.get_or_create(label).set(stats.stored as i64);
        self.series.get_or_create(label).set(stats.series as i64);
        self.oldest_seconds.get_or_create(label).set(stats.oldest_ms.unwrap_or_default() / 1000);
        self.max.get_or_create(label).set(stats.max as i64);
    }

    /// Forgets a tenant.
    pub(crate) fn remove_tenant(&self, label: &TenantLabel) {
        for family in [&self.appended, &self.out_of_order, &self.dropped] {
            family.remove(label);
        }
        for family in [&self.stored, &self.series, &self.oldest_seconds, &self.max] {
            family.remove(label);
        }
    }
}
