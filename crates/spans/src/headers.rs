//! Traces in headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};

/// A request with this header is sampled, whatever the sampler says. It goes along as baggage.
pub const FORCE_TRACING_HEADER: &str = "x-thanos-force-tracing";

pub(crate) struct Read<'a>(pub(crate) &'a HeaderMap);

impl Extractor for Read<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

pub(crate) struct Write<'a>(pub(crate) &'a mut HeaderMap);

impl Injector for Write<'_> {
    /// What is no header, or empty, is left out.
    fn set(&mut self, key: &str, value: String) {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) else { return };
        if !value.is_empty() {
            self.0.insert(name, value);
        }
    }
}
