//! The hashring file of Thanos: a JSON list of rings, read as Go's `encoding/json` reads it.
//!
//! ```text
//! [{"hashring": name, "tenants": [t…], "tenant_matcher_type": "exact"|"glob", "algorithm": "hashmod"|"ketama",
//!   "endpoints": ["host:port" | {"address": …, "capnproto_address": …, "az": …}…], "external_labels": {k: v},
//!   "shuffle_sharding_config": {"shard_size": n, "cache_size": n, "zone_awareness_disabled": bool,
//!     "overrides": [{"shard_size": n, "tenants": [t…], "tenant_matcher_type": …}]}}]
//! ```
//!
//! Unknown fields are read past, `null` is a field that is not there, names match in any case. Errors are in Go's words.

use serde_json::{Map, Value};
use thiserror::Error;

/// The port of Cap'n Proto where an endpoint does not name one.
const CAPNPROTO_PORT: &str = "19391";

/// Why a text is no list of hashrings.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Not JSON.
    #[error("{0}")]
    Json(String),
    /// A field of another type.
    #[error("json: cannot unmarshal {found} into Go {target}")]
    Type {
        /// What stands there.
        found: String,
        /// Where, and what should.
        target: String,
    },
    /// An endpoint without an address.
    #[error("endpoint address must be set")]
    NoAddress,
}

/// A node that takes series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// `host:port` of gRPC; what is hashed.
    pub address: String,
    /// `host:port` of Cap'n Proto.
    pub capnproto_address: String,
    /// Its availability zone, or empty.
    pub az: String,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "addr: {}, capnp_addr: {}, az: {}", self.address, self.capnproto_address, self.az)
    }
}

/// How the names of tenants are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TenantMatcher {
    /// Not given.
    #[default]
    Unset,
    /// As they are.
    Exact,
    /// As patterns of [`glob`](super::glob).
    Glob,
    /// Something that stock takes and never matches.
    Unknown,
}

/// Another shard size for some tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardOverride {
    /// Number of nodes.
    pub shard_size: i64,
    /// Whose.
    pub tenants: Vec<String>,
    /// How they are compared; stock ignores an override without it, and so do we.
    pub matcher: TenantMatcher,
}

/// Which part of a ring a tenant gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShuffleSharding {
    /// Number of nodes; 0 is off.
    pub shard_size: i64,
    /// Shards that are kept in memory; 0 is 100.
    pub cache_size: i64,
    /// Whether nodes are drawn from all zones together.
    pub zone_awareness_disabled: bool,
    /// Exceptions, the first match counts.
    pub overrides: Vec<ShardOverride>,
}

/// One ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashringConfig {
    /// Its name, or empty.
    pub name: String,
    /// Its tenants; none is all.
    pub tenants: Vec<String>,
    /// How they are compared.
    pub matcher: TenantMatcher,
    /// Its nodes.
    pub endpoints: Vec<Endpoint>,
    /// Its algorithm, or empty.
    pub algorithm: String,
    /// More external labels of its tenants (those that are named exactly).
    pub external_labels: Vec<(String, String)>,
    /// Shuffle sharding.
    pub shuffle_sharding: ShuffleSharding,
}

/// Reads the content of a hashring file or flag.
pub fn parse_hashrings(content: &str) -> Result<Vec<HashringConfig>, ConfigError> {
    let value: Value = serde_json::from_str(content).map_err(|e| ConfigError::Json(syntax_text(&e, content)))?;
    let rings = list(&value, "value of type []receive.HashringConfig")?;
    rings.iter().map(HashringConfig::read).collect()
}

/// Go's words for a syntax error.
fn syntax_text(error: &serde_json::Error, content: &str) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_string();
    }
    let line = content.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    match line.get(error.column().saturating_sub(1)..).and_then(|rest| rest.chars().next()) {
        Some(c) => format!("invalid character '{c}' in JSON at line {} column {}", error.line(), error.column()),
        None => error.to_string(),
    }
}

fn mismatch(value: &Value, target: &str) -> ConfigError {
    let found = match value {
        Value::Null => "null".to_string(),
        Value::Bool(_) => "bool".to_string(),
        Value::Number(n) if n.is_f64() || target.ends_with("int") => format!("number {n}"),
        Value::Number(_) => "number".to_string(),
        Value::String(_) => "string".to_string(),
        Value::Array(_) => "array".to_string(),
        Value::Object(_) => "object".to_string(),
    };
    ConfigError::Type { found, target: target.to_string() }
}

fn list<'a>(value: &'a Value, target: &str) -> Result<&'a [Value], ConfigError> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(items) => Ok(items),
        other => Err(mismatch(other, target)),
    }
}

/// An object whose fields have Go types.
struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    owner: &'static str,
}

impl<'a> Fields<'a> {
    fn of(value: &'a Value, owner: &'static str, target: &str) -> Result<Self, ConfigError> {
        match value {
            Value::Null => Ok(Fields { object: None, owner }),
            Value::Object(object) => Ok(Fields { object: Some(object), owner }),
            other => Err(mismatch(other, target)),
        }
    }

    /// A field that is there, and what Go calls its place.
    fn get(&self, name: &str) -> Option<&'a Value> {
        let mut fields = self.object?.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        fields.next_back().map(|(_, value)| value).filter(|value| !value.is_null())
    }

    fn target(&self, name: &str, of_type: &str) -> String {
        format!("struct field {}.{name} of type {of_type}", self.owner)
    }

    fn text(&self, name: &str, of_type: &str) -> Result<String, ConfigError> {
        match self.get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(mismatch(other, &self.target(name, of_type))),
        }
    }

    fn int(&self, name: &str) -> Result<i64, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(0) };
        value.as_i64().ok_or_else(|| mismatch(value, &self.target(name, "int")))
    }

    fn switch(&self, name: &str) -> Result<bool, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| mismatch(value, &self.target(name, "bool")))
    }

    fn list(&self, name: &str, of_type: &str) -> Result<&'a [Value], ConfigError> {
        self.get(name).map_or(Ok(&[]), |value| list(value, &self.target(name, of_type)))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, ConfigError> {
        let text = |value: &Value| match value {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            other => Err(mismatch(other, &self.target(name, "string"))),
        };
        self.list(name, "[]string")?.iter().map(text).collect()
    }

    fn matcher(&self) -> Result<TenantMatcher, ConfigError> {
        Ok(match self.text("tenant_matcher_type", "receive.tenantMatcher")?.as_str() {
            "" => TenantMatcher::Unset,
            "exact" => TenantMatcher::Exact,
            "glob" => TenantMatcher::Glob,
            _ => TenantMatcher::Unknown,
        })
    }

    fn labels(&self, name: &str) -> Result<Vec<(String, String)>, ConfigError> {
        let target = self.target(name, "map[string]string");
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Object(labels)) => labels
                .iter()
                .map(|(name, value)| match value {
                    Value::String(value) => Ok((name.clone(), value.clone())),
                    other => Err(mismatch(other, &self.target("external_labels", "string"))),
                })
                .collect(),
            Some(other) => Err(mismatch(other, &target)),
        }
    }
}

impl HashringConfig {
    fn read(value: &Value) -> Result<Self, ConfigError> {
        let fields = Fields::of(value, "HashringConfig", "value of type receive.HashringConfig")?;
        let endpoints = fields.list("endpoints", "[]receive.Endpoint")?;
        Ok(HashringConfig {
            name: fields.text("hashring", "string")?,
            tenants: fields.texts("tenants")?,
            matcher: fields.matcher()?,
            endpoints: endpoints.iter().map(Endpoint::read).collect::<Result<_, _>>()?,
            algorithm: fields.text("algorithm", "receive.HashringAlgorithm")?,
            external_labels: fields.labels("external_labels")?,
            shuffle_sharding: match fields.get("shuffle_sharding_config") {
                Some(value) => ShuffleSharding::read(value)?,
                None => ShuffleSharding::default(),
            },
        })
    }
}

impl ShuffleSharding {
    fn read(value: &Value) -> Result<Self, ConfigError> {
        let target = "struct field HashringConfig.shuffle_sharding_config of type receive.ShuffleShardingConfig";
        let fields = Fields::of(value, "HashringConfig.shuffle_sharding_config", target)?;
        let overrides = fields.list("overrides", "[]receive.ShuffleShardingOverrideConfig")?;
        Ok(ShuffleSharding {
            shard_size: fields.int("shard_size")?,
            cache_size: fields.int("cache_size")?,
            zone_awareness_disabled: fields.switch("zone_awareness_disabled")?,
            overrides: overrides.iter().map(ShardOverride::read).collect::<Result<_, _>>()?,
        })
    }
}

impl ShardOverride {
    fn read(value: &Value) -> Result<Self, ConfigError> {
        let owner = "HashringConfig.shuffle_sharding_config.overrides";
        let fields = Fields::of(value, owner, "value of type receive.ShuffleShardingOverrideConfig")?;
        Ok(ShardOverride {
            shard_size: fields.int("shard_size")?,
            tenants: fields.texts("tenants")?,
            matcher: fields.matcher()?,
        })
    }
}

impl Endpoint {
    /// An endpoint of a gRPC address alone.
    pub fn new(address: &str) -> Self {
        let host = address.split(':').next().unwrap_or_default();
        let capnproto_address = format!("{host}:{CAPNPROTO_PORT}");
        Endpoint { address: address.to_string(), capnproto_address, az: String::new() }
    }

    fn read(value: &Value) -> Result<Self, ConfigError> {
        let (mut endpoint, capnproto_address) = match value {
            Value::String(address) => (Endpoint::new(address), String::new()),
            // Go reports the element, not the field that it stands in.
            other => {
                let fields = Fields::of(
                    other,
                    "endpointAlias",
                    "struct field HashringConfig.endpoints of type receive.endpointAlias",
                )?;
                let endpoint =
                    Endpoint { az: fields.text("az", "string")?, ..Endpoint::new(&fields.text("address", "string")?) };
                (endpoint, fields.text("capnproto_address", "string")?)
            }
        };
        if endpoint.address.is_empty() {
            return Err(ConfigError::NoAddress);
        }
        if !capnproto_address.is_empty() {
            endpoint.capnproto_address = capnproto_address;
        }
        Ok(endpoint)
    }
}
