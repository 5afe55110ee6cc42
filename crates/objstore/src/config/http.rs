//! The `http_config` of remote buckets, and the client made of it.

use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use serde::{Deserialize, Deserializer};
use thanoxide_model::duration::parse_duration_ms;

/// Settings of the HTTP client. Durations are Prometheus's (`1m30s`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// How long an idle connection is kept.
    #[serde(deserialize_with = "duration")]
    pub idle_conn_timeout: Duration,
    /// How long to wait for the next bytes of an answer.
    #[serde(deserialize_with = "duration")]
    pub response_header_timeout: Duration,
    /// Whether certificates are not checked.
    pub insecure_skip_verify: bool,
    /// How long connecting may take.
    #[serde(deserialize_with = "duration")]
    pub tls_handshake_timeout: Duration,
    /// Has no meaning here: uploads do not ask first.
    #[serde(deserialize_with = "duration")]
    pub expect_continue_timeout: Duration,
    /// Has no meaning here: there is one host, for which the next one holds.
    pub max_idle_conns: usize,
    /// Idle connections that are kept.
    pub max_idle_conns_per_host: usize,
    /// Requests at the same time; 0 is any number.
    pub max_conns_per_host: usize,
    /// TLS.
    pub tls_config: TlsConfig,
    /// Has no meaning here: answers are never asked for compressed.
    pub disable_compression: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            idle_conn_timeout: Duration::from_secs(90),
            response_header_timeout: Duration::from_secs(120),
            insecure_skip_verify: false,
            tls_handshake_timeout: Duration::from_secs(10),
            expect_continue_timeout: Duration::from_secs(1),
            max_idle_conns: 100,
            max_idle_conns_per_host: 100,
            max_conns_per_host: 0,
            tls_config: TlsConfig::default(),
            disable_compression: false,
        }
    }
}

/// TLS of the HTTP client; empty file names are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates to trust besides the system's, PEM.
    pub ca_file: String,
    /// Our certificate, PEM.
    pub cert_file: String,
    /// Its key, PEM.
    pub key_file: String,
    /// The name to expect in the server's certificate: not supported.
    pub server_name: String,
    /// Whether certificates are not checked.
    pub insecure_skip_verify: bool,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let ms = parse_duration_ms(&text).map_err(serde::de::Error::custom)?;
    Ok(Duration::from_millis(ms as u64))
}

impl HttpConfig {
    pub(super) fn validate(&self) -> Result<(), String> {
        if !self.tls_config.server_name.is_empty() {
            return Err("http_config.tls_config.server_name is not supported".into());
        }
        if self.tls_config.cert_file.is_empty() != self.tls_config.key_file.is_empty() {
            return Err("http_config.tls_config: cert_file and key_file must be set together".into());
        }
        Ok(())
    }

    /// Reads the files and makes the client.
    pub(super) fn connector(&self) -> Result<FixedClient, String> {
        let tls = &self.tls_config;
        let mut builder = reqwest::Client::builder()
            .user_agent("thanoxide")
            .no_gzip()
            .http1_only()
            .pool_idle_timeout(self.idle_conn_timeout)
            .pool_max_idle_per_host(self.max_idle_conns_per_host)
            .connect_timeout(self.tls_handshake_timeout)
            .tls_danger_accept_invalid_certs(self.insecure_skip_verify || tls.insecure_skip_verify);
        if !self.response_header_timeout.is_zero() {
            builder = builder.read_timeout(self.response_header_timeout);
        }
        if !tls.ca_file.is_empty() {
            let pem = read(&tls.ca_file)?;
            let bundle = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| format!("{}: {e}", tls.ca_file))?;
            builder = bundle.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        if !tls.cert_file.is_empty() {
            let mut pem = read(&tls.cert_file)?;
            pem.extend_from_slice(b"\n");
            pem.extend_from_slice(&read(&tls.key_file)?);
            let identity = reqwest::Identity::from_pem(&pem).map_err(|e| format!("{}: {e}", tls.cert_file))?;
            builder = builder.identity(identity);
        }
        builder.build().map(FixedClient).map_err(|e| format!("making the HTTP client: {e}"))
    }
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("unable to load specified file {path}: {e}"))
}

/// Gives every request the same client.
#[derive(Debug)]
pub(super) struct FixedClient(reqwest::Client);

impl HttpConnector for FixedClient {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}
