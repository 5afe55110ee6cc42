//! OTLP metrics over HTTP: a request in, a batch of Prometheus's series out.
//!
//! By default the translation is that of Thanos's receiver; by the strategies of names that Thanos lacks it is Prometheus's, in
//! all else as well. Names are made by [`names`] and [`label_names`]: attributes become labels ([`labels`], [`values`]), every
//! kind of metric becomes series ([`points`], [`histograms`]) with exemplars ([`exemplars`]) and [`metadata`], and what a
//! resource says of itself becomes [`target_info`]. What Prometheus has no form for (delta temporality unless it is asked for,
//! exponential histograms that are too coarse) is left out and told. [`json`] reads the JSON encoding.

mod exemplars;
mod histograms;
mod json;
mod label_names;
mod labels;
mod metadata;
mod names;
mod points;
mod series_set;
mod settings;
mod target_info;
mod values;

use thanoxide_model::WriteBatch;
use thanoxide_proto::opentelemetry as otlp;

pub use json::decode_json;
use labels::ResourceLabels;
pub use names::TranslationStrategy;
use points::translate_metric;
use series_set::SeriesSet;
pub use settings::{OtlpSettings, Promotion};
use target_info::TargetInfo;

/// So many faults are told one by one.
const MAX_FAULTS: usize = 10;

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
    let mut target_info = TargetInfo::new(settings);
    for resource_metrics in &request.resource_metrics {
        let attributes = resource_metrics.resource.as_ref().map(|resource| resource.attributes.as_slice());
        let resource = ResourceLabels::new(attributes.unwrap_or_default(), settings);
        for scope_metrics in &resource_metrics.scope_metrics {
            let scope = resource.of_scope(scope_metrics.scope.as_ref(), &scope_metrics.schema_url);
            for metric in &scope_metrics.metrics {
                translate_metric(metric, settings, &scope, &mut series).unwrap_or_else(|fault| faults.note(fault));
            }
        }
        let metrics = resource_metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics);
        target_info.add(&resource, metrics, &mut series).unwrap_or_else(|fault| faults.note(fault));
    }
    Translated { batch: series.into_batch(), faults }
}

#[cfg(test)]
mod tests;
