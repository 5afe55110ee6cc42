//! Metrics of hints.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Why a hint is not delivered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dropped {
    /// There was no room.
    Full,
    /// It was kept too long.
    Old,
    /// Its node does not want it, wholly or in part.
    Refused,
    /// The disk failed.
    Disk,
}

/// Counts of hints.
#[derive(Clone, Debug, Default)]
pub struct HintMetrics {
    kept: Counter,
    delivered: Counter,
    dropped: Family<[(&'static str, &'static str); 1], Counter>,
    bytes: Gauge,
}

impl HintMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Parts of acknowledged writes that were kept for a node that was away.";
        registry.register("thanoxide_router_hints_kept", help, metrics.kept.clone());
        let help = "Kept parts that their node has taken.";
        registry.register("thanoxide_router_hints_delivered", help, metrics.delivered.clone());
        let help =
            "Parts of acknowledged writes that one node will not get, by reason; the others of the quorum have them.";
        registry.register("thanoxide_router_hints_dropped", help, metrics.dropped.clone());
        let help = "Bytes of kept parts on disk.";
        registry.register("thanoxide_router_hints_bytes", help, metrics.bytes.clone());
        metrics
    }

    pub(super) fn kept(&self) {
        self.kept.inc();
    }

    pub(super) fn delivered(&self) {
        self.delivered.inc();
    }

    pub(super) fn dropped(&self, reason: Dropped) {
        let reason = match reason {
            Dropped::Full => "full",
            Dropped::Old => "old",
            Dropped::Refused => "refused",
            Dropped::Disk => "disk",
        };
        self.dropped.get_or_create(&[("reason", reason)]).inc();
    }

    pub(super) fn bytes(&self, bytes: u64) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
