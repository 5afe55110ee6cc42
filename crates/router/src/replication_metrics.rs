//! Metrics of replication, with Thanos's names.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

type ResultLabel = [(&'static str, &'static str); 1];
type WorkerLabel = [(&'static str, String); 1];

const SUCCESS: ResultLabel = [("result", "success")];
const ERROR: ResultLabel = [("result", "error")];

#[derive(Clone, Copy, Debug)]
struct Delays;

impl MetricConstructor<Histogram> for Delays {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.001, 2.0, 16))
    }
}

/// Forwarding and replication.
#[derive(Clone, Debug)]
pub struct ReplicationMetrics {
    factor: Gauge,
    forwards: Family<ResultLabel, Counter>,
    replications: Family<ResultLabel, Counter>,
    delays: Family<WorkerLabel, Histogram, Delays>,
}

impl ReplicationMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let results = || {
            let family = Family::<ResultLabel, Counter>::default();
            for result in [SUCCESS, ERROR] {
                drop(family.get_or_create(&result));
            }
            family
        };
        let metrics = ReplicationMetrics {
            factor: Gauge::default(),
            forwards: results(),
            replications: results(),
            delays: Family::new_with_constructor(Delays),
        };
        metrics.factor(1);
        let help = "The number of times to replicate incoming write requests.";
        registry.register("thanos_receive_replication_factor", help, metrics.factor.clone());
        let help = "The number of replication operations done by the receiver. The success of replication is fulfilled when a \
                    quorum is met.";
        registry.register("thanos_receive_replications", help, metrics.replications.clone());
        let help = "The number of forward requests.";
        registry.register("thanos_receive_forward_requests", help, metrics.forwards.clone());
        let help = "The delay between the time the request was received and the time it was forwarded to a worker. ";
        registry.register("thanos_receive_forward_delay_seconds", help, metrics.delays.clone());
        metrics
    }

    pub(crate) fn factor(&self, replication_factor: usize) {
        self.factor.set(replication_factor.max(1) as i64);
    }

    pub(crate) fn forwarded(&self, worker: &str, delay: Duration) {
        self.delays.get_or_create(&[("worker", worker.to_string())]).observe(delay.as_secs_f64());
    }

    pub(crate) fn succeeded(&self, replicated: bool) {
        self.forwards.get_or_create(&SUCCESS).inc();
        if !replicated {
            self.replications.get_or_create(&SUCCESS).inc();
        }
    }

    pub(crate) fn failed(&self, replicated: bool) {
        self.forwards.get_or_create(&ERROR).inc();
        if !replicated {
            self.replications.get_or_create(&ERROR).inc();
        }
    }
}
