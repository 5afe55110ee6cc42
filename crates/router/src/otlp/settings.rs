//! How OTLP becomes Prometheus's: Thanos's settings, and those of Prometheus's `otlp` configuration that Thanos lacks.

use super::names::TranslationStrategy;

/// How metrics are translated. By default as Thanos's receiver does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// How names are made.
    pub strategy: TranslationStrategy,
    /// Whether resources become `target_info`.
    pub target_info: bool,
    /// Attributes of resources that every series gets as labels.
    pub promotion: Promotion,
    /// Whether `target_info` has the attributes that `job` and `instance` are made of as well.
    pub keep_identifying: bool,
    /// Whether name, version, schema URL and attributes of a scope become labels of its series.
    pub promote_scope: bool,
    /// Whether explicit histograms become native ones with custom buckets instead of classic series.
    pub custom_buckets: bool,
    /// Whether metrics of delta temporality are taken as they are.
    pub delta: bool,
    /// Labels that begin with one `_` get `key` before it.
    pub key_before_underscore: bool,
    /// Several `_` in the name of a label stay several.
    pub keep_underscores: bool,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        OtlpSettings {
            strategy: TranslationStrategy::default(),
            target_info: true,
            promotion: Promotion::default(),
            keep_identifying: false,
            promote_scope: false,
            custom_buckets: false,
            delta: false,
            key_before_underscore: false,
            keep_underscores: false,
        }
    }
}

/// Which attributes of resources become labels of every series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// Those named.
    Named(Vec<String>),
    /// All but those named.
    AllBut(Vec<String>),
}

impl Default for Promotion {
    fn default() -> Self {
        Promotion::Named(Vec::new())
    }
}

impl Promotion {
    /// Whether it takes an attribute.
    pub(super) fn takes(&self, key: &str) -> bool {
        match self {
            Promotion::Named(names) => names.iter().any(|name| name == key),
            Promotion::AllBut(names) => names.iter().all(|name| name != key),
        }
    }
}
