//! What the router is told.

use std::time::Duration;

/// Settings of a [`Router`](crate::Router). All sizes are in bytes.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// Header that names the tenant.
    pub tenant_header: String,
    /// Tenant of requests that name none.
    pub default_tenant: String,
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
            max_body_bytes: 32 << 20,
            max_decoded_bytes: 32 << 20,
            max_series: 1 << 18,
            body_timeout: Duration::from_secs(30),
            max_inflight_bytes: 512 << 20,
        }
    }
}
