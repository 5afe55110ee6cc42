//! OTLP metrics over HTTP: a request in, a batch of Prometheus's series out.
//!
//! The translation is Prometheus's, as stock's receiver has it: names and labels become legacy ones with suffixes for
//! unit and kind ([`names`]), attributes become labels ([`labels`]), every kind of metric becomes series ([`points`]), and
//! what a resource says of itself becomes `target_info`. Metrics with delta temporality are left out and counted, as are
//! exponential histograms that are coarser than Prometheus can say.

mod labels;
mod names;
mod points;

use std::collections::HashMap;

use thanoxide_model::histogram::Histogram;
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{Labels, STALE_NAN_BITS, Sample, WriteBatch};
use thanoxide_proto::opentelemetry as otlp;

use labels::ResourceLabels;
use points::translate_metric;

/// How metrics are translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// Whether resources become `target_info`.
    pub target_info: bool,
    /// Attributes of resources that every series gets as labels.
    pub promoted: Vec<String>,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        OtlpSettings { target_info: true, promoted: Vec::new() }
    }
}

/// Series, and how many metrics could not be translated.
#[derive(Debug)]
pub struct Translated {
    /// The series.
    pub batch: WriteBatch,
    /// Metrics left out.
    pub left_out: u64,
}

/// Translates a request.
pub fn translate(request: &otlp::ExportMetricsServiceRequest, settings: &OtlpSettings) -> Translated {
    let (mut series, mut left_out) = (SeriesSet::default(), 0);
    for resource_metrics in &request.resource_metrics {
        let attributes = resource_metrics.resource.as_ref().map(|resource| resource.attributes.as_slice());
        let resource = ResourceLabels::new(attributes.unwrap_or_default(), &settings.promoted);
        let mut newest_ms = 0;
        for metric in resource_metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            newest_ms = newest_ms.max(points::newest_ms(metric));
            if !translate_metric(metric, &resource, &mut series) {
                left_out += 1;
            }
        }
        if settings.target_info && newest_ms > 0 {
            series.add_target_info(&resource, newest_ms);
        }
    }
    Translated { batch: series.into_batch(), left_out }
}

/// Series under construction: a set of labels has one, whoever adds to it.
#[derive(Debug, Default)]
struct SeriesSet {
    places: HashMap<Labels, usize>,
    series: Vec<(Labels, Vec<Sample>, Vec<HistogramSample>)>,
}

impl SeriesSet {
    fn of(&mut self, labels: Labels) -> &mut (Labels, Vec<Sample>, Vec<HistogramSample>) {
        let next = self.series.len();
        let place = *self.places.entry(labels.clone()).or_insert(next);
        if place == next {
            self.series.push((labels, Vec::new(), Vec::new()));
        }
        &mut self.series[place]
    }

    /// Adds a sample; one without a value is the stale marker.
    fn sample(&mut self, labels: Labels, timestamp_ms: i64, value: Option<f64>) {
        let value = value.unwrap_or(f64::from_bits(STALE_NAN_BITS));
        self.of(labels).1.push(Sample { timestamp_ms, value });
    }

    fn histogram(&mut self, labels: Labels, timestamp_ms: i64, histogram: Histogram) {
        let value = HistogramValue::Int(histogram.into());
        self.of(labels).2.push(HistogramSample { timestamp_ms, value });
    }

    fn add_target_info(&mut self, resource: &ResourceLabels<'_>, timestamp_ms: i64) {
        if let Some(labels) = resource.target_info() {
            self.sample(labels, timestamp_ms, Some(1.0));
        }
    }

    fn into_batch(self) -> WriteBatch {
        let mut builder = WriteBatchBuilder::default();
        for (labels, samples, histograms) in self.series {
            builder.push(&labels, &samples);
            for histogram in histograms {
                builder.push_histogram(histogram);
            }
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests;
