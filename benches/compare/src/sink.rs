//! Nodes that swallow: `thanos.WriteableStore` that takes every write, counts it and keeps nothing.
//!
//! They stand in for ingesters where a router is measured alone, the same ones for every router. Each listens on its own port; all share
//! one thread, which runs where the thread that starts it may run. Bytes are counted as they leave the socket, framing of HTTP/2 included.
//! Samples are counted only while asked for, because that means to decompress and decode.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context as TaskContext, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use thanoxide_proto::thanoxide::WriteVerdicts;
use thanoxide_proto::{DecodeLimits, decode_store_write_request};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tower::Service;

/// Room for writes on their way, so that no router waits for permission to send.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
/// Before a gRPC message: a flag (1 is compressed) and the length (4 bytes, big-endian).
const HEADER_BYTES: usize = 5;
/// A router of ours says with this that it wants a verdict on each series. Stock's does not.
const VERDICTS_METADATA: &str = "thanoxide-verdicts";
/// So long nothing may come before all is taken to be there, and so long that may take.
const QUIET: Duration = Duration::from_millis(200);
/// Longer than routers try.
const REST_DEADLINE: Duration = Duration::from_secs(20);
const QUIET_DEADLINE: Duration = Duration::from_secs(60);

/// What sinks have taken so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Taken {
    /// Bytes that came over their connections.
    pub(crate) wire_bytes: u64,
    /// Calls.
    pub(crate) requests: u64,
    /// Samples of the calls that were decoded.
    pub(crate) samples: u64,
}

#[derive(Debug, Default)]
struct Counts {
    wire_bytes: AtomicU64,
    requests: AtomicU64,
    samples: AtomicU64,
    is_decoding: AtomicBool,
    /// Whether callers that want verdicts get them, as of our own nodes.
    gives_verdicts: bool,
    fault: Mutex<Option<String>>,
}

/// Some nodes at work. Dropped, they are gone.
#[derive(Debug)]
pub(crate) struct Sinks {
    addresses: Vec<SocketAddr>,
    counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sinks {
    /// Starts so many nodes: of ours, which tell the fate of each series, or stock's, which only say that it went well.
    pub(crate) fn start(nodes: usize, ours: bool) -> Result<Self> {
        let counts = Arc::new(Counts { gives_verdicts: ours, ..Counts::default() });
        let (bound, listening) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let of_thread = Arc::clone(&counts);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let served = runtime.and_then(|runtime| runtime.block_on(serve(nodes, &of_thread, bound, stopped)));
            if let Err(fault) = served {
                of_thread.report(fault.to_string());
            }
        });
        let addresses = listening.recv().map_err(|_| anyhow!("the sinks do not start"))?;
        Ok(Sinks { addresses, counts, stop: Some(stop), thread: Some(thread) })
    }

    /// A hashring of these nodes.
    pub(crate) fn hashring(&self) -> String {
        let endpoints: Vec<String> = self.addresses.iter().map(|address| format!("\"{address}\"")).collect();
        format!("[{{\"endpoints\":[{}]}}]", endpoints.join(","))
    }

    /// Whether samples are counted from now on.
    pub(crate) fn decode(&self, on: bool) {
        self.counts.is_decoding.store(on, Ordering::Relaxed);
    }

    /// Waits until so many samples were decoded, or for as long as routers may take to send what was answered at a quorum.
    pub(crate) fn await_samples(&self, wanted: u64) -> Result<Taken> {
        let began = Instant::now();
        while self.counts.taken().samples < wanted && began.elapsed() < REST_DEADLINE {
            std::thread::sleep(QUIET / 100);
        }
        self.settled()
    }

    /// What has come, once nothing more comes: routers answer at a quorum, and send the rest later.
    pub(crate) fn settled(&self) -> Result<Taken> {
        let (began, mut last, mut since) = (Instant::now(), self.counts.taken(), Instant::now());
        while since.elapsed() < QUIET {
            std::thread::sleep(QUIET / 100);
            let now = self.counts.taken();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            if began.elapsed() > QUIET_DEADLINE {
                bail!("writes still come {QUIET_DEADLINE:?} after they were answered");
            }
        }
        match self.counts.fault.lock().map_err(|_| anyhow!("a sink panicked"))?.take() {
            Some(fault) => Err(anyhow!(fault)).context("a sink cannot read what the router sent"),
            None => Ok(last),
        }
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // What went wrong in it was reported.
            let _ = thread.join();
        }
    }
}

async fn serve(
    nodes: usize,
    counts: &Arc<Counts>,
    bound: mpsc::Sender<Vec<SocketAddr>>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let mut addresses = Vec::new();
    for _ in 0..nodes {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?);
        let server = Server::builder()
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .add_service(Swallow(Arc::clone(counts)));
        let of_node = Arc::clone(counts);
        let connections = stream::unfold((listener, of_node), |(listener, counts)| async move {
            let stream = listener.accept().await.map(|(stream, _)| Counted { stream, counts: Arc::clone(&counts) });
            Some((stream, (listener, counts)))
        });
        tokio::spawn(server.serve_with_incoming(connections));
    }
    // The other side may have given up.
    let _ = bound.send(addresses);
    // Ends by being dropped.
    let _ = stopped.await;
    Ok(())
}

impl Counts {
    fn taken(&self) -> Taken {
        Taken {
            wire_bytes: self.wire_bytes.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            samples: self.samples.load(Ordering::Relaxed),
        }
    }

    fn report(&self, text: String) {
        if let Ok(mut fault) = self.fault.lock() {
            fault.get_or_insert(text);
        }
    }

    /// Swallows a call; the message of the answer.
    async fn swallow(&self, request: Request<Body>) -> Result<Bytes> {
        let wants_verdicts = self.gives_verdicts && request.headers().contains_key(VERDICTS_METADATA);
        let mut body = request.into_body();
        if self.is_decoding.load(Ordering::Relaxed) {
            let samples = samples_of(body.collect().await?.to_bytes())?;
            self.samples.fetch_add(samples, Ordering::Relaxed);
        } else {
            while let Some(frame) = body.frame().await {
                frame?;
            }
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let verdicts = WriteVerdicts { accepted: 1, ..WriteVerdicts::default() };
        let message = if wants_verdicts { verdicts.encode_to_vec() } else { Vec::new() };
        Ok([&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat().into())
    }
}

/// The samples of a gRPC body of one message.
fn samples_of(body: Bytes) -> Result<u64> {
    let flag = *body.first().context("an empty call")?;
    if body.len() < HEADER_BYTES {
        bail!("a call of {} bytes", body.len());
    }
    let message = body.slice(HEADER_BYTES..);
    let message = match flag {
        0 => message,
        _ => {
            let mut plain = Vec::new();
            io::Read::read_to_end(&mut snap::read::FrameDecoder::new(&message[..]), &mut plain)?;
            plain.into()
        }
    };
    let request = decode_store_write_request(&message, &DecodeLimits::default())?;
    Ok(request.tenants.iter().map(|(_, batch)| batch.samples.len() as u64).sum())
}

/// The gRPC service, without the codec that would make messages of bytes.
#[derive(Clone, Debug)]
struct Swallow(Arc<Counts>);

impl NamedService for Swallow {
    const NAME: &'static str = "thanos.WriteableStore";
}

impl Service<Request<Body>> for Swallow {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let counts = Arc::clone(&self.0);
        async move {
            let (message, status) = match counts.swallow(request).await {
                Ok(message) => (message, "0"),
                Err(fault) => {
                    counts.report(format!("{fault:#}"));
                    (Bytes::new(), "13")
                }
            };
            let trailers =
                HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static(status))]);
            let frames = [Frame::data(message), Frame::trailers(trailers)].map(Ok::<_, tonic::Status>);
            let mut response = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
            let grpc = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
            Ok(response)
        }
        .boxed()
    }
}

/// A connection that counts what comes.
struct Counted {
    stream: TcpStream,
    counts: Arc<Counts>,
}

impl Connected for Counted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.counts.wire_bytes.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
