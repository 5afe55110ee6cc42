//! The gRPC listener: bound first, then served with Thanos's keep-alives and connection age, drained when asked to stop.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tracing::{debug, warn};

pub use tonic::service::RoutesBuilder;

use crate::bind::{BindError, bind};
use crate::grpc_metrics::GrpcMetrics;
use crate::probe::Probe;
use crate::shutdown::Shutdown;
use crate::tls::Tls;

/// How often peers are pinged, and how long they have to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Stock's default of `--grpc-server-max-connection-age`.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(60 * 60);

/// Handshakes under way.
const MAX_HANDSHAKES: usize = 256;

/// A gRPC server that ended with an error.
#[derive(Debug, Error)]
#[error("serve gRPC: {0}")]
pub struct GrpcError(#[from] tonic::transport::Error);

/// A bound gRPC listener.
#[derive(Debug)]
pub struct GrpcServer {
    listener: TcpListener,
    max_connection_age: Duration,
    tls: Option<Tls>,
}

impl GrpcServer {
    /// Binds `address`; `flag` is named in the error.
    pub async fn bind(flag: &str, address: &str) -> Result<Self, BindError> {
        Ok(GrpcServer { listener: bind(flag, address).await?, max_connection_age: MAX_CONNECTION_AGE, tls: None })
    }

    /// With connections told to go away at another age.
    pub fn with_max_connection_age(mut self, age: Duration) -> Self {
        self.max_connection_age = age;
        self
    }

    /// Over TLS.
    pub fn with_tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// The address bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `services` and `grpc.health.v1.Health` (which follows `probe`) until `shutdown`, then lets running calls
    /// end within `grace`.
    pub async fn serve(
        self,
        services: RoutesBuilder,
        metrics: GrpcMetrics,
        probe: Probe,
        shutdown: Shutdown,
        grace: Duration,
    ) -> Result<(), GrpcError> {
        let (reporter, health) = health_reporter();
        let mut services = services;
        services.add_service(health);
        let routes = Routes::from(metrics.instrument(services.routes().into_axum_router()));
        let serving = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_connection_age(self.max_connection_age)
            .add_routes(routes);
        let asked = shutdown.clone();
        let asked = async move { asked.requested().await };
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let serving = match self.tls {
            None => serving.serve_with_incoming_shutdown(incoming, asked).boxed(),
            Some(tls) => serving.serve_with_incoming_shutdown(shaken(incoming, tls), asked).boxed(),
        };
        tokio::select! {
            result = serving => Ok(result?),
            () = report_health(reporter, probe) => Ok(()),
            () = grace_over(shutdown, grace) => Ok(()),
        }
    }
}

/// Connections after their handshakes, which run side by side: one slow client holds up no other.
fn shaken(incoming: TcpIncoming, tls: Tls) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
    let shake = move |stream: io::Result<TcpStream>| {
        let tls = tls.clone();
        async move { tls.accept(stream?).await }
    };
    incoming.map(shake).buffer_unordered(MAX_HANDSHAKES).filter_map(async |shaken| match shaken {
        Ok(stream) => Some(Ok(stream)),
        // An error here would end the listener.
        Err(error) => {
            debug!(%error, "TLS handshake failed");
            None
        }
    })
}

async fn grace_over(shutdown: Shutdown, grace: Duration) {
    shutdown.requested().await;
    tokio::time::sleep(grace).await;
    warn!("grace period is over, closing gRPC connections");
}

/// Health of the service "" (the server as a whole) is the probe's readiness. Never returns.
async fn report_health(reporter: HealthReporter, probe: Probe) {
    let mut ready = probe.watch_ready();
    loop {
        let is_ready = *ready.borrow_and_update();
        let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status("", status).await;
        if ready.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}
