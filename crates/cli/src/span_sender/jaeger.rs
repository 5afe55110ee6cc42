//! The type `JAEGER`: stock speaks Thrift to an agent or a collector; Jaeger takes OTLP as well, which is what is sent here.

use std::sync::Arc;

use anyhow::{Context, Result};
use http::Uri;
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::{ParentBasedSampler, Sampler, ShouldSample};
use thanoxide_config::tracing::{Jaeger, Otlp, OtlpProtocol};
use thanoxide_env::Clock;

use super::Plan;
use super::sampler::RateLimited;

/// Where Jaeger takes OTLP over gRPC.
const OTLP_PORT: u16 = 4317;
/// What stock samples until a remote sampler answers.
const INITIAL_SHARE: f64 = 0.001;

pub(super) fn plan(jaeger: &Jaeger, clock: &Arc<dyn Clock>) -> Result<Plan> {
    let collector = collector(jaeger)?;
    tracing::info!(endpoint = collector.endpoint, "spans go to Jaeger as OTLP over gRPC, not as Thrift");
    if !jaeger.ineffective.is_empty() {
        let settings = jaeger.ineffective.join(",");
        tracing::warn!(settings, "settings of the tracing configuration have no effect");
    }
    if jaeger.sampler_type == "remote" {
        tracing::warn!("a remote sampler is not asked: its initial rate counts");
    }
    Ok(Plan {
        collector,
        sampler: sampler(jaeger, clock),
        tags: tags(&jaeger.tags, |variable| std::env::var(variable).unwrap_or_default()),
        max_queue_spans: usize::try_from(jaeger.max_queue_size).ok().filter(|spans| *spans > 0),
        flush_interval: Some(jaeger.flush_interval).filter(|interval| !interval.is_zero()),
    })
}

/// The host of the endpoint, or that of the agent, but the port of OTLP.
fn collector(jaeger: &Jaeger) -> Result<Otlp> {
    let (mut host, mut insecure) = (jaeger.agent_host.clone(), true);
    if !jaeger.endpoint.is_empty() {
        let endpoint = jaeger.endpoint.parse::<Uri>().with_context(|| format!("endpoint {:?}", jaeger.endpoint))?;
        host = endpoint.host().with_context(|| format!("endpoint {:?} has no host", jaeger.endpoint))?.to_string();
        insecure = endpoint.scheme_str() != Some("https");
    }
    if host.is_empty() {
        host = "localhost".to_string();
    }
    let (endpoint, service_name) = (format!("{host}:{OTLP_PORT}"), jaeger.service_name.clone());
    Ok(Otlp { protocol: OtlpProtocol::Grpc, endpoint, insecure, service_name, ..Otlp::default() })
}

/// Below spans of others, their word counts, unless the configuration says otherwise.
fn sampler(jaeger: &Jaeger, clock: &Arc<dyn Clock>) -> Box<dyn ShouldSample> {
    let param = jaeger.sampler_param;
    let own: Box<dyn ShouldSample> = match jaeger.sampler_type.as_str() {
        "const" if param.round() >= 1.0 => Box::new(Sampler::AlwaysOn),
        "const" => Box::new(Sampler::AlwaysOff),
        "probabilistic" => Box::new(Sampler::TraceIdRatioBased(param)),
        // A rate of nothing is no rate: as in stock, whose rates are its remote sampler's.
        kind if kind == "remote" || param <= 0.0 => {
            Box::new(Sampler::TraceIdRatioBased(match jaeger.initial_sampler_rate {
                0.0 => INITIAL_SHARE,
                share => share,
            }))
        }
        // `ratelimiting`, too.
        _ => Box::new(RateLimited::new(param, Arc::clone(clock))),
    };
    let mut sampler = ParentBasedSampler::new(own.clone());
    if jaeger.local_parent_sampled {
        sampler = sampler.with_local_parent_sampled(own.clone());
    }
    if jaeger.remote_parent_sampled {
        sampler = sampler.with_remote_parent_sampled(own);
    }
    Box::new(sampler)
}

/// `key=value,…`; `${VARIABLE:default}` is a variable of the environment. What has no `=` is passed over.
fn tags(text: &str, variable: impl Fn(&str) -> String) -> Vec<KeyValue> {
    let tag = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim();
        let value = match value.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')) {
            None => value.to_string(),
            Some(inner) => {
                let (name, default) = inner.split_once(':').unwrap_or((inner, ""));
                Some(variable(name)).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_string())
            }
        };
        Some(KeyValue::new(key.trim().to_string(), value))
    };
    text.split(',').filter_map(tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_hosts_at_the_port_of_otlp() {
        let of = |endpoint: &str, agent_host: &str| {
            let (endpoint, agent_host) = (endpoint.to_string(), agent_host.to_string());
            let otlp = collector(&Jaeger { endpoint, agent_host, ..Jaeger::default() });
            otlp.map(|otlp| (otlp.endpoint, otlp.insecure)).map_err(|error| error.to_string())
        };
        assert_eq!(of("", ""), Ok(("localhost:4317".to_string(), true)));
        assert_eq!(of("", "agent"), Ok(("agent:4317".to_string(), true)));
        assert_eq!(of("http://jaeger:14268/api/traces", "agent"), Ok(("jaeger:4317".to_string(), true)));
        assert_eq!(of("https://[::1]:14268", ""), Ok(("[::1]:4317".to_string(), false)));
        assert_eq!(of("/api", ""), Err("endpoint \"/api\" has no host".to_string()));
    }

    #[test]
    fn tags_are_pairs_with_variables() {
        let variable = |name: &str| if name == "THERE" { "there".to_string() } else { String::new() };
        let read = tags(" a=b ,,c, d = ${THERE:e},f=${GONE:g=h},i=${GONE}", variable);
        let pair = |key: &'static str, value: &'static str| KeyValue::new(key, value);
        assert_eq!(read, [pair("a", "b"), pair("d", "there"), pair("f", "g=h"), pair("i", "")]);
    }
}
