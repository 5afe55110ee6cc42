//! How a client reaches an endpoint.

use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::snappy::SnappyClient;
use crate::StoreError;

/// A connection that compresses where it was told to.
pub type GrpcChannel = SnappyClient<Channel>;

/// What a client may choose. The default is Thanos's.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Whether requests are compressed with snappy (and so, by custom, answers).
    pub snappy: bool,
    /// TLS; none is plain text.
    pub tls: Option<ClientTlsConfig>,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time between pings.
    pub keepalive_interval: Duration,
    /// Time for the answer to a ping.
    pub keepalive_timeout: Duration,
}

/// TLS of a client, from PEM texts: the CA of servers, its own certificate and key, and the name that servers must have
/// where it is not that of their address.
pub fn client_tls(ca: &[u8], identity: Option<(Vec<u8>, Vec<u8>)>, server_name: &str) -> ClientTlsConfig {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    if server_name.is_empty() { tls } else { tls.domain_name(server_name) }
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            snappy: false,
            tls: None,
            connect_timeout: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
        }
    }
}

impl ClientConfig {
    /// A connection to `host:port` that is made when it is first needed, and again when it broke. Needs a runtime.
    pub fn channel(&self, address: &str) -> Result<GrpcChannel, StoreError> {
        let invalid = |e| StoreError::InvalidArgument(format!("address {address:?}: {e}"));
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(invalid)?
            .connect_timeout(self.connect_timeout)
            .http2_keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout)
            .keep_alive_while_idle(true)
            .http2_adaptive_window(true)
            .tcp_nodelay(true);
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.clone()).map_err(invalid)?;
        }
        Ok(SnappyClient::new(endpoint.connect_lazy(), self.snappy))
    }
}
