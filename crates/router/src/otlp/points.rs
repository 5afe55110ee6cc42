//! Points of every kind of metric as series.

use thanoxide_model::STALE_NAN_BITS;
use thanoxide_model::float::format_f;
use thanoxide_model::histogram::{CounterResetHint, Histogram, Span};
use thanoxide_proto::opentelemetry as otlp;
use thanoxide_proto::opentelemetry::metric::Data;
use thanoxide_proto::opentelemetry::number_data_point::Value;

use super::SeriesSet;
use super::exemplars::{PromExemplar, exemplars_of};
use super::labels::ResourceLabels;

/// Bit of flags: there is no value.
const NO_VALUE: u32 = 1;
const CUMULATIVE: i32 = otlp::AggregationTemporality::Cumulative as i32;
/// What Prometheus takes for zero in histograms of OpenTelemetry.
const ZERO_THRESHOLD: f64 = 1e-128;
const MIN_SCALE: i32 = -4;
const MAX_SCALE: i32 = 8;
/// Wider gaps of empty buckets begin a new span.
const MAX_GAP: i32 = 2;

pub(super) fn ms(time_unix_nano: u64) -> i64 {
    time_unix_nano as i64 / 1_000_000
}

/// The newest time of a metric, in nanoseconds.
pub(super) fn newest_ns(metric: &otlp::Metric) -> u64 {
    let newest = match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.iter().map(|p| p.time_unix_nano).max(),
        Some(Data::Sum(sum)) => sum.data_points.iter().map(|p| p.time_unix_nano).max(),
        Some(Data::Histogram(histogram)) => histogram.data_points.iter().map(|p| p.time_unix_nano).max(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.iter().map(|p| p.time_unix_nano).max(),
        Some(Data::Summary(summary)) => summary.data_points.iter().map(|p| p.time_unix_nano).max(),
        None => None,
    };
    newest.unwrap_or(0)
}

/// The form of a metric: whether it is one that Prometheus can take. The texts are stock's.
fn check(metric: &otlp::Metric) -> Result<(), String> {
    let (temporality, points) = match &metric.data {
        Some(Data::Gauge(gauge)) => (CUMULATIVE, gauge.data_points.len()),
        Some(Data::Sum(sum)) => (sum.aggregation_temporality, sum.data_points.len()),
        Some(Data::Histogram(histogram)) => (histogram.aggregation_temporality, histogram.data_points.len()),
        Some(Data::ExponentialHistogram(histogram)) => (histogram.aggregation_temporality, histogram.data_points.len()),
        Some(Data::Summary(summary)) => (CUMULATIVE, summary.data_points.len()),
        None => (0, 0),
    };
    if temporality != CUMULATIVE {
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
    resource: &'a ResourceLabels<'a>,
    series: &'a mut SeriesSet,
}

/// Adds the series of a metric; the error says why Prometheus cannot say what it says, or not all of it.
pub(super) fn translate_metric(
    metric: &otlp::Metric,
    name: Result<String, String>,
    resource: &ResourceLabels<'_>,
    series: &mut SeriesSet,
) -> Result<(), String> {
    check(metric)?;
    let mut points = MetricPoints { name: name?, resource, series };
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.iter().try_for_each(|point| points.number(point, false)),
        Some(Data::Sum(sum)) => sum.data_points.iter().try_for_each(|point| points.number(point, true)),
        Some(Data::Histogram(histogram)) => histogram.data_points.iter().try_for_each(|point| points.classic(point)),
        Some(Data::ExponentialHistogram(histogram)) => {
            histogram.data_points.iter().try_for_each(|point| points.native(point))
        }
        Some(Data::Summary(summary)) => summary.data_points.iter().try_for_each(|point| points.summary(point)),
        None => Ok(()),
    }
}

/// What all series of a point share.
struct Point<'p> {
    attributes: &'p [otlp::KeyValue],
    timestamp_ms: i64,
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
        let labels = self.resource.series(&format!("{}{suffix}", self.name), point.attributes, extra)?;
        self.series.sample(labels, point.timestamp_ms, (!point.is_stale).then_some(value), exemplars);
        Ok(())
    }

    /// Exemplars of gauges are not Prometheus's.
    fn number(&mut self, number: &otlp::NumberDataPoint, with_exemplars: bool) -> Result<(), String> {
        let value = match number.value {
            Some(Value::AsDouble(value)) => value,
            Some(Value::AsInt(value)) => value as f64,
            None => 0.0,
        };
        let exemplars = if with_exemplars { exemplars_of(&number.exemplars)? } else { Vec::new() };
        let point = point(&number.attributes, number.time_unix_nano, number.flags);
        self.add(&point, "", &[], value, exemplars)
    }

    fn classic(&mut self, histogram: &otlp::HistogramDataPoint) -> Result<(), String> {
        let point = point(&histogram.attributes, histogram.time_unix_nano, histogram.flags);
        let mut exemplars = ByBucket::new(histogram)?;
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
        let point = point(&summary.attributes, summary.time_unix_nano, summary.flags);
        self.add(&point, "_sum", &[], summary.sum, Vec::new())?;
        self.add(&point, "_count", &[], summary.count as f64, Vec::new())?;
        for at in &summary.quantile_values {
            self.add(&point, "", &[("quantile", &format_f(at.quantile))], at.value, Vec::new())?;
        }
        Ok(())
    }

    fn native(&mut self, point: &otlp::ExponentialHistogramDataPoint) -> Result<(), String> {
        let histogram = native_histogram(point)?;
        let exemplars = exemplars_of(&point.exemplars)?;
        let labels = self.resource.series(&self.name, &point.attributes, &[])?;
        self.series.histogram(labels, ms(point.time_unix_nano), histogram, exemplars);
        Ok(())
    }
}

fn point(attributes: &[otlp::KeyValue], time_unix_nano: u64, flags: u32) -> Point<'_> {
    Point { attributes, timestamp_ms: ms(time_unix_nano), is_stale: flags & NO_VALUE != 0 }
}

/// The exemplars of a classic histogram, handed out bucket by bucket.
struct ByBucket {
    left: Vec<PromExemplar>,
}

impl ByBucket {
    fn new(histogram: &otlp::HistogramDataPoint) -> Result<Self, String> {
        Ok(ByBucket { left: exemplars_of(&histogram.exemplars)? })
    }

    /// Those of a bucket: no earlier one had them.
    fn up_to(&mut self, bound: f64) -> Vec<PromExemplar> {
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|exemplar| exemplar.value <= bound);
        self.left = left;
        taken
    }
}

fn native_histogram(point: &otlp::ExponentialHistogramDataPoint) -> Result<Histogram, String> {
    if point.scale < MIN_SCALE {
        let scale = point.scale;
        return Err(format!("cannot convert exponential to native histogram. Scale must be >= -4, was {scale}"));
    }
    let scale_down = (point.scale - MAX_SCALE).clamp(0, 31) as u32;
    let (positive_spans, positive_buckets) = layout(point.positive.as_ref(), scale_down);
    let (negative_spans, negative_buckets) = layout(point.negative.as_ref(), scale_down);
    let is_stale = point.flags & NO_VALUE != 0;
    let stale = f64::from_bits(STALE_NAN_BITS);
    Ok(Histogram {
        counter_reset_hint: CounterResetHint::Unknown,
        schema: point.scale.min(MAX_SCALE),
        zero_threshold: ZERO_THRESHOLD,
        zero_count: point.zero_count,
        count: if is_stale { STALE_NAN_BITS } else { point.count },
        sum: if is_stale { stale } else { point.sum.unwrap_or(0.0) },
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        custom_values: [].into(),
    })
}

/// Buckets as spans and deltas: an index of OpenTelemetry is the lower bound, one of Prometheus the upper. As in stock,
/// the first span begins where the buckets begin and the last bucket is always there, empty or not.
fn layout(buckets: Option<&otlp::exponential_histogram_data_point::Buckets>, scale_down: u32) -> (Vec<Span>, Vec<i64>) {
    let merged = buckets.map(|buckets| merged(buckets, scale_down)).unwrap_or_default();
    let Some((first, _)) = merged.first() else { return (Vec::new(), Vec::new()) };
    let (mut spans, mut deltas) = (vec![Span { offset: *first, length: 0 }], Vec::new());
    let (mut next, mut last_count) = (*first, 0i64);
    for (place, (index, count)) in merged.iter().enumerate() {
        if *count == 0 && place + 1 < merged.len() {
            continue;
        }
        let gap = index.wrapping_sub(next);
        let filled = if gap > MAX_GAP {
            spans.push(Span { offset: gap, length: 0 });
            0
        } else {
            gap
        };
        for _ in 0..filled {
            deltas.push(-std::mem::take(&mut last_count));
        }
        deltas.push(count.wrapping_sub(last_count));
        if let Some(span) = spans.last_mut() {
            span.length += filled as u32 + 1;
        }
        (next, last_count) = (index.wrapping_add(1), *count);
    }
    (spans, deltas)
}

/// Indexes and counts, those added up that become one at the lower resolution.
fn merged(buckets: &otlp::exponential_histogram_data_point::Buckets, scale_down: u32) -> Vec<(i32, i64)> {
    let mut merged: Vec<(i32, i64)> = Vec::new();
    for (place, count) in buckets.bucket_counts.iter().enumerate() {
        let index = ((i64::from(buckets.offset) + place as i64) >> scale_down) + 1;
        let Ok(index) = i32::try_from(index) else { break };
        match merged.last_mut() {
            Some((last, sum)) if *last == index => *sum = sum.wrapping_add(*count as i64),
            _ => merged.push((index, *count as i64)),
        }
    }
    merged
}
