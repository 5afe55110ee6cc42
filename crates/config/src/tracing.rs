//! The tracing configuration (`--tracing.config`): where spans are sent, and which traces are sampled.
//!
//! Keys, defaults and error texts are Thanos's: the outer keys are checked strictly, those of `config` are read past where nobody
//! knows them. Vendors with a protocol of their own are refused by name.

mod jaeger;
mod otlp;

use thiserror::Error;

pub use jaeger::Jaeger;
pub use otlp::{Otlp, OtlpProtocol, OtlpRetry, OtlpTls};

use crate::yaml::{Content, Decoder, Node, YamlError};

/// Types of stock that speak to one vendor in its own protocol.
const VENDORS: [&str; 4] = ["STACKDRIVER", "GOOGLE_CLOUD", "ELASTIC_APM", "LIGHTSTEP"];

/// Why a tracing configuration is refused. The texts are stock's, but for [`TracingError::Vendor`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TracingError {
    /// Not YAML, or of another shape.
    #[error("parsing config tracing YAML: {0}")]
    Yaml(YamlError),
    /// A type that stock does not know either.
    #[error("tracing with type {0} is not supported")]
    UnknownType(String),
    /// A type that is stock's alone.
    #[error(
        "tracing with type {0} needs a protocol of its vendor, which is not supported: send spans to an OpenTelemetry collector (type OTLP), which can pass them on"
    )]
    Vendor(String),
    /// The settings of the type make no sense.
    #[error("new tracer provider err: {0}")]
    Settings(String),
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq)]
pub enum Tracing {
    /// An OpenTelemetry collector.
    Otlp(Otlp),
    /// Jaeger, which takes OTLP, too.
    Jaeger(Jaeger),
}

impl Tracing {
    /// Reads the YAML.
    pub fn parse(yaml: &str) -> Result<Self, TracingError> {
        let (mut kind, mut settings) = (String::new(), None);
        if let Some(node) = Node::parse(yaml).map_err(TracingError::Yaml)? {
            let mut decoder = Decoder::strict();
            decoder.fields(&node, "client.TracingConfig", |decoder, key, value| {
                match key {
                    "type" => text_of_type(decoder, value, &mut kind),
                    "config" => settings = Some(value.clone()),
                    _ => return false,
                }
                true
            });
            decoder.finish().map_err(TracingError::Yaml)?;
        }
        let mut settings = settings.filter(|node| !node.is_null());
        settings.iter_mut().for_each(|node| renumber(node, &mut 1));
        match kind.to_uppercase().as_str() {
            "OTLP" => otlp::decode(settings.as_ref()).map(Tracing::Otlp).map_err(TracingError::Settings),
            "JAEGER" => jaeger::decode(settings.as_ref()).map(Tracing::Jaeger).map_err(TracingError::Settings),
            vendor if VENDORS.contains(&vendor) => Err(TracingError::Vendor(kind)),
            _ => Err(TracingError::UnknownType(kind)),
        }
    }
}

fn text_of_type(decoder: &mut Decoder, node: &Node, into: &mut String) {
    match &node.content {
        Content::Scalar { .. } => decoder.text(node, into),
        _ => decoder.parsed(node, into, |text| Some(text.to_string()), "client.TracingProvider"),
    }
}

/// Stock prints the settings anew, with sorted keys, before it reads them: lines of its errors are counted there.
fn renumber(node: &mut Node, line: &mut usize) {
    node.line = *line;
    match &mut node.content {
        Content::Scalar { .. } => {}
        Content::List(nodes) => {
            for node in nodes {
                renumber(node, line);
                *line += usize::from(matches!(node.content, Content::Scalar { .. }));
            }
        }
        Content::Map(pairs) => {
            pairs.sort_by(|(a, _), (b, _)| key_of(a).cmp(key_of(b)));
            for (key, value) in pairs {
                key.line = *line;
                let is_block = match &value.content {
                    Content::Scalar { .. } => false,
                    Content::List(nodes) => !nodes.is_empty(),
                    Content::Map(pairs) => !pairs.is_empty(),
                };
                *line += usize::from(is_block);
                renumber(value, line);
                *line += usize::from(!is_block);
            }
        }
    }
}

fn key_of(node: &Node) -> &str {
    match &node.content {
        Content::Scalar { text, .. } => text,
        _ => "",
    }
}

/// A duration of Go, or a number of nanoseconds; a negative one is none.
fn duration(decoder: &mut Decoder, node: &Node, into: &mut std::time::Duration) {
    let parse = |text: &str| {
        let ns = text.parse().ok().or_else(|| thanoxide_model::go_duration::parse_go_duration_ns(text).ok())?;
        Some(std::time::Duration::from_nanos(u64::try_from(ns).unwrap_or(0)))
    };
    decoder.parsed(node, into, parse, "time.Duration");
}

#[cfg(test)]
mod tests;
