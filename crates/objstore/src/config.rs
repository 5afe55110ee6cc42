//! Thanos's `objstore.config` YAML: `type`, `config`, `prefix`.
//!
//! Parsed strictly: a key or a type that is not known is an error that names it. `$(NAME)` is replaced by the
//! environment variable before parsing, as Thanos's path-or-content flags do.

mod filesystem;
mod http;
mod s3;

use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use thiserror::Error;

pub use filesystem::FilesystemConfig;
pub use http::{HttpConfig, TlsConfig};
pub use s3::{S3Config, SseConfig, TraceConfig};

use crate::bucket::Bucket;
use crate::prefix::PrefixBucket;

/// Types of Thanos that are not there yet.
const MISSING_TYPES: [&str; 9] = ["GCS", "AZURE", "SWIFT", "COS", "ALIYUNOSS", "BOS", "OCI", "OBS", "BAIDUBOS"];

/// Why a bucket configuration is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A `$(NAME)` without such a variable.
    #[error("found reference to unset environment variable {0:?}")]
    UnsetVariable(String),
    /// Not YAML, a wrong type, or an unknown key.
    #[error("parsing bucket configuration: {0}")]
    Yaml(String),
    /// No such type in Thanos either.
    #[error("bucket with type {0} is not supported")]
    UnknownType(String),
    /// A type of Thanos that is not there yet.
    #[error("bucket with type {0} is not supported yet; S3 and FILESYSTEM are")]
    MissingType(String),
    /// A key that is missing, contradicts another one, or has a value that cannot be.
    #[error("create {kind} client: {reason}")]
    Invalid {
        /// The type of the bucket.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// What kind of bucket, and its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum BucketKind {
    /// S3 or what speaks its language.
    S3(Box<S3Config>),
    /// A directory.
    Filesystem(FilesystemConfig),
}

/// A bucket configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketConfig {
    /// Kind and settings.
    pub kind: BucketKind,
    /// A dir of the bucket below which everything lies.
    pub prefix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "config")]
    _config: Option<IgnoredAny>,
    prefix: Option<String>,
}

#[derive(Deserialize)]
struct Inner<C> {
    config: Option<C>,
}

impl BucketConfig {
    /// Parses the YAML; `variable` gives the environment.
    pub fn parse(yaml: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let yaml = expand_variables(yaml, variable)?;
        let outer: Outer = from_yaml(&yaml)?;
        let kind = outer.kind.unwrap_or_default();
        let kind = match kind.to_uppercase().as_str() {
            "S3" => BucketKind::S3(inner(&yaml)?),
            "FILESYSTEM" => BucketKind::Filesystem(inner(&yaml)?),
            known if MISSING_TYPES.contains(&known) => return Err(ConfigError::MissingType(kind)),
            _ => return Err(ConfigError::UnknownType(kind)),
        };
        let config = BucketConfig { kind, prefix: outer.prefix.unwrap_or_default() };
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        match &self.kind {
            BucketKind::S3(config) => config.validate(),
            BucketKind::Filesystem(config) => config.validate(),
        }
    }

    /// Makes the bucket, the prefix applied. Reads the certificate and key files it names, and makes the directory of a
    /// file system bucket; asks nothing of the network.
    pub fn open(&self) -> Result<Arc<dyn Bucket>, ConfigError> {
        let bucket: Arc<dyn Bucket> = match &self.kind {
            BucketKind::S3(config) => Arc::new(config.open()?),
            BucketKind::Filesystem(config) => Arc::new(config.open()?),
        };
        Ok(PrefixBucket::wrap(bucket, &self.prefix))
    }
}

fn inner<C: DeserializeOwned + Default>(yaml: &str) -> Result<C, ConfigError> {
    Ok(from_yaml::<Inner<C>>(yaml)?.config.unwrap_or_default())
}

fn from_yaml<T: DeserializeOwned>(yaml: &str) -> Result<T, ConfigError> {
    serde_saphyr::from_str(yaml).map_err(|e| ConfigError::Yaml(e.to_string()))
}

/// Replaces each `$(NAME)`; other dollars stay as they are.
fn expand_variables(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find("$(") {
        let after = &rest[start + 2..];
        let name_len = after.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        if name_len == 0 || after.as_bytes().get(name_len) != Some(&b')') {
            out.push_str(&rest[..start + 2]);
            rest = after;
            continue;
        }
        let name = &after[..name_len];
        out.push_str(&rest[..start]);
        out.push_str(&variable(name).ok_or_else(|| ConfigError::UnsetVariable(name.to_string()))?);
        rest = &after[name_len + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded() {
        let env = |name: &str| (name == "A_1").then(|| "x".to_string());
        assert_eq!(expand_variables("$(A_1) $A_1 $() $(a b) $(A_1)$", env).unwrap(), "x $A_1 $() $(a b) x$");
        assert_eq!(expand_variables("$(B)", env), Err(ConfigError::UnsetVariable("B".into())));
    }

    #[test]
    fn unknown_keys_are_named() {
        let none = |_: &str| None;
        let error = BucketConfig::parse("type: FILESYSTEM\nconfig: {directory: a, dir: b}", none).unwrap_err();
        assert!(error.to_string().contains("dir"), "{error}");
        let error = BucketConfig::parse("type: FILESYSTEM\nconf: {}", none).unwrap_err();
        assert!(error.to_string().contains("conf"), "{error}");
        let error = BucketConfig::parse("type: S3\nconfig: {http_config: {tls: 1}}", none).unwrap_err();
        assert!(error.to_string().contains("tls"), "{error}");
        assert_eq!(BucketConfig::parse("type: gcs", none), Err(ConfigError::MissingType("gcs".into())));
        assert_eq!(BucketConfig::parse("config: {}", none), Err(ConfigError::UnknownType(String::new())));
    }
}
