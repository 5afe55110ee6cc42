//! The way to an OpenTelemetry collector: gRPC, or Protobuf over HTTP.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Compression, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use thanoxide_config::tracing::{Otlp, OtlpProtocol, OtlpTls};
use thanoxide_storeapi::ClientConfig;
use thanoxide_storeapi::grpc::{ClientTls, ClientTlsConfig};
use tonic::metadata::{MetadataKey, MetadataMap};

use super::{Plan, sampler};

/// Defaults of Go's exporters.
const TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_INITIAL_INTERVAL: Duration = Duration::from_secs(5);
const RETRY_MAX_INTERVAL: Duration = Duration::from_secs(30);
const RETRY_MAX_ELAPSED_TIME: Duration = Duration::from_secs(60);
/// Longest answer that is read.
const MAX_ANSWER_BYTES: usize = 4 << 20;

pub(super) fn plan(otlp: &Otlp) -> Plan {
    if !otlp.reconnection_period.is_zero() {
        tracing::warn!("reconnection_period of the tracing configuration has no effect");
    }
    if !matches!(otlp.compression.as_str(), "" | "gzip") {
        tracing::warn!(
            compression = otlp.compression,
            "unknown compression of the tracing configuration: there is none"
        );
    }
    let tags = otlp.resource_attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Plan {
        collector: otlp.clone(),
        sampler: sampler::of_otlp(&otlp.sampler_type, &otlp.sampler_param),
        tags: tags.collect(),
        max_queue_spans: None,
        flush_interval: None,
    }
}

/// Where spans go: an address, or a URL.
pub(super) fn place(otlp: &Otlp) -> String {
    let address = |default: &str| match otlp.endpoint.as_str() {
        "" => default.to_string(),
        endpoint => endpoint.to_string(),
    };
    match otlp.protocol {
        OtlpProtocol::Grpc => address("localhost:4317"),
        OtlpProtocol::Http => {
            let scheme = if otlp.insecure { "http" } else { "https" };
            let path = if otlp.url_path.is_empty() { "/v1/traces" } else { &otlp.url_path };
            format!("{scheme}://{}/{}", address("localhost:4318"), path.trim_start_matches('/'))
        }
    }
}

/// Sends to the collector. Needs a runtime.
pub(super) fn exporter(otlp: &Otlp) -> Result<SpanExporter> {
    match otlp.protocol {
        OtlpProtocol::Grpc => grpc(otlp),
        OtlpProtocol::Http => http(otlp),
    }
}

fn grpc(otlp: &Otlp) -> Result<SpanExporter> {
    let tls = if otlp.insecure { None } else { Some(client_tls(&otlp.tls)?) };
    let client = ClientConfig { tls, ..ClientConfig::default() };
    let timeout = attempt_timeout(otlp);
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_channel(client.plain_channel(&place(otlp))?)
        .with_metadata(metadata(&otlp.headers)?)
        .with_interceptor(move |mut request: tonic::Request<()>| {
            request.set_timeout(timeout);
            Ok(request)
        })
        .with_retry_policy(retry(otlp))
        .with_timeout(retry_time(otlp));
    let exporter = if otlp.compression == "gzip" { exporter.with_compression(Compression::Gzip) } else { exporter };
    Ok(exporter.build()?)
}

fn http(otlp: &Otlp) -> Result<SpanExporter> {
    let url = place(otlp);
    let headers: HashMap<String, String> = otlp.headers.iter().cloned().collect();
    metadata(&otlp.headers)?;
    url.parse::<http::Uri>().with_context(|| format!("endpoint {url:?}"))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(PlainClient(http_client(otlp)?))
        .with_endpoint(url)
        .with_headers(headers)
        .with_retry_policy(retry(otlp))
        .with_timeout(retry_time(otlp));
    let exporter = if otlp.compression == "gzip" { exporter.with_compression(Compression::Gzip) } else { exporter };
    Ok(exporter.build()?)
}

/// How long one attempt may take.
fn attempt_timeout(otlp: &Otlp) -> Duration {
    or(otlp.timeout, TIMEOUT)
}

/// How long all attempts may take together.
fn retry_time(otlp: &Otlp) -> Duration {
    if otlp.retry.enabled { or(otlp.retry.max_elapsed_time, RETRY_MAX_ELAPSED_TIME) } else { RETRY_MAX_ELAPSED_TIME }
}

fn retry(otlp: &Otlp) -> RetryPolicy {
    let (mut initial, mut max) = (RETRY_INITIAL_INTERVAL, RETRY_MAX_INTERVAL);
    if otlp.retry.enabled {
        (initial, max) = (or(otlp.retry.initial_interval, initial), or(otlp.retry.max_interval, max));
    }
    // The time is what ends them.
    let policy = RetryPolicy::recommended().with_max_retries(usize::MAX);
    policy.with_initial_delay(initial).with_max_delay(max.max(initial)).with_max_jitter(initial / 2)
}

fn or(time: Duration, default: Duration) -> Duration {
    if time.is_zero() { default } else { time }
}

fn metadata(headers: &[(String, String)]) -> Result<MetadataMap> {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        let key =
            MetadataKey::from_bytes(name.to_lowercase().as_bytes()).with_context(|| format!("header {name:?}"))?;
        metadata.insert(key, value.parse().with_context(|| format!("value of the header {name:?}"))?);
    }
    Ok(metadata)
}

fn client_tls(tls: &OtlpTls) -> Result<ClientTls> {
    let mut config = ClientTlsConfig::from_flags(&tls.ca_file, &tls.cert_file, &tls.key_file, &tls.server_name)
        .context("tls_config")?;
    config.skip_verify = tls.insecure_skip_verify;
    ClientTls::new(config).context("tls_config")
}

fn http_client(otlp: &Otlp) -> Result<reqwest::Client> {
    let tls = &otlp.tls;
    let mut builder = reqwest::Client::builder().user_agent("thanoxide").timeout(attempt_timeout(otlp));
    if otlp.insecure {
        return Ok(builder.build()?);
    }
    if !tls.server_name.is_empty() {
        bail!("tls_config.server_name is not supported with the client type 'http'");
    }
    if tls.cert_file.is_empty() != tls.key_file.is_empty() {
        bail!("tls_config: both client key and certificate must be provided");
    }
    if !tls.ca_file.is_empty() {
        let bundle = reqwest::Certificate::from_pem_bundle(&read(&tls.ca_file)?);
        builder = builder.tls_certs_only(bundle.with_context(|| format!("tls_config: {}", tls.ca_file))?);
    }
    if !tls.cert_file.is_empty() {
        let pem = [read(&tls.key_file)?, read(&tls.cert_file)?].concat();
        let identity = reqwest::Identity::from_pem(&pem);
        builder = builder.identity(identity.with_context(|| format!("tls_config: {}", tls.cert_file))?);
    }
    Ok(builder.tls_danger_accept_invalid_certs(tls.insecure_skip_verify).build()?)
}

fn read(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| anyhow!("tls_config: open {path}: {error}"))
}

/// The HTTP client, as the exporter wants it.
#[derive(Debug)]
struct PlainClient(reqwest::Client);

#[async_trait]
impl HttpClient for PlainClient {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let mut response = self.0.execute(request.try_into()?).await?;
        let mut answer = http::Response::new(Bytes::new());
        *answer.status_mut() = response.status();
        std::mem::swap(answer.headers_mut(), response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                return Err("the answer of the collector is too long".into());
            }
        }
        *answer.body_mut() = body.into();
        Ok(answer)
    }
}
