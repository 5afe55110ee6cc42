//! Attributes as labels.

use std::collections::BTreeMap;

use thanoxide_model::{Labels, METRIC_NAME};
use thanoxide_proto::opentelemetry::{AnyValue, KeyValue, any_value::Value};

use super::names::label_name;

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE: &str = "service.instance.id";
/// Deeper values are cut off.
const MAX_DEPTH: usize = 8;

/// What a resource gives to each of its series.
#[derive(Debug)]
pub(super) struct ResourceLabels<'a> {
    attributes: &'a [KeyValue],
    promoted: Vec<(String, String)>,
    /// `job` and `instance`, as far as the resource names them.
    identity: Vec<(&'static str, String)>,
}

impl<'a> ResourceLabels<'a> {
    pub(super) fn new(attributes: &'a [KeyValue], promoted: &[String]) -> Self {
        let find = |key: &str| attributes.iter().find(|attribute| attribute.key == key).map(value_of);
        let promoted = promoted.iter().filter_map(|name| Some((label_name(name), find(name)?))).collect();
        let job = find(SERVICE_NAME).map(|name| match find(SERVICE_NAMESPACE) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        let identity = [("job", job), ("instance", find(SERVICE_INSTANCE))];
        let identity = identity.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        ResourceLabels { attributes, promoted, identity }
    }

    /// The labels of a point; `extra` are added last and win.
    pub(super) fn series(&self, name: &str, attributes: &[KeyValue], extra: &[(&str, &str)]) -> Labels {
        let mut labels = joined(attributes.iter());
        for (name, value) in &self.promoted {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self.identify(&mut labels);
        labels.extend(extra.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        labels.insert(METRIC_NAME.to_string(), name.to_string());
        Labels::from_pairs(labels)
    }

    fn identify(&self, labels: &mut BTreeMap<String, String>) {
        labels.extend(self.identity.iter().map(|(name, value)| (name.to_string(), value.clone())));
    }

    /// The labels of `target_info`: all attributes but those that identify. `None` where there are no others, or none
    /// that identify.
    pub(super) fn target_info(&self) -> Option<Labels> {
        let identifies = |key: &str| [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE].contains(&key);
        let mut others = self.attributes.iter().filter(|attribute| !identifies(&attribute.key)).peekable();
        others.peek()?;
        let mut labels = joined(others);
        self.identify(&mut labels);
        if self.identity.is_empty() {
            return None;
        }
        labels.insert(METRIC_NAME.to_string(), "target_info".to_string());
        Some(Labels::from_pairs(labels))
    }
}

/// Attributes whose names become the same are joined with `;`, in the order of their own names.
fn joined<'k>(attributes: impl Iterator<Item = &'k KeyValue>) -> BTreeMap<String, String> {
    let mut sorted: Vec<&KeyValue> = attributes.collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for attribute in sorted {
        let value = value_of(attribute);
        labels
            .entry(label_name(&attribute.key))
            .and_modify(|earlier| *earlier = format!("{earlier};{value}"))
            .or_insert(value);
    }
    labels
}

fn value_of(attribute: &KeyValue) -> String {
    attribute.value.as_ref().map(text).unwrap_or_default()
}

/// A value as OpenTelemetry writes it as text: lists and maps as JSON, bytes as base64.
fn text(value: &AnyValue) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => json_number(*value),
        Some(Value::BytesValue(bytes)) => base64(bytes),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) => json(value, 0).to_string(),
    }
}

fn json_number(value: f64) -> String {
    if value.is_finite() { thanoxide_model::float::format_json(value) } else { "json: unsupported value".to_string() }
}

fn json(value: &AnyValue, depth: usize) -> serde_json::Value {
    use serde_json::Value as Json;
    if depth > MAX_DEPTH {
        return Json::Null;
    }
    match &value.value {
        None => Json::Null,
        Some(Value::StringValue(text)) => text.as_str().into(),
        Some(Value::BoolValue(value)) => (*value).into(),
        Some(Value::IntValue(value)) => (*value).into(),
        Some(Value::DoubleValue(value)) => (*value).into(),
        Some(Value::BytesValue(bytes)) => base64(bytes).into(),
        Some(Value::ArrayValue(list)) => list.values.iter().map(|value| json(value, depth + 1)).collect(),
        Some(Value::KvlistValue(map)) => {
            let mut pairs: Vec<&KeyValue> = map.values.iter().collect();
            pairs.sort_by(|a, b| a.key.cmp(&b.key));
            let value = |pair: &KeyValue| pair.value.as_ref().map_or(Json::Null, |value| json(value, depth + 1));
            pairs.into_iter().map(|pair| (pair.key.clone(), value(pair))).collect()
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}
