//! How a client reaches an endpoint.

use std::time::Duration;

use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

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
