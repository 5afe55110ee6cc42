//! How a client reaches an endpoint.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::client_tls::{ClientTls, TlsDialer};
use super::snappy::SnappyClient;
use super::traced::Traced;
use crate::{HopSecret, StoreError};

/// A connection that compresses where it was told to, and whose calls are spans.
pub type GrpcChannel = SnappyClient<Traced<Channel>>;

/// What a client may choose. The default is Thanos's.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Whether requests are compressed with snappy (and so, by custom, answers).
    pub snappy: bool,
    /// TLS; none is plain text.
    pub tls: Option<ClientTls>,
    /// What is shown with writes.
    pub secret: Option<HopSecret>,
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
            secret: None,
            connect_timeout: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
        }
    }
}

impl ClientConfig {
    /// A connection to `host:port` that is made when it is first needed, and again when it broke. Needs a runtime.
    pub fn channel(&self, address: &str) -> Result<GrpcChannel, StoreError> {
        Ok(SnappyClient::new(Traced::new(self.plain_channel(address)?, address), self.snappy))
    }

    /// The same without compression and spans: for what is no request of anybody.
    pub fn plain_channel(&self, address: &str) -> Result<Channel, StoreError> {
        let invalid = |e| StoreError::InvalidArgument(format!("address {address:?}: {e}"));
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(invalid)?
            .connect_timeout(self.connect_timeout)
            .http2_keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout)
            .keep_alive_while_idle(true)
            .http2_adaptive_window(true)
            .tcp_nodelay(true);
        Ok(match &self.tls {
            None => endpoint.connect_lazy(),
            Some(tls) => {
                // The dialer shakes hands itself; tonic must not see that it is TLS.
                let origin = format!("https://{address}").parse().map_err(|e: http::uri::InvalidUri| {
                    StoreError::InvalidArgument(format!("address {address:?}: {e}"))
                })?;
                let dialer = TlsDialer { tls: tls.clone(), timeout: self.connect_timeout };
                endpoint.origin(origin).connect_with_connector_lazy(dialer)
            }
        })
    }
}
