//! External labels that only some tenants have, static or made from the tenant's name.
//!
//! ```yaml
//! - tenant: acme                # a regular expression over the whole name
//!   labels: {region: eu}
//! - tenant: (.+)-(dev|prod)
//!   labels: {team: $1, stage: $2}
//! ```
//!
//! All rules that match give their labels; of two that give the same one the later wins. A label that comes out empty is
//! none.

use thanoxide_model::{Labels, LabelsBuilder, Regexp, TenantId};
use thiserror::Error;

use crate::yaml::{Decoder, Node, YamlError};

/// Why rules are refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TenantLabelsError {
    /// Not YAML, or of another shape.
    #[error("{0}\nparsing tenant labels")]
    Yaml(#[from] YamlError),
    /// An expression that cannot be read, or a rule without one.
    #[error("{0}\nparsing tenant labels")]
    Rule(String),
}

/// One rule.
#[derive(Debug)]
struct Rule {
    tenant: Regexp,
    labels: Vec<(String, String)>,
}

/// Rules, in order.
#[derive(Debug, Default)]
pub struct TenantLabels {
    rules: Vec<Rule>,
}

impl TenantLabels {
    /// Reads the YAML.
    pub fn parse(yaml: &str) -> Result<Self, TenantLabelsError> {
        let Some(node) = Node::parse(yaml)? else { return Ok(TenantLabels::default()) };
        let mut decoder = Decoder::strict();
        let nodes = decoder.list(&node, "[]TenantLabels");
        let raw: Vec<_> = nodes.iter().map(|node| read(&mut decoder, node)).collect();
        decoder.finish()?;
        let rule = |(tenant, labels): (String, Vec<(String, String)>)| {
            if tenant.is_empty() {
                return Err(TenantLabelsError::Rule("a rule names no tenant".to_string()));
            }
            let tenant = Regexp::new(tenant.as_bytes()).map_err(|error| TenantLabelsError::Rule(error.to_string()))?;
            Ok(Rule { tenant, labels })
        };
        Ok(TenantLabels { rules: raw.into_iter().map(rule).collect::<Result<_, _>>()? })
    }

    /// Adds what the rules give a tenant to the labels of all tenants.
    pub fn apply(&self, labels: &Labels, tenant: &TenantId) -> Labels {
        if self.rules.is_empty() {
            return labels.clone();
        }
        let mut all = LabelsBuilder::from(labels);
        for rule in &self.rules {
            for (name, template) in &rule.labels {
                if let Some(value) = rule.tenant.captures_expand(tenant.as_str().as_bytes(), template.as_bytes()) {
                    all.set(name, value);
                }
            }
        }
        all.build()
    }
}

fn read(decoder: &mut Decoder, node: &Node) -> (String, Vec<(String, String)>) {
    let (mut tenant, mut labels) = (String::new(), Vec::new());
    decoder.fields(node, "TenantLabels", |decoder, key, value| {
        match key {
            "tenant" => decoder.text(value, &mut tenant),
            "labels" => decoder.fields(value, "map[string]string", |decoder, name, value| {
                let mut text = String::new();
                decoder.text(value, &mut text);
                labels.push((name.to_string(), text));
                true
            }),
            _ => return false,
        }
        true
    });
    (tenant, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_get_what_their_names_say() {
        let yaml = "- {tenant: acme, labels: {region: eu}}\n- {tenant: '(.+)-(dev|prod)', labels: {team: $1, stage: $2, region: us}}\n";
        let rules = TenantLabels::parse(yaml).unwrap();
        let base = Labels::from_pairs([("replica", "0"), ("region", "any")]);
        for (tenant, expected) in [
            ("acme", vec![("region", "eu"), ("replica", "0")]),
            ("shop-dev", vec![("region", "us"), ("replica", "0"), ("stage", "dev"), ("team", "shop")]),
            ("other", vec![("region", "any"), ("replica", "0")]),
        ] {
            assert_eq!(rules.apply(&base, &TenantId::new(tenant).unwrap()), Labels::from_pairs(expected), "{tenant}");
        }
        assert!(TenantLabels::parse("- {labels: {a: b}}").is_err() && TenantLabels::parse("- {tenant: '('}").is_err());
        assert!(TenantLabels::parse("").is_ok());
    }
}
