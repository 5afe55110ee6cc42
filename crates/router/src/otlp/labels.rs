//! Attributes as labels.
//!
//! Thanos and Prometheus disagree on attributes without a value: Thanos takes them for labels until the end (another
//! attribute of the same name is joined to it, a promoted one does not take its place), Prometheus for none.

use std::collections::BTreeMap;

use thanoxide_model::{Labels, METRIC_NAME};
use thanoxide_proto::opentelemetry::{InstrumentationScope, KeyValue};

use super::label_names::LabelNamer;
use super::settings::OtlpSettings;
use super::values::text_of;

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE: &str = "service.instance.id";

type Map = BTreeMap<String, String>;

/// What a resource gives to each of its series.
#[derive(Debug)]
pub(super) struct ResourceLabels<'a> {
    settings: &'a OtlpSettings,
    namer: LabelNamer,
    attributes: &'a [KeyValue],
    promoted: Result<Map, String>,
    /// `job` and `instance`, as far as the resource names them.
    identity: Vec<(&'static str, String)>,
}

impl<'a> ResourceLabels<'a> {
    pub(super) fn new(attributes: &'a [KeyValue], settings: &'a OtlpSettings) -> Self {
        let namer = LabelNamer::new(settings);
        let find = |key: &str| {
            attributes
                .iter()
                .find(|attribute| attribute.key == key)
                .map(|attribute| text_of(attribute, settings.strategy))
        };
        let job = find(SERVICE_NAME).map(|name| match find(SERVICE_NAMESPACE) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        let identity = [("job", job), ("instance", find(SERVICE_INSTANCE))];
        let identity = identity.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let identity = identity.filter(|(_, value)| settings.strategy.is_of_thanos() || !value.is_empty()).collect();
        ResourceLabels { settings, namer, attributes, promoted: promoted(attributes, settings, namer), identity }
    }

    /// What the series of a scope have in common.
    pub(super) fn of_scope(&'a self, scope: Option<&InstrumentationScope>, schema_url: &str) -> ScopeLabels<'a> {
        let scope = scope.filter(|scope| self.settings.promote_scope && !scope.name.is_empty());
        ScopeLabels { resource: self, scope: scope.map_or_else(Vec::new, |scope| self.named_scope(scope, schema_url)) }
    }

    fn named_scope(&self, scope: &InstrumentationScope, schema_url: &str) -> Vec<(String, String)> {
        let attributes = scope.attributes.iter().filter_map(|attribute| {
            let name = self.namer.name(&format!("otel_scope_{}", attribute.key));
            Some((name.ok()?, text_of(attribute, self.settings.strategy)))
        });
        let own = [("name", scope.name.as_str()), ("version", &scope.version), ("schema_url", schema_url)];
        let own = own.map(|(what, value)| (format!("otel_scope_{what}"), value.to_string()));
        attributes.chain(own).collect()
    }

    fn identify(&self, labels: &mut Map) {
        labels.extend(self.identity.iter().map(|(name, value)| (name.to_string(), value.clone())));
    }

    fn has(&self, labels: &Map, name: &str) -> bool {
        labels.get(name).is_some_and(|value| self.settings.strategy.is_of_thanos() || !value.is_empty())
    }

    /// The labels of `target_info`: all attributes but those that identify. `None` where there are no others, or none
    /// that identify; Thanos has none either where an attribute can be no label.
    pub(super) fn target_info(&self) -> Result<Option<Labels>, String> {
        let identifies = |key: &str| [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE].contains(&key);
        if self.attributes.iter().all(|attribute| identifies(&attribute.key)) {
            return Ok(None);
        }
        let shown = |attribute: &&KeyValue| self.settings.keep_identifying || !identifies(&attribute.key);
        let mut labels = match self.joined(self.attributes.iter().filter(shown)) {
            Err(_) if self.settings.strategy.is_of_thanos() => return Ok(None),
            labels => labels?,
        };
        self.identify(&mut labels);
        if !self.has(&labels, "job") && !self.has(&labels, "instance") {
            return Ok(None);
        }
        labels.insert(METRIC_NAME.to_string(), "target_info".to_string());
        Ok(Some(Labels::from_pairs(labels)))
    }

    /// Attributes whose names become the same are joined with `;`, in the order of their own names.
    fn joined<'k>(&self, attributes: impl Iterator<Item = &'k KeyValue>) -> Result<Map, String> {
        let mut sorted: Vec<&KeyValue> = attributes.collect();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        let mut labels = Map::new();
        for attribute in sorted {
            let (name, value) = (self.namer.of_attribute(&attribute.key)?, text_of(attribute, self.settings.strategy));
            let value = if self.has(&labels, &name) { format!("{};{value}", labels[&name]) } else { value };
            labels.insert(name, value);
        }
        Ok(labels)
    }
}

/// The attributes that every series gets. Of names that become the same Thanos takes the first in their order, Prometheus
/// the last as sent.
fn promoted(attributes: &[KeyValue], settings: &OtlpSettings, namer: LabelNamer) -> Result<Map, String> {
    let mut chosen: Vec<_> = attributes.iter().filter(|attribute| settings.promotion.takes(&attribute.key)).collect();
    if settings.strategy.is_of_thanos() {
        chosen.sort_by(|a, b| a.key.cmp(&b.key));
        chosen.reverse();
    }
    chosen
        .into_iter()
        .map(|attribute| Ok((namer.name(&attribute.key)?, text_of(attribute, settings.strategy))))
        .collect()
}

/// What the series of a scope have in common.
#[derive(Debug)]
pub(super) struct ScopeLabels<'a> {
    resource: &'a ResourceLabels<'a>,
    scope: Vec<(String, String)>,
}

impl ScopeLabels<'_> {
    /// The labels of a point; `extra` are added last and win.
    pub(super) fn series(&self, name: &str, attributes: &[KeyValue], extra: &[(&str, &str)]) -> Result<Labels, String> {
        let mut labels = self.resource.joined(attributes.iter().filter(|attribute| attribute.key != METRIC_NAME))?;
        for (name, value) in self.resource.promoted.as_ref().map_err(String::clone)? {
            if !self.resource.has(&labels, name) {
                labels.insert(name.clone(), value.clone());
            }
        }
        self.resource.identify(&mut labels);
        labels.extend(self.scope.iter().cloned());
        labels.extend(extra.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        labels.insert(METRIC_NAME.to_string(), name.to_string());
        Ok(Labels::from_pairs(labels))
    }
}
