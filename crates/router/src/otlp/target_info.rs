//! `target_info`: what a resource says of itself.
//!
//! Thanos writes one sample, at the newest time of the resource's points; Prometheus one every half lookback from the
//! oldest time on, so that whoever asks for any moment between finds one.

use thanoxide_model::{MetricMetadata, MetricType};
use thanoxide_proto::opentelemetry::Metric;

use super::labels::ResourceLabels;
use super::points::{ms, times_ns};
use super::series_set::SeriesSet;
use super::settings::OtlpSettings;

/// Half of Prometheus's default lookback.
const INTERVAL_NS: i64 = 150_000_000_000;
/// So many samples of all resources of a request; a resource that would need more has its newest one alone.
const MAX_SAMPLES: i64 = 100_000;

/// The `target_info` of the resources of one request.
pub(super) struct TargetInfo<'a> {
    settings: &'a OtlpSettings,
    left: i64,
}

impl<'a> TargetInfo<'a> {
    pub(super) fn new(settings: &'a OtlpSettings) -> Self {
        TargetInfo { settings, left: MAX_SAMPLES }
    }

    /// Adds that of a resource with these metrics.
    pub(super) fn add<'m>(
        &mut self,
        resource: &ResourceLabels<'_>,
        metrics: impl Iterator<Item = &'m Metric>,
        series: &mut SeriesSet,
    ) -> Result<(), String> {
        let span = metrics.filter_map(times_ns).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let Some((oldest_ns, newest_ns)) = span.filter(|_| self.settings.target_info) else { return Ok(()) };
        let of_thanos = self.settings.strategy.is_of_thanos();
        if of_thanos && newest_ns == 0 {
            return Ok(());
        }
        let Some(labels) = resource.target_info()? else { return Ok(()) };
        if of_thanos {
            series.target(labels, [ms(newest_ns)]);
            return Ok(());
        }
        series.target(labels, self.times_ms(oldest_ns as i64, newest_ns as i64));
        let help = "Target metadata".to_string();
        series.say("target_info".to_string(), MetricMetadata { kind: MetricType::Gauge, help, unit: String::new() });
        Ok(())
    }

    /// Times beyond 2262 wrap around, as in Go.
    fn times_ms(&mut self, oldest_ns: i64, newest_ns: i64) -> impl Iterator<Item = i64> {
        let apart_ns = i128::from(newest_ns) - i128::from(oldest_ns);
        let before = (apart_ns + i128::from(INTERVAL_NS) - 1).max(0) / i128::from(INTERVAL_NS);
        let before = i64::try_from(before).ok().filter(|before| *before <= self.left).unwrap_or(0);
        self.left -= before;
        let of_ns = |ns: i64| ns.div_euclid(1_000_000);
        (0..before).map(move |step| of_ns(oldest_ns + step * INTERVAL_NS)).chain([of_ns(newest_ns)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_half_a_lookback_apart() {
        let settings = OtlpSettings::default();
        let mut info = TargetInfo::new(&settings);
        let mut times = |oldest, newest| info.times_ms(oldest, newest).collect::<Vec<_>>();
        assert_eq!(times(5_000_000, 5_000_000), [5]);
        assert_eq!(times(0, 300_000_000_000), [0, 150_000, 300_000]);
        assert_eq!(times(0, 300_000_000_001), [0, 150_000, 300_000, 300_000]);
        assert_eq!(times(7_000_000, -1), [-1]);
        // A request cannot ask for memory by a time.
        assert_eq!(times(i64::MIN, i64::MAX).len(), 1);
        assert_eq!((times(0, 90_000 * INTERVAL_NS).len(), times(0, 90_000 * INTERVAL_NS).len()), (90_001, 1));
    }
}
