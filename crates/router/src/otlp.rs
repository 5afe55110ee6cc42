//! OTLP metrics over HTTP: a request in, a batch of Prometheus's series out.
//!
//! The translation is that of stock's receiver, names are those of Prometheus's strategies ([`names`]): attributes become
//! labels ([`labels`], [`values`]), every kind of metric becomes series ([`points`]) with its exemplars ([`exemplars`]),
//! and what a resource says of itself becomes `target_info`. What Prometheus has no form for (delta temporality,
//! exponential histograms that are too coarse) is left out and told. [`json`] reads the JSON encoding.

mod exemplars;
mod json;
mod labels;
mod names;
mod points;
mod values;

use std::collections::HashMap;

use thanoxide_model::histogram::Histogram;
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{Labels, STALE_NAN_BITS, Sample, WriteBatch};
use thanoxide_proto::opentelemetry as otlp;

use exemplars::PromExemplar;
pub use json::decode_json;
use labels::ResourceLabels;
pub use names::TranslationStrategy;
use points::translate_metric;

/// So many faults are told one by one.
const MAX_FAULTS: usize = 10;

/// How metrics are translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// How names are made.
    pub strategy: TranslationStrategy,
    /// Whether resources become `target_info`.
    pub target_info: bool,
    /// Attributes of resources that every series gets as labels.
    pub promoted: Vec<String>,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        OtlpSettings { strategy: TranslationStrategy::default(), target_info: true, promoted: Vec::new() }
    }
}

/// What could not be translated.
#[derive(Debug, Default)]
pub struct Faults {
    first: Vec<String>,
    count: usize,
}

impl Faults {
    fn note(&mut self, fault: String) {
        self.count += 1;
        if self.first.len() < MAX_FAULTS {
            self.first.push(fault);
        }
    }

    /// All of it in stock's form; `None` where there was nothing.
    pub fn text(&self) -> Option<String> {
        let all = self.first.join("; ");
        match self.count {
            0 => None,
            1 => Some(all),
            count if count > self.first.len() => Some(format!("{count} errors: {all}; …")),
            count => Some(format!("{count} errors: {all}")),
        }
    }
}

/// Series, and what could not be translated.
#[derive(Debug)]
pub struct Translated {
    /// The series.
    pub batch: WriteBatch,
    /// Metrics left out, as a whole or in part.
    pub faults: Faults,
}

/// Translates a request.
pub fn translate(request: &otlp::ExportMetricsServiceRequest, settings: &OtlpSettings) -> Translated {
    let (mut series, mut faults) = (SeriesSet::default(), Faults::default());
    for resource_metrics in &request.resource_metrics {
        let attributes = resource_metrics.resource.as_ref().map(|resource| resource.attributes.as_slice());
        let resource = ResourceLabels::new(attributes.unwrap_or_default(), settings);
        let mut newest_ns = 0;
        for metric in resource_metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            newest_ns = newest_ns.max(points::newest_ns(metric));
            let name = settings.strategy.metric_name(metric);
            if let Err(fault) = translate_metric(metric, name, &resource, &mut series) {
                faults.note(fault);
            }
        }
        if settings.target_info && newest_ns > 0 {
            series.add_target_info(&resource, points::ms(newest_ns));
        }
    }
    Translated { batch: series.into_batch(), faults }
}

/// A series under construction.
#[derive(Debug)]
struct PointSeries {
    labels: Labels,
    samples: Vec<Sample>,
    histograms: Vec<HistogramSample>,
    exemplars: Vec<PromExemplar>,
}

/// Series under construction: a set of labels has one, whoever adds to it.
#[derive(Debug, Default)]
struct SeriesSet {
    places: HashMap<Labels, usize>,
    series: Vec<PointSeries>,
}

impl SeriesSet {
    fn of(&mut self, labels: Labels) -> &mut PointSeries {
        let next = self.series.len();
        let place = *self.places.entry(labels.clone()).or_insert(next);
        if place == next {
            let (samples, histograms, exemplars) = Default::default();
            self.series.push(PointSeries { labels, samples, histograms, exemplars });
        }
        &mut self.series[place]
    }

    /// Adds a sample; one without a value is the stale marker.
    fn sample(&mut self, labels: Labels, timestamp_ms: i64, value: Option<f64>, exemplars: Vec<PromExemplar>) {
        let value = value.unwrap_or(f64::from_bits(STALE_NAN_BITS));
        let series = self.of(labels);
        series.samples.push(Sample { timestamp_ms, value });
        series.exemplars.extend(exemplars);
    }

    fn histogram(&mut self, labels: Labels, timestamp_ms: i64, histogram: Histogram, exemplars: Vec<PromExemplar>) {
        let value = HistogramValue::Int(histogram.into());
        let series = self.of(labels);
        series.histograms.push(HistogramSample { timestamp_ms, value });
        series.exemplars.extend(exemplars);
    }

    fn add_target_info(&mut self, resource: &ResourceLabels<'_>, timestamp_ms: i64) {
        if let Some(labels) = resource.target_info() {
            self.sample(labels, timestamp_ms, Some(1.0), Vec::new());
        }
    }

    fn into_batch(self) -> WriteBatch {
        let mut builder = WriteBatchBuilder::default();
        for series in self.series {
            builder.push(&series.labels, &series.samples);
            for histogram in series.histograms {
                builder.push_histogram(histogram);
            }
            for exemplar in &series.exemplars {
                builder.push_exemplar(&exemplar.labels, exemplar.timestamp_ms, exemplar.value);
            }
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests;
