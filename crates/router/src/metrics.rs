//! Metrics of the write path, under Thanos's names where Thanos has them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use thanoxide_model::TenantId;
use thanoxide_server::TenantLabels;
use thanoxide_server::http::StatusCode;
use thanoxide_storeapi::Rejected;

/// Thanos's buckets of series and samples per request.
const SIZE_BUCKETS: [f64; 7] = [10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0];

type SizeLabels = [(&'static str, String); 2];
type ReasonLabels = [(&'static str, String); 1];

#[derive(Clone, Copy, Debug)]
struct Sizes;

impl MetricConstructor<Histogram> for Sizes {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SIZE_BUCKETS)
    }
}

/// The router's metrics.
#[derive(Clone, Debug)]
pub struct RouterMetrics {
    samples: Family<SizeLabels, Histogram, Sizes>,
    series: Family<SizeLabels, Histogram, Sizes>,
    rejected: Family<ReasonLabels, Counter>,
    inflight_bytes: Gauge<u64, AtomicU64>,
    tenants: Arc<TenantLabels>,
}

impl RouterMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = RouterMetrics {
            samples: Family::new_with_constructor(Sizes),
            series: Family::new_with_constructor(Sizes),
            rejected: Family::default(),
            inflight_bytes: Gauge::default(),
            tenants: Arc::default(),
        };
        let help = "The number of sampled received in the incoming write requests.";
        registry.register("thanos_receive_write_samples", help, metrics.samples.clone());
        let help = "The number of timeseries received in the incoming write requests.";
        registry.register("thanos_receive_write_timeseries", help, metrics.series.clone());
        let help = "Samples refused by the storage, by reason.";
        registry.register("thanoxide_router_rejected_samples", help, metrics.rejected.clone());
        let help = "Bytes of request bodies held at the moment.";
        registry.register("thanoxide_router_inflight_bytes", help, metrics.inflight_bytes.clone());
        metrics
    }

    pub(crate) fn observe(&self, tenant: &TenantId, status: StatusCode, series: usize, samples: u64) {
        let labels = [("code", status.as_u16().to_string()), ("tenant", self.tenants.label(tenant))];
        self.series.get_or_create(&labels).observe(series as f64);
        self.samples.get_or_create(&labels).observe(samples as f64);
    }

    pub(crate) fn count_rejected(&self, rejected: &[Rejected]) {
        for rejection in rejected {
            let labels = [("reason", rejection.verdict.to_string())];
            self.rejected.get_or_create(&labels).inc_by(u64::from(rejection.samples));
        }
    }

    pub(crate) fn inflight_bytes(&self) -> Gauge<u64, AtomicU64> {
        self.inflight_bytes.clone()
    }
}
