//! Exemplars of points.

use thanoxide_model::Labels;
use thanoxide_proto::opentelemetry as otlp;
use thanoxide_proto::opentelemetry::exemplar::Value;

use super::names::TranslationStrategy;
use super::values::text_of;

/// The most characters of an exemplar's labels, as OpenMetrics has it: attributes that would make more are left out.
const MAX_CHARS: usize = 128;

/// An exemplar as Prometheus has it.
#[derive(Clone, Debug)]
pub(super) struct PromExemplar {
    pub(super) labels: Labels,
    pub(super) timestamp_ms: i64,
    pub(super) value: f64,
}

/// All exemplars of a point; fails for one without a value.
pub(super) fn exemplars_of(
    exemplars: &[otlp::Exemplar],
    strategy: TranslationStrategy,
) -> Result<Vec<PromExemplar>, String> {
    exemplars.iter().map(|one| exemplar(one, strategy)).collect()
}

fn exemplar(exemplar: &otlp::Exemplar, strategy: TranslationStrategy) -> Result<PromExemplar, String> {
    let value = match exemplar.value {
        Some(Value::AsDouble(value)) => value,
        Some(Value::AsInt(value)) => value as f64,
        None => return Err("unsupported exemplar value type: Empty".to_string()),
    };
    let ids = [("trace_id", &exemplar.trace_id), ("span_id", &exemplar.span_id)];
    let is_set = |id: &[u8]| id.iter().any(|byte| *byte != 0);
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let ids = ids.into_iter().filter(|(_, id)| is_set(id)).map(|(name, id)| (name.to_string(), hex(id)));
    let mut labels: Vec<(String, String)> = ids.collect();
    let attributes: Vec<_> =
        exemplar.filtered_attributes.iter().map(|pair| (pair.key.clone(), text_of(pair, strategy))).collect();
    let chars = |pairs: &[(String, String)]| -> usize {
        pairs.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum()
    };
    if chars(&labels) + chars(&attributes) <= MAX_CHARS {
        labels.extend(attributes);
    }
    let timestamp_ms = (exemplar.time_unix_nano / 1_000_000) as i64;
    Ok(PromExemplar { labels: Labels::from_pairs(labels), timestamp_ms, value })
}
