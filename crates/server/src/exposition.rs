//! `/metrics`: OpenMetrics for those who accept it, the older text format for all others.
//!
//! The registry's own encoder writes OpenMetrics in the order of registration. This file puts families of one name
//! together (sub-registries repeat the head of a family), sorts them by name as Go's client does, and for the older
//! format writes the sample's name in `# TYPE`, and neither units, exemplars nor the end mark.
//! Source of the formats: the Prometheus documentation "Exposition formats" and the OpenMetrics specification 1.0.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::http::{HeaderMap, IntoResponse, Response, StatusCode, header};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's text format 0.0.4.
    Text,
}

impl ExpositionFormat {
    /// What an `Accept` header asks for.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let accepts = |value: &str| value.contains("application/openmetrics-text");
        let open = headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(accepts));
        if open { ExpositionFormat::OpenMetrics } else { ExpositionFormat::Text }
    }

    /// Its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            ExpositionFormat::OpenMetrics => OPEN_METRICS,
            ExpositionFormat::Text => TEXT,
        }
    }
}

/// The metrics of a program, complete and ready to be read.
///
/// Help texts are shown as they were registered. The registry's encoder adds a full stop to each, which is taken away
/// again; a collector that writes its own descriptors must therefore end its help with one full stop more.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Registry>);

impl Metrics {
    /// Takes the registry once everything is registered.
    pub fn new(registry: Registry) -> Self {
        Metrics(Arc::new(registry))
    }

    /// All metrics as text.
    pub fn encode(&self, format: ExpositionFormat) -> Result<String, fmt::Error> {
        let mut raw = String::new();
        encode(&mut raw, &self.0)?;
        Ok(rewrite(&raw, format))
    }
}

/// The route `/metrics`.
pub fn metrics_router(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(async move |headers: HeaderMap| answer(&metrics, &headers)))
}

fn answer(metrics: &Metrics, headers: &HeaderMap) -> Response {
    let format = ExpositionFormat::accepted(headers);
    match metrics.encode(format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[derive(Default)]
struct Family<'a> {
    help: &'a str,
    kind: &'a str,
    unit: Option<&'a str>,
    samples: Vec<&'a str>,
}

fn rewrite(raw: &str, format: ExpositionFormat) -> String {
    let mut out = String::with_capacity(raw.len());
    for (name, family) in families(raw) {
        match format {
            ExpositionFormat::OpenMetrics => family.write_open_metrics(name, &mut out),
            ExpositionFormat::Text => family.write_text(name, &mut out),
        }
    }
    if format == ExpositionFormat::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn families(raw: &str) -> BTreeMap<&str, Family<'_>> {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    let mut current = "";
    for line in raw.lines() {
        if let Some((name, help)) = head(line, "# HELP ") {
            current = name;
            families.entry(name).or_default().help = help.strip_suffix('.').unwrap_or(help);
        } else if let Some((name, kind)) = head(line, "# TYPE ") {
            families.entry(name).or_default().kind = kind;
        } else if let Some((name, unit)) = head(line, "# UNIT ") {
            families.entry(name).or_default().unit = Some(unit);
        } else if !line.starts_with('#') {
            families.entry(current).or_default().samples.push(line);
        }
    }
    // Stock prints no family without a sample.
    families.retain(|_, family| !family.samples.is_empty());
    families
}

fn head<'a>(line: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let rest = line.strip_prefix(prefix)?;
    Some(rest.split_once(' ').unwrap_or((rest, "")))
}

impl Family<'_> {
    fn write_open_metrics(&self, name: &str, out: &mut String) {
        self.write_head(name, self.kind, out);
        if let Some(unit) = self.unit {
            push_line(out, &["# UNIT ", name, " ", unit]);
        }
        self.samples.iter().for_each(|sample| push_line(out, &[sample]));
    }

    fn write_text(&self, name: &str, out: &mut String) {
        let (suffix, kind) = match self.kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "unknown" => ("", "untyped"),
            kind => ("", kind),
        };
        self.write_head(&format!("{name}{suffix}"), kind, out);
        for sample in &self.samples {
            push_line(out, &[without_exemplar(sample)]);
        }
    }

    fn write_head(&self, name: &str, kind: &str, out: &mut String) {
        push_line(out, &["# HELP ", name, " ", self.help]);
        push_line(out, &["# TYPE ", name, " ", kind]);
    }
}

/// A sample up to its exemplar. Label values may hold anything, so the labels are skipped first.
fn without_exemplar(sample: &str) -> &str {
    let labels_end = labels_end(sample).unwrap_or(0);
    match sample[labels_end..].find(" # ") {
        Some(at) => &sample[..labels_end + at],
        None => sample,
    }
}

fn labels_end(sample: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    let start = sample.find(['{', ' ']).filter(|at| sample.as_bytes()[*at] == b'{')?;
    for (at, byte) in sample.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn push_line(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    fn metrics() -> Metrics {
        let mut registry = Registry::default();
        let requests = Family::<[(&str, &str); 1], Counter>::default();
        registry.register("requests", "Number of requests.", requests.clone());
        requests.get_or_create(&[("path", "/a } # {\"")]).inc();
        registry.register("empty", "Nothing yet", Family::<[(&str, &str); 1], Counter>::default());
        for tenant in ["a", "b"] {
            let one = registry.sub_registry_with_label(("tenant".into(), tenant.into()));
            one.register("heads", "No full stop", Gauge::<i64>::default());
        }
        Metrics::new(registry)
    }

    #[test]
    fn text_names_counters_by_their_sample() {
        let expected = "# HELP heads No full stop\n# TYPE heads gauge\nheads{tenant=\"a\"} 0\nheads{tenant=\"b\"} 0\n\
                        # HELP requests_total Number of requests.\n# TYPE requests_total counter\n\
                        requests_total{path=\"/a } # {\\\"\"} 1\n";
        assert_eq!(metrics().encode(ExpositionFormat::Text).unwrap(), expected);
    }

    #[test]
    fn open_metrics_ends_with_its_mark() {
        let text = metrics().encode(ExpositionFormat::OpenMetrics).unwrap();
        assert!(text.contains("# TYPE requests counter\nrequests_total{"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn exemplars_are_cut_and_label_texts_are_not() {
        for (sample, cut) in [
            ("a_total 1 # {id=\"x\"} 1", "a_total 1"),
            ("a_total{b=\"} # {\"} 1 # {id=\"x\"} 1", "a_total{b=\"} # {\"} 1"),
            ("a{b=\"\\\" # \"} 1", "a{b=\"\\\" # \"} 1"),
        ] {
            assert_eq!(without_exemplar(sample), cut);
        }
    }
}
