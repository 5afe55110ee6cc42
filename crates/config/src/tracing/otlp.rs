//! Settings of the type `OTLP`.

use std::time::Duration;

use crate::tracing::duration;
use crate::yaml::{Decoder, Node};

/// How spans travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// `http`: Protobuf over HTTP.
    Http,
    /// `grpc`.
    #[default]
    Grpc,
}

/// `retry_config`. Zero is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpRetry {
    /// `retry_enabled`: whether the times below count.
    pub enabled: bool,
    /// `retry_initial_interval`.
    pub initial_interval: Duration,
    /// `retry_max_interval`.
    pub max_interval: Duration,
    /// `retry_max_elapsed_time`.
    pub max_elapsed_time: Duration,
}

/// `tls_config`. Empty is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpTls {
    /// `ca_file`.
    pub ca_file: String,
    /// `cert_file`.
    pub cert_file: String,
    /// `key_file`.
    pub key_file: String,
    /// `server_name`.
    pub server_name: String,
    /// `insecure_skip_verify`.
    pub insecure_skip_verify: bool,
}

/// A collector. Empty texts and zero durations are the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Otlp {
    /// `client_type`.
    pub protocol: OtlpProtocol,
    /// `service_name`.
    pub service_name: String,
    /// `resource_attributes`.
    pub resource_attributes: Vec<(String, String)>,
    /// `reconnection_period`.
    pub reconnection_period: Duration,
    /// `compression`: `gzip`, or none.
    pub compression: String,
    /// `insecure`: no TLS.
    pub insecure: bool,
    /// `endpoint`: `host:port`.
    pub endpoint: String,
    /// `url_path`, for HTTP.
    pub url_path: String,
    /// `timeout` of one attempt.
    pub timeout: Duration,
    /// `retry_config`.
    pub retry: OtlpRetry,
    /// `headers` of each request.
    pub headers: Vec<(String, String)>,
    /// `tls_config`.
    pub tls: OtlpTls,
    /// `sampler_type`.
    pub sampler_type: String,
    /// `sampler_param`.
    pub sampler_param: String,
}

pub(super) fn decode(settings: Option<&Node>) -> Result<Otlp, String> {
    let (mut otlp, mut client_type) = (Otlp::default(), String::new());
    let mut decoder = Decoder::lenient();
    if let Some(node) = settings {
        decoder.fields(node, "otlp.Config", |decoder, key, value| {
            match key {
                "client_type" => decoder.text(value, &mut client_type),
                "service_name" => decoder.text(value, &mut otlp.service_name),
                "resource_attributes" => decoder.text_pairs(value, &mut otlp.resource_attributes),
                "reconnection_period" => duration(decoder, value, &mut otlp.reconnection_period),
                "compression" => decoder.text(value, &mut otlp.compression),
                "insecure" => decoder.switch(value, &mut otlp.insecure),
                "endpoint" => decoder.text(value, &mut otlp.endpoint),
                "url_path" => decoder.text(value, &mut otlp.url_path),
                "timeout" => duration(decoder, value, &mut otlp.timeout),
                "retry_config" => retry(decoder, value, &mut otlp.retry),
                "headers" => decoder.text_pairs(value, &mut otlp.headers),
                "tls_config" => tls(decoder, value, &mut otlp.tls),
                "sampler_type" => decoder.text(value, &mut otlp.sampler_type),
                "sampler_param" => decoder.text(value, &mut otlp.sampler_param),
                _ => return false,
            }
            true
        });
    }
    decoder.finish().map_err(|error| error.to_string())?;
    otlp.protocol = match client_type.as_str() {
        "http" => OtlpProtocol::Http,
        "grpc" => OtlpProtocol::Grpc,
        // With a blank at its end, as stock has it.
        _ => return Err("otlp: invalid client type. Only 'http' and 'grpc' are accepted. ".to_string()),
    };
    Ok(otlp)
}

fn retry(decoder: &mut Decoder, node: &Node, retry: &mut OtlpRetry) {
    decoder.fields(node, "otlp.retryConfig", |decoder, key, value| {
        match key {
            "retry_enabled" => decoder.switch(value, &mut retry.enabled),
            "retry_initial_interval" => duration(decoder, value, &mut retry.initial_interval),
            "retry_max_interval" => duration(decoder, value, &mut retry.max_interval),
            "retry_max_elapsed_time" => duration(decoder, value, &mut retry.max_elapsed_time),
            _ => return false,
        }
        true
    });
}

fn tls(decoder: &mut Decoder, node: &Node, tls: &mut OtlpTls) {
    decoder.fields(node, "exthttp.TLSConfig", |decoder, key, value| {
        match key {
            "ca_file" => decoder.text(value, &mut tls.ca_file),
            "cert_file" => decoder.text(value, &mut tls.cert_file),
            "key_file" => decoder.text(value, &mut tls.key_file),
            "server_name" => decoder.text(value, &mut tls.server_name),
            "insecure_skip_verify" => decoder.switch(value, &mut tls.insecure_skip_verify),
            _ => return false,
        }
        true
    });
}
