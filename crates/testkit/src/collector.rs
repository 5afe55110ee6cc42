//! An OpenTelemetry collector inside the test process, on a free port: OTLP over gRPC (also with TLS) or over HTTP.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// How long spans may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A span as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its name.
    pub name: String,
    /// Of its resource.
    pub service: String,
    /// In hexadecimal digits.
    pub trace_id: String,
    /// In hexadecimal digits.
    pub span_id: String,
    /// In hexadecimal digits; empty for the first span of a trace.
    pub parent_id: String,
    /// 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// Its tags, and those of its resource.
    pub tags: BTreeMap<String, String>,
    /// Whether it failed.
    pub is_error: bool,
    /// Headers of the request that brought it.
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Spans {
    all: Mutex<Vec<Received>>,
    more: Notify,
}

/// A running collector; it ends with the runtime.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Spans>,
}

impl Collector {
    /// Takes OTLP over gRPC; with a certificate and key in PEM over TLS.
    pub async fn grpc(identity: Option<(String, String)>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let collector = Collector { address: listener.local_addr()?, spans: Arc::default() };
        let service = TraceServiceServer::new(Grpc(Arc::clone(&collector.spans)));
        let mut server = Server::builder();
        if let Some((certificate, key)) = identity {
            server = server.tls_config(ServerTlsConfig::new().identity(Identity::from_pem(certificate, key)))?;
        }
        let server = server.add_service(service.accept_compressed(CompressionEncoding::Gzip));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Ok(collector)
    }

    /// Takes OTLP over HTTP, at any path.
    pub async fn http() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let collector = Collector { address: listener.local_addr()?, spans: Arc::default() };
        let spans = Arc::clone(&collector.spans);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let spans = Arc::clone(&spans);
                let service = service_fn(move |request| take(Arc::clone(&spans), request));
                // A connection that ends badly is the client's affair.
                tokio::spawn(async move {
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Ok(collector)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Received> {
        self.spans.all.lock().expect("no writer panics").clone()
    }

    /// Waits until `find` finds something among all spans.
    pub async fn await_spans<T>(&self, find: impl Fn(&[Received]) -> Option<T>) -> Result<T> {
        let found = async {
            loop {
                let more = self.spans.more.notified();
                if let Some(found) = find(&self.spans()) {
                    return found;
                }
                more.await;
            }
        };
        match tokio::time::timeout(DEADLINE, found).await {
            Ok(found) => Ok(found),
            Err(_) => bail!("not what was waited for: {:#?}", self.spans()),
        }
    }

    /// Waits until a trace has spans of all these names, and gives all of its spans.
    pub async fn await_trace(&self, trace_id: &str, names: &[&str]) -> Result<Vec<Received>> {
        let complete = |spans: &[Received]| {
            let trace: Vec<Received> = spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect();
            names.iter().all(|name| trace.iter().any(|span| span.name == *name)).then_some(trace)
        };
        self.await_spans(complete).await.with_context(|| format!("trace {trace_id} with {names:?}"))
    }
}

impl Spans {
    fn add(&self, request: ExportTraceServiceRequest, headers: &BTreeMap<String, String>) {
        let mut all = self.all.lock().expect("no reader panics");
        for of_resource in request.resource_spans {
            let resource = tags(of_resource.resource.map(|resource| resource.attributes).unwrap_or_default());
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let mut all_tags = resource.clone();
                all_tags.extend(tags(span.attributes));
                all.push(Received {
                    name: span.name,
                    service: resource.get("service.name").cloned().unwrap_or_default(),
                    trace_id: hex(&span.trace_id),
                    span_id: hex(&span.span_id),
                    parent_id: hex(&span.parent_span_id),
                    kind: span.kind,
                    tags: all_tags,
                    is_error: span.status.is_some_and(|status| status.code == 2),
                    headers: headers.clone(),
                });
            }
        }
        self.more.notify_waiters();
    }
}

fn tags(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::BoolValue(switch) => switch.to_string(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs.into_iter().filter_map(|pair| Some((pair.key, text(pair.value?.value?)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Clone, Debug)]
struct Grpc(Arc<Spans>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let headers = texts(&request.metadata().clone().into_headers());
        self.0.add(request.into_inner(), &headers);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn texts(headers: &hyper::HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

async fn take(
    spans: Arc<Spans>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let mut headers = texts(request.headers());
    headers.insert(":path".to_string(), request.uri().path().to_string());
    let mut answer = hyper::Response::new(Full::default());
    match read(&headers, request.into_body()).await {
        Ok(request) => spans.add(request, &headers),
        Err(_) => *answer.status_mut() = hyper::StatusCode::BAD_REQUEST,
    }
    Ok(answer)
}

async fn read(headers: &BTreeMap<String, String>, body: Incoming) -> Result<ExportTraceServiceRequest> {
    let body = body.collect().await?.to_bytes();
    if headers.get("content-encoding").is_none_or(|encoding| encoding != "gzip") {
        return Ok(ExportTraceServiceRequest::decode(body)?);
    }
    let mut inflated = Vec::new();
    GzDecoder::new(&body[..]).read_to_end(&mut inflated)?;
    Ok(ExportTraceServiceRequest::decode(&inflated[..])?)
}
