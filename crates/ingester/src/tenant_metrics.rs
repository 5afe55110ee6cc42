//! What tenants hold, under Prometheus's names, as it is at the moment of the scrape.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use thanoxide_tsdb::engine::{Engine, TenantStats};

use crate::metrics::TenantLabel;

type Gauge = (&'static str, &'static str, fn(&TenantStats) -> i64);

const GAUGES: [Gauge; 6] = [
    ("head_series", "Total number of series in the head block", |stats| stats.series as i64),
    ("head_chunks", "Total number of chunks in the head block", |stats| stats.chunks as i64),
    ("head_min_time", "Minimum time bound of the head block, in milliseconds", |stats| {
        stats.head_times_ms.map_or(i64::MAX, |(min, _)| min)
    }),
    ("head_max_time", "Maximum timestamp of the head block, in milliseconds", |stats| {
        stats.head_times_ms.map_or(i64::MIN, |(_, max)| max)
    }),
    ("lowest_timestamp", "Lowest timestamp value stored in the database, in milliseconds", |stats| {
        stats.times_ms.map_or(i64::MAX, |(min, _)| min)
    }),
    ("blocks_loaded", "Number of currently loaded data blocks", |stats| stats.blocks as i64),
];

type Count = (&'static str, &'static str, fn(&TenantStats) -> u64);

const COUNTERS: [Count; 2] = [
    ("head_series_created", "Total number of series created in the head", |stats| stats.created),
    ("head_series_removed", "Total number of series removed in the head", |stats| {
        stats.created.saturating_sub(stats.series as u64)
    }),
];

/// Tells what the tenants of an engine hold, once it is there.
#[derive(Clone, Debug, Default)]
pub struct TenantMetrics(Arc<OnceLock<Weak<Engine>>>);

impl TenantMetrics {
    /// Tells of this engine from now on.
    pub(crate) fn watch(&self, engine: &Arc<Engine>) {
        // One set of metrics is one engine's.
        let _ = self.0.set(Arc::downgrade(engine));
    }

    fn tenants(&self) -> Vec<(TenantLabel, TenantStats)> {
        let Some(engine) = self.0.get().and_then(Weak::upgrade) else { return Vec::new() };
        let of = |tenant| Some(([("tenant", format!("{tenant}"))], engine.reader(&tenant)?.stats()));
        engine.tenants().into_iter().filter_map(of).collect()
    }
}

impl Collector for TenantMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let tenants = self.tenants();
        for (name, help, value) in GAUGES {
            let name = format!("prometheus_tsdb_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for (label, stats) in &tenants {
                family.encode_family(label)?.encode_gauge(&value(stats))?;
            }
        }
        for (name, help, value) in COUNTERS {
            let name = format!("prometheus_tsdb_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for (label, stats) in &tenants {
                family.encode_family(label)?.encode_counter::<[(String, String); 0], _, u64>(&value(stats), None)?;
            }
        }
        Ok(())
    }
}
