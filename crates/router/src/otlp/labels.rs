//! Attributes as labels.

use std::collections::BTreeMap;

use thanoxide_model::{Labels, METRIC_NAME};
use thanoxide_proto::opentelemetry::KeyValue;

use super::OtlpSettings;
use super::names::TranslationStrategy;
use super::values::text_of;

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE: &str = "service.instance.id";

/// What a resource gives to each of its series.
#[derive(Debug)]
pub(super) struct ResourceLabels<'a> {
    strategy: TranslationStrategy,
    attributes: &'a [KeyValue],
    promoted: Result<Vec<(String, String)>, String>,
    /// `job` and `instance`, as far as the resource names them.
    identity: Vec<(&'static str, String)>,
}

impl<'a> ResourceLabels<'a> {
    pub(super) fn new(attributes: &'a [KeyValue], settings: &OtlpSettings) -> Self {
        let strategy = settings.strategy;
        let find = |key: &str| attributes.iter().find(|attribute| attribute.key == key).map(text_of);
        let promote = |name: &String| find(name).map(|value| Ok((strategy.label_name(name)?, value)));
        let mut names: Vec<&String> = settings.promoted.iter().collect();
        names.sort();
        let promoted = names.into_iter().filter_map(promote).collect();
        let job = find(SERVICE_NAME).map(|name| match find(SERVICE_NAMESPACE) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        let identity = [("job", job), ("instance", find(SERVICE_INSTANCE))];
        let identity = identity.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        ResourceLabels { strategy, attributes, promoted, identity }
    }

    /// The labels of a point; `extra` are added last and win.
    pub(super) fn series(&self, name: &str, attributes: &[KeyValue], extra: &[(&str, &str)]) -> Result<Labels, String> {
        let mut labels = self.joined(attributes.iter())?;
        for (name, value) in self.promoted.as_ref().map_err(String::clone)? {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self.identify(&mut labels);
        labels.extend(extra.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        labels.insert(METRIC_NAME.to_string(), name.to_string());
        Ok(Labels::from_pairs(labels))
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
        let mut labels = self.joined(others).ok()?;
        self.identify(&mut labels);
        if !labels.contains_key("job") && !labels.contains_key("instance") {
            return None;
        }
        labels.insert(METRIC_NAME.to_string(), "target_info".to_string());
        Some(Labels::from_pairs(labels))
    }

    /// Attributes whose names become the same are joined with `;`, in the order of their own names.
    fn joined<'k>(&self, attributes: impl Iterator<Item = &'k KeyValue>) -> Result<BTreeMap<String, String>, String> {
        let mut sorted: Vec<&KeyValue> = attributes.collect();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for attribute in sorted {
            let value = text_of(attribute);
            labels
                .entry(self.strategy.label_name(&attribute.key)?)
                .and_modify(|earlier| *earlier = format!("{earlier};{value}"))
                .or_insert(value);
        }
        Ok(labels)
    }
}
