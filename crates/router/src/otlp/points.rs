//! Points of every kind of metric as series.

use thanoxide_model::STALE_NAN_BITS;
use thanoxide_model::float::format_f;
use thanoxide_model::histogram::{CounterResetHint, Histogram, Span};
use thanoxide_proto::opentelemetry as otlp;
use thanoxide_proto::opentelemetry::metric::Data;
use thanoxide_proto::opentelemetry::number_data_point::Value;

use super::SeriesSet;
use super::labels::ResourceLabels;
use super::names::metric_name;

/// Bit of flags: there is no value.
const NO_VALUE: u32 = 1;
const CUMULATIVE: i32 = otlp::AggregationTemporality::Cumulative as i32;
/// What Prometheus takes for zero in histograms of OpenTelemetry.
const ZERO_THRESHOLD: f64 = 1e-128;
const MIN_SCALE: i32 = -4;
const MAX_SCALE: i32 = 8;
/// Wider gaps of empty buckets begin a new span.
const MAX_GAP: i32 = 2;

fn ms(time_unix_nano: u64) -> i64 {
    (time_unix_nano / 1_000_000) as i64
}

/// The newest time of a metric.
pub(super) fn newest_ms(metric: &otlp::Metric) -> i64 {
    let newest = match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.iter().map(|p| p.time_unix_nano).max(),
        Some(Data::Sum(sum)) => sum.data_points.iter().map(|p| p.time_unix_nano).max(),
        Some(Data::Histogram(histogram)) => histogram.data_points.iter().map(|p| p.time_unix_nano).max(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.iter().map(|p| p.time_unix_nano).max(),
        Some(Data::Summary(summary)) => summary.data_points.iter().map(|p| p.time_unix_nano).max(),
        None => None,
    };
    ms(newest.unwrap_or(0))
}

/// Adds the series of a metric; false where Prometheus cannot say what it says.
pub(super) fn translate_metric(metric: &otlp::Metric, resource: &ResourceLabels<'_>, series: &mut SeriesSet) -> bool {
    let name = metric_name(metric);
    match &metric.data {
        Some(Data::Gauge(gauge)) => numbers(&name, &gauge.data_points, resource, series),
        Some(Data::Sum(sum)) if sum.aggregation_temporality == CUMULATIVE => {
            numbers(&name, &sum.data_points, resource, series);
        }
        Some(Data::Histogram(histogram)) if histogram.aggregation_temporality == CUMULATIVE => {
            for point in &histogram.data_points {
                classic_histogram(&name, point, resource, series);
            }
        }
        Some(Data::ExponentialHistogram(histogram)) if histogram.aggregation_temporality == CUMULATIVE => {
            return histogram.data_points.iter().all(|point| native_histogram(&name, point, resource, series));
        }
        Some(Data::Summary(summary)) => {
            for point in &summary.data_points {
                self::summary(&name, point, resource, series);
            }
        }
        _ => return false,
    }
    true
}

fn numbers(name: &str, points: &[otlp::NumberDataPoint], resource: &ResourceLabels<'_>, series: &mut SeriesSet) {
    for point in points {
        let value = match point.value {
            Some(Value::AsDouble(value)) => value,
            Some(Value::AsInt(value)) => value as f64,
            None => 0.0,
        };
        let labels = resource.series(name, &point.attributes, &[]);
        series.sample(labels, ms(point.time_unix_nano), (point.flags & NO_VALUE == 0).then_some(value));
    }
}

fn classic_histogram(
    name: &str,
    point: &otlp::HistogramDataPoint,
    resource: &ResourceLabels<'_>,
    series: &mut SeriesSet,
) {
    let mut add = |suffix: &str, extra: &[(&str, &str)], value: f64| {
        let labels = resource.series(&format!("{name}{suffix}"), &point.attributes, extra);
        series.sample(labels, ms(point.time_unix_nano), (point.flags & NO_VALUE == 0).then_some(value));
    };
    if let Some(sum) = point.sum {
        add("_sum", &[], sum);
    }
    add("_count", &[], point.count as f64);
    let mut cumulative = 0u64;
    for (bound, count) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
        cumulative = cumulative.wrapping_add(*count);
        add("_bucket", &[("le", &format_f(*bound))], cumulative as f64);
    }
    add("_bucket", &[("le", "+Inf")], point.count as f64);
}

fn summary(name: &str, point: &otlp::SummaryDataPoint, resource: &ResourceLabels<'_>, series: &mut SeriesSet) {
    let mut add = |suffix: &str, extra: &[(&str, &str)], value: f64| {
        let labels = resource.series(&format!("{name}{suffix}"), &point.attributes, extra);
        series.sample(labels, ms(point.time_unix_nano), (point.flags & NO_VALUE == 0).then_some(value));
    };
    add("_sum", &[], point.sum);
    add("_count", &[], point.count as f64);
    for at in &point.quantile_values {
        add("", &[("quantile", &format_f(at.quantile))], at.value);
    }
}

fn native_histogram(
    name: &str,
    point: &otlp::ExponentialHistogramDataPoint,
    resource: &ResourceLabels<'_>,
    series: &mut SeriesSet,
) -> bool {
    if point.scale < MIN_SCALE {
        return false;
    }
    let scale_down = (point.scale - MAX_SCALE).clamp(0, 31) as u32;
    let (positive_spans, positive_buckets) = layout(point.positive.as_ref(), scale_down);
    let (negative_spans, negative_buckets) = layout(point.negative.as_ref(), scale_down);
    let is_stale = point.flags & NO_VALUE != 0;
    let stale = f64::from_bits(STALE_NAN_BITS);
    let histogram = Histogram {
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
    };
    series.histogram(resource.series(name, &point.attributes, &[]), ms(point.time_unix_nano), histogram);
    true
}

/// Buckets as spans and deltas: an index of OpenTelemetry is the lower bound, one of Prometheus the upper.
fn layout(buckets: Option<&otlp::exponential_histogram_data_point::Buckets>, scale_down: u32) -> (Vec<Span>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<Span>, Vec<i64>) = (Vec::new(), Vec::new());
    let Some(buckets) = buckets else { return (spans, deltas) };
    // The buckets that become one at the lower resolution, added up.
    let mut merged: Vec<(i32, i64)> = Vec::new();
    for (place, count) in buckets.bucket_counts.iter().enumerate() {
        let index = ((i64::from(buckets.offset) + place as i64) >> scale_down) + 1;
        let Ok(index) = i32::try_from(index) else { break };
        match merged.last_mut() {
            Some((last, sum)) if *last == index => *sum = sum.wrapping_add(*count as i64),
            _ => merged.push((index, *count as i64)),
        }
    }
    let (mut next, mut last_count) = (0i32, 0i64);
    for (index, count) in merged.into_iter().filter(|(_, count)| *count != 0) {
        let gap = index.wrapping_sub(next);
        match spans.last_mut() {
            Some(span) if gap <= MAX_GAP => {
                span.length += gap as u32 + 1;
                for _ in 0..gap {
                    deltas.push(-std::mem::take(&mut last_count));
                }
            }
            _ => spans.push(Span { offset: gap, length: 1 }),
        }
        deltas.push(count.wrapping_sub(last_count));
        (next, last_count) = (index.wrapping_add(1), count);
    }
    (spans, deltas)
}
