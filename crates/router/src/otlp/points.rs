//! Points of every kind of metric as series.

use thanoxide_model::float::format_f;
use thanoxide_model::histogram::Histogram;
use thanoxide_proto::opentelemetry as otlp;
use thanoxide_proto::opentelemetry::metric::Data;
use thanoxide_proto::opentelemetry::number_data_point::Value;

use super::exemplars::{PromExemplar, exemplars_of};
use super::histograms::{NO_VALUE, custom_buckets, exponential};
use super::labels::ScopeLabels;
use super::metadata::{is_delta, metadata_of};
use super::names::TranslationStrategy;
use super::series_set::{PointTimes, SeriesSet};
use super::settings::OtlpSettings;

const CUMULATIVE: i32 = otlp::AggregationTemporality::Cumulative as i32;
const DELTA: i32 = otlp::AggregationTemporality::Delta as i32;

pub(super) fn ms(time_unix_nano: u64) -> i64 {
    time_unix_nano as i64 / 1_000_000
}

/// The oldest and the newest time of a metric, in nanoseconds.
pub(super) fn times_ns(metric: &otlp::Metric) -> Option<(u64, u64)> {
    match &metric.data {
        Some(Data::Gauge(gauge)) => ends(gauge.data_points.iter().map(|p| p.time_unix_nano)),
        Some(Data::Sum(sum)) => ends(sum.data_points.iter().map(|p| p.time_unix_nano)),
        Some(Data::Histogram(histogram)) => ends(histogram.data_points.iter().map(|p| p.time_unix_nano)),
        Some(Data::ExponentialHistogram(histogram)) => ends(histogram.data_points.iter().map(|p| p.time_unix_nano)),
        Some(Data::Summary(summary)) => ends(summary.data_points.iter().map(|p| p.time_unix_nano)),
        None => None,
    }
}

fn ends(times: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
    times.map(|time| (time, time)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// The form of a metric: whether it is one that Prometheus can take. The texts are stock's.
fn check(metric: &otlp::Metric, settings: &OtlpSettings) -> Result<(), String> {
    let (temporality, points) = match &metric.data {
        Some(Data::Gauge(gauge)) => (CUMULATIVE, gauge.data_points.len()),
        Some(Data::Sum(sum)) => (sum.aggregation_temporality, sum.data_points.len()),
        Some(Data::Histogram(histogram)) => (histogram.aggregation_temporality, histogram.data_points.len()),
        Some(Data::ExponentialHistogram(histogram)) => (histogram.aggregation_temporality, histogram.data_points.len()),
        Some(Data::Summary(summary)) => (CUMULATIVE, summary.data_points.len()),
        None => (0, 0),
    };
    if temporality != CUMULATIVE && !(settings.delta && temporality == DELTA) {
        return Err(format!("invalid temporality for metric {:?}", metric.name));
    }
    match points {
        0 => Err(format!("empty data points. {} is dropped", metric.name)),
        _ => Ok(()),
    }
}

/// Where the points of one metric go.
pub(super) struct MetricPoints<'a> {
    name: String,
    labels: &'a ScopeLabels<'a>,
    series: &'a mut SeriesSet,
    strategy: TranslationStrategy,
    is_delta: bool,
}

/// Adds the series of a metric; the error says why Prometheus cannot say what it says, or not all of it.
pub(super) fn translate_metric(
    metric: &otlp::Metric,
    settings: &OtlpSettings,
    labels: &ScopeLabels<'_>,
    series: &mut SeriesSet,
) -> Result<(), String> {
    check(metric, settings)?;
    let name = settings.strategy.metric_name(metric)?;
    let mut points =
        MetricPoints { name: name.clone(), labels, series, strategy: settings.strategy, is_delta: is_delta(metric) };
    let translated = match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.iter().try_for_each(|point| points.number(point, false)),
        Some(Data::Sum(sum)) => sum.data_points.iter().try_for_each(|point| points.number(point, true)),
        Some(Data::Histogram(histogram)) => {
            let mut of_point =
                |point| if settings.custom_buckets { points.custom(point) } else { points.classic(point) };
            histogram.data_points.iter().try_for_each(&mut of_point)
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            histogram.data_points.iter().try_for_each(|point| points.native(point))
        }
        Some(Data::Summary(summary)) => summary.data_points.iter().try_for_each(|point| points.summary(point)),
        None => Ok(()),
    };
    // Of a metric without series there is nothing to say.
    if translated.is_ok() {
        series.say(name, metadata_of(metric));
    }
    translated
}

/// What all series of a point share.
struct Point<'p> {
    attributes: &'p [otlp::KeyValue],
    times: PointTimes,
    is_stale: bool,
}

impl MetricPoints<'_> {
    /// Adds a sample to the series with a suffix and a label.
    fn add(
        &mut self,
        point: &Point<'_>,
        suffix: &str,
        extra: &[(&str, &str)],
        value: f64,
        exemplars: Vec<PromExemplar>,
    ) -> Result<(), String> {
        let labels = self.labels.series(&format!("{}{suffix}", self.name), point.attributes, extra)?;
        self.series.sample(labels, point.times, (!point.is_stale).then_some(value), exemplars);
        Ok(())
    }

    fn exemplars(&self, exemplars: &[otlp::Exemplar]) -> Result<Vec<PromExemplar>, String> {
        exemplars_of(exemplars, self.strategy)
    }

    /// Exemplars of gauges are not Prometheus's.
    fn number(&mut self, number: &otlp::NumberDataPoint, with_exemplars: bool) -> Result<(), String> {
        let value = match number.value {
            Some(Value::AsDouble(value)) => value,
            Some(Value::AsInt(value)) => value as f64,
            None => 0.0,
        };
        let exemplars = if with_exemplars { self.exemplars(&number.exemplars)? } else { Vec::new() };
        let point = point(&number.attributes, (number.start_time_unix_nano, number.time_unix_nano), number.flags);
        self.add(&point, "", &[], value, exemplars)
    }

    fn classic(&mut self, histogram: &otlp::HistogramDataPoint) -> Result<(), String> {
        let point =
            point(&histogram.attributes, (histogram.start_time_unix_nano, histogram.time_unix_nano), histogram.flags);
        let mut exemplars = ByBucket { left: self.exemplars(&histogram.exemplars)? };
        if let Some(sum) = histogram.sum {
            self.add(&point, "_sum", &[], sum, Vec::new())?;
        }
        self.add(&point, "_count", &[], histogram.count as f64, Vec::new())?;
        let mut cumulative = 0u64;
        for (bound, count) in histogram.explicit_bounds.iter().zip(&histogram.bucket_counts) {
            cumulative = cumulative.wrapping_add(*count);
            let exemplars = exemplars.up_to(*bound);
            self.add(&point, "_bucket", &[("le", &format_f(*bound))], cumulative as f64, exemplars)?;
        }
        let exemplars = exemplars.up_to(f64::INFINITY);
        self.add(&point, "_bucket", &[("le", "+Inf")], histogram.count as f64, exemplars)
    }

    fn summary(&mut self, summary: &otlp::SummaryDataPoint) -> Result<(), String> {
        let point = point(&summary.attributes, (summary.start_time_unix_nano, summary.time_unix_nano), summary.flags);
        self.add(&point, "_sum", &[], summary.sum, Vec::new())?;
        self.add(&point, "_count", &[], summary.count as f64, Vec::new())?;
        for at in &summary.quantile_values {
            self.add(&point, "", &[("quantile", &format_f(at.quantile))], at.value, Vec::new())?;
        }
        Ok(())
    }

    fn native(&mut self, point: &otlp::ExponentialHistogramDataPoint) -> Result<(), String> {
        let histogram = exponential(point, self.is_delta)?;
        self.histogram(
            &point.attributes,
            (point.start_time_unix_nano, point.time_unix_nano),
            histogram,
            &point.exemplars,
        )
    }

    fn custom(&mut self, point: &otlp::HistogramDataPoint) -> Result<(), String> {
        let histogram = custom_buckets(point, self.is_delta);
        self.histogram(
            &point.attributes,
            (point.start_time_unix_nano, point.time_unix_nano),
            histogram,
            &point.exemplars,
        )
    }

    fn histogram(
        &mut self,
        attributes: &[otlp::KeyValue],
        times_ns: (u64, u64),
        histogram: Histogram,
        exemplars: &[otlp::Exemplar],
    ) -> Result<(), String> {
        let labels = self.labels.series(&self.name, attributes, &[])?;
        let exemplars = self.exemplars(exemplars)?;
        self.series.histogram(labels, times(times_ns), histogram, exemplars);
        Ok(())
    }
}

fn point(attributes: &[otlp::KeyValue], times_ns: (u64, u64), flags: u32) -> Point<'_> {
    Point { attributes, times: times(times_ns), is_stale: flags & NO_VALUE != 0 }
}

/// Start and time of a point.
fn times((start_ns, time_ns): (u64, u64)) -> PointTimes {
    PointTimes { start_ms: ms(start_ns), timestamp_ms: ms(time_ns) }
}

/// The exemplars of a classic histogram, handed out bucket by bucket.
struct ByBucket {
    left: Vec<PromExemplar>,
}

impl ByBucket {
    /// Those of a bucket: no earlier one had them.
    fn up_to(&mut self, bound: f64) -> Vec<PromExemplar> {
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|exemplar| exemplar.value <= bound);
        self.left = left;
        taken
    }
}
