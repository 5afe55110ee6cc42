//! What the router is told.

use std::sync::Arc;
use std::time::Duration;

use thanoxide_config::Relabel;
use thanoxide_server::CertificateField;
use thanoxide_storeapi::HopSecret;

use crate::limiter::Limiter;
use crate::otlp::OtlpSettings;

/// Settings of a [`Router`](crate::Router). All sizes are in bytes.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// Header that names the tenant.
    pub tenant_header: String,
    /// Tenant of requests that name none.
    pub default_tenant: String,
    /// The field of the client's certificate that names the tenant, whatever the header says.
    pub certificate_field: Option<CertificateField>,
    /// The label of a series that names its tenant, and is taken away.
    pub split_tenant_label: Option<String>,
    /// The header that says which replica of a request this is.
    pub replica_header: String,
    /// What those must show who name a tenant; none believes everybody.
    pub hop_secret: Option<HopSecret>,
    /// Rules applied to every series.
    pub relabel: Arc<Relabel>,
    /// Whether the start times of samples go on to the storage.
    pub start_times: bool,
    /// How OTLP becomes series.
    pub otlp: OtlpSettings,
    /// Limits by tenant.
    pub limiter: Limiter,
    /// Longest body as sent.
    pub max_body_bytes: u64,
    /// Longest body once decompressed. Prometheus refuses more than 32 MiB as well.
    pub max_decoded_bytes: u64,
    /// Most series in one request.
    pub max_series: usize,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// Bytes of bodies, sent and decompressed, that all requests together may hold.
    pub max_inflight_bytes: u64,
}

impl Default for RouterConfig {
    fn default() -> Self {
        RouterConfig {
            tenant_header: "THANOS-TENANT".to_string(),
            default_tenant: "default-tenant".to_string(),
            certificate_field: None,
            split_tenant_label: None,
            replica_header: "THANOS-REPLICA".to_string(),
            hop_secret: None,
            relabel: Arc::default(),
            start_times: false,
            otlp: OtlpSettings::default(),
            limiter: Limiter::default(),
            max_body_bytes: 32 << 20,
            max_decoded_bytes: 32 << 20,
            max_series: 1 << 18,
            body_timeout: Duration::from_secs(30),
            max_inflight_bytes: 512 << 20,
        }
    }
}
