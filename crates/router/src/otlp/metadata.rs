//! Type, unit and help text of a metric, as Prometheus tells them.

use thanoxide_model::{MetricMetadata, MetricType};
use thanoxide_proto::opentelemetry::{AggregationTemporality, Metric, metric::Data};

use super::names::unit_name;

const DELTA: i32 = AggregationTemporality::Delta as i32;

/// Whether a metric tells what came to be since it was told last.
pub(super) fn is_delta(metric: &Metric) -> bool {
    match &metric.data {
        Some(Data::Sum(sum)) => sum.aggregation_temporality == DELTA,
        Some(Data::Histogram(histogram)) => histogram.aggregation_temporality == DELTA,
        Some(Data::ExponentialHistogram(histogram)) => histogram.aggregation_temporality == DELTA,
        Some(Data::Gauge(_) | Data::Summary(_)) | None => false,
    }
}

/// What a metric says of itself. Prometheus has no type for deltas.
pub(super) fn metadata_of(metric: &Metric) -> MetricMetadata {
    let kind = match &metric.data {
        _ if is_delta(metric) => MetricType::Unknown,
        None => MetricType::Unknown,
        Some(Data::Sum(sum)) if sum.is_monotonic => MetricType::Counter,
        Some(Data::Gauge(_) | Data::Sum(_)) => MetricType::Gauge,
        Some(Data::Histogram(_) | Data::ExponentialHistogram(_)) => MetricType::Histogram,
        Some(Data::Summary(_)) => MetricType::Summary,
    };
    MetricMetadata { kind, help: metric.description.clone(), unit: unit_name(&metric.unit) }
}
