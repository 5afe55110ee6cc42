//! What a start found damaged, by kind. The log names each place.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use thanoxide_tsdb::engine::OpenReport;

type KindLabel = [(&'static str, &'static str); 1];

/// Counts of the last start.
#[derive(Clone, Debug, Default)]
pub struct DamageMetrics(Family<KindLabel, Gauge>);

impl DamageMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = DamageMetrics::default();
        registry.register(
            "thanoxide_tsdb_damage_at_start",
            "What the last start found damaged in log, snapshot and chunk files, by kind; what it held is lost or set aside",
            metrics.0.clone(),
        );
        metrics
    }

    /// Notes what a start found.
    pub(crate) fn note(&self, report: &OpenReport) {
        let counts = &report.counts;
        for (kind, count) in [
            ("stretches", report.damaged),
            ("bytes", report.damaged_bytes),
            ("missing_frames", report.missing),
            ("orphaned_samples", counts.orphans),
            ("undecodable_frames", counts.undecodable),
            ("lost_chunks", counts.lost_chunks),
        ] {
            self.0.get_or_create(&[("kind", kind)]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
