//! The HTTP listener: bound first, then served with limits, drained when asked to stop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{debug, error, warn};

use crate::bind::{BindError, bind};
use crate::http::{IntoResponse, Request, Response, StatusCode};
use crate::identity::ClientIdentity;
use crate::shutdown::Shutdown;
use crate::tls::Tls;

/// How long after an error of `accept` (too many open files) it is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The most bytes of one HTTP/2 header block; HTTP/1 has a limit of its own.
const MAX_HEADER_BYTES: u32 = 64 << 10;

/// What one connection may do.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// How long the headers of a request may take, counted from the end of the request before.
    pub header_timeout: Duration,
    /// How long a connection may be open with no request.
    pub idle_timeout: Duration,
    /// Requests side by side on one HTTP/2 connection.
    pub max_streams: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits { header_timeout: Duration::from_secs(60), idle_timeout: Duration::from_secs(120), max_streams: 250 }
    }
}

/// A bound HTTP listener; speaks HTTP/1.1 and HTTP/2 with prior knowledge.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    limits: HttpLimits,
    tls: Option<Tls>,
}

impl HttpServer {
    /// Binds `address`; `flag` is named in the error.
    pub async fn bind(flag: &str, address: &str) -> Result<Self, BindError> {
        let listener = bind(flag, address).await?;
        Ok(HttpServer { listener, limits: HttpLimits::default(), tls: None })
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: HttpLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Over TLS.
    pub fn with_tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// The address bound: with the port that the system chose for port 0.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`, then accepts nothing more and lets running requests end within `grace`.
    pub async fn serve(self, router: Router, shutdown: Shutdown, grace: Duration) -> io::Result<()> {
        let router = router.layer(CatchPanicLayer::custom(panic_response));
        let builder = Arc::new(connection_builder(&self.limits));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.requested() => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let idle = self.limits.idle_timeout;
                    let connection = Connection { router: router.clone(), peer, idle, identity: None };
                    let tls = self.tls.clone();
                    connections.spawn(connection.open(stream, tls, Arc::clone(&builder), shutdown.clone()));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        let drained = timeout(grace, async { while connections.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            warn!(connections = connections.len(), "grace period is over, closing connections");
            connections.shutdown().await;
        }
        Ok(())
    }
}

fn connection_builder(limits: &HttpLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}

fn panic_response(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown");
    error!(panic = text, "http handler panicked");
    (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    idle: Duration,
    identity: Option<ClientIdentity>,
}

impl Connection {
    async fn open(
        mut self,
        stream: TcpStream,
        tls: Option<Tls>,
        builder: Arc<Builder<TokioExecutor>>,
        shutdown: Shutdown,
    ) {
        // Answers are written whole; waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot set TCP_NODELAY");
        }
        let Some(tls) = tls else { return self.serve(stream, builder, shutdown).await };
        match tls.accept(stream).await {
            Ok(stream) => {
                self.identity = crate::tls::identity(&stream);
                self.serve(stream, builder, shutdown).await;
            }
            Err(error) => debug!(peer = %self.peer, %error, "TLS handshake failed"),
        }
    }

    async fn serve<S>(self, stream: S, builder: Arc<Builder<TokioExecutor>>, shutdown: Shutdown)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let service = hyper::service::service_fn({
            let (router, activity) = (self.router, Arc::clone(&activity));
            let (peer, identity) = (self.peer, self.identity);
            move |request| answer(router.clone(), (peer, identity.clone()), Arc::clone(&activity), request)
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let asked = tokio::select! {
            _ = connection.as_mut() => return,
            () = shutdown.requested() => "shutdown",
            () = activity.idle_for(self.idle) => "idle",
        };
        debug!(peer = %self.peer, reason = asked, "closing connection");
        connection.as_mut().graceful_shutdown();
        // An idle connection has nothing to end; one that stops has what the listener's grace period leaves.
        let _ = connection.await;
    }
}

async fn answer(
    router: Router,
    (peer, identity): (SocketAddr, Option<ClientIdentity>),
    activity: Arc<Activity>,
    request: hyper::Request<Incoming>,
) -> Result<Response, Infallible> {
    let _busy = Busy::new(activity);
    let mut request: Request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    if let Some(identity) = identity {
        request.extensions_mut().insert(identity);
    }
    router.oneshot(request).await
}

/// How busy a connection is: the requests under way and how many ever ended.
#[derive(Debug, Default)]
struct Activity {
    running: AtomicUsize,
    ended: AtomicU64,
}

impl Activity {
    /// Returns once no request ran for `limit`.
    async fn idle_for(&self, limit: Duration) {
        let (mut since, mut seen) = (Instant::now(), 0);
        loop {
            tokio::time::sleep_until(since + limit).await;
            let ended = self.ended.load(Ordering::Relaxed);
            if self.running.load(Ordering::Relaxed) == 0 && ended == seen {
                return;
            }
            (since, seen) = (Instant::now(), ended);
        }
    }
}

struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: Arc<Activity>) -> Self {
        activity.running.fetch_add(1, Ordering::Relaxed);
        Busy(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}
