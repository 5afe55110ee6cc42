//! Calls counted under the names of go-grpc-middleware, and panics turned into `Internal`.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use futures::FutureExt;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use thanoxide_env::Clock;
use thanoxide_spans::{Span, tag};
use tonic::{Code, Status};
use tracing::error;

use crate::http::{Body, Buf, Bytes, Frame, HeaderMap, HttpBody, Response, Router, SizeHint};

const DURATION_BUCKETS_SECONDS: [f64; 14] =
    [0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0];
/// Names of the codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];
/// Bytes before each message: one flag, four of length.
const MESSAGE_HEAD_BYTES: usize = 5;

/// How many messages go which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcKind {
    /// One each way.
    Unary,
    /// One in, many out.
    ServerStream,
    /// Many in, one out.
    ClientStream,
    /// Many both ways.
    BidiStream,
}

impl GrpcKind {
    fn label(self) -> &'static str {
        match self {
            GrpcKind::Unary => "unary",
            GrpcKind::ServerStream => "server_stream",
            GrpcKind::ClientStream => "client_stream",
            GrpcKind::BidiStream => "bidi_stream",
        }
    }
}

/// A method that is served.
#[derive(Clone, Copy, Debug)]
pub struct GrpcMethod {
    /// The service with its package, as `thanos.Store`.
    pub service: &'static str,
    /// The method, as `Series`.
    pub method: &'static str,
    /// Its kind.
    pub kind: GrpcKind,
}

type MethodLabels = [(&'static str, &'static str); 3];
type CodeLabels = [(&'static str, &'static str); 4];

#[derive(Clone, Copy, Debug)]
struct Durations;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        Histogram::new(DURATION_BUCKETS_SECONDS)
    }
}

/// The `grpc_server_*` metrics of the methods served; calls of other methods are not counted, as in stock.
#[derive(Clone, Debug)]
pub struct GrpcMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    methods: HashMap<String, Arc<Method>>,
    panics: Counter,
    clock: Arc<dyn Clock>,
}

/// The metrics of one method.
#[derive(Debug)]
struct Method {
    started: Counter,
    received: Counter,
    sent: Counter,
    seconds: Histogram,
    handled: [Counter; CODES.len()],
}

impl GrpcMetrics {
    /// Registers the metrics, all at zero.
    pub fn new(registry: &mut Registry, methods: &[GrpcMethod], clock: Arc<dyn Clock>) -> Self {
        let handled = Family::<CodeLabels, Counter>::default();
        let started = Family::<MethodLabels, Counter>::default();
        let received = Family::<MethodLabels, Counter>::default();
        let sent = Family::<MethodLabels, Counter>::default();
        let seconds = Family::<MethodLabels, Histogram, Durations>::new_with_constructor(Durations);
        let panics = Counter::default();
        let method = |m: &GrpcMethod| {
            let labels = [("grpc_method", m.method), ("grpc_service", m.service), ("grpc_type", m.kind.label())];
            let of_code = |code| handled.get_or_create_owned(&[("grpc_code", code), labels[0], labels[1], labels[2]]);
            Arc::new(Method {
                started: started.get_or_create_owned(&labels),
                received: received.get_or_create_owned(&labels),
                sent: sent.get_or_create_owned(&labels),
                seconds: seconds.get_or_create_owned(&labels),
                handled: CODES.map(of_code),
            })
        };
        let methods = methods.iter().map(|m| (format!("/{}/{}", m.service, m.method), method(m))).collect();
        let help = "Total number of RPCs completed on the server, regardless of success or failure.";
        registry.register("grpc_server_handled", help, handled);
        registry.register("grpc_server_started", "Total number of RPCs started on the server.", started);
        let help = "Total number of RPC stream messages received on the server.";
        registry.register("grpc_server_msg_received", help, received);
        let help = "Total number of gRPC stream messages sent by the server.";
        registry.register("grpc_server_msg_sent", help, sent);
        let help =
            "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.";
        registry.register("grpc_server_handling_seconds", help, seconds);
        let help = "Total number of gRPC requests recovered from internal panic.";
        registry.register("grpc_req_panics_recovered", help, panics.clone());
        GrpcMetrics(Arc::new(Inner { methods, panics, clock }))
    }

    /// Counts the calls of `router`.
    pub(crate) fn instrument(&self, router: Router) -> Router {
        let metrics = self.clone();
        router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let metrics = metrics.clone();
            async move { metrics.observe(request, next).await }
        }))
    }

    async fn observe(&self, request: Request, next: Next) -> Response {
        let method = self.0.methods.get(request.uri().path()).cloned();
        let span = server_span(&request);
        let place = span.place();
        let call = method.map(|method| Call::start(method, Arc::clone(&self.0.clock), span));
        let request = match &call {
            Some(call) => request.map(|body| Body::new(Counted::new(body, call.method.received.clone(), None))),
            None => request,
        };
        let outcome = AssertUnwindSafe(place.follow(next.run(request))).catch_unwind().await;
        let response = outcome.unwrap_or_else(|_| {
            self.0.panics.inc();
            error!("gRPC handler panicked");
            Status::internal("internal error").into_http()
        });
        let Some(mut call) = call else { return response };
        call.read_status(response.headers());
        let sent = call.method.sent.clone();
        response.map(|body| Body::new(Counted::new(body, sent, Some(call))))
    }
}

fn server_span(request: &Request) -> Span {
    let name = || request.uri().path().to_string().into();
    Span::server(name, request.headers(), || vec![tag("component", "gRPC")])
}

/// A call under way: counted as handled when dropped, as cancelled if no code was seen.
struct Call {
    method: Arc<Method>,
    clock: Arc<dyn Clock>,
    start: Duration,
    code: Option<Code>,
    span: Span,
}

impl Call {
    fn start(method: Arc<Method>, clock: Arc<dyn Clock>, span: Span) -> Self {
        method.started.inc();
        let start = clock.monotonic();
        Call { method, clock, start, code: None, span }
    }

    /// The status may stand in the head of the answer or in its trailers.
    fn read_status(&mut self, headers: &HeaderMap) {
        let Some(code) = headers.get(Status::GRPC_STATUS) else { return };
        let code = Code::from_bytes(code.as_bytes());
        if code != Code::Ok {
            self.span.fail(&Status::from_header_map(headers).as_ref().map_or("", Status::message));
        }
        self.code = Some(code);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.code.is_none() {
            self.span.fail(&"context canceled");
        }
        let code = self.code.unwrap_or(Code::Cancelled) as usize;
        self.method.handled[code].inc();
        let duration = self.clock.monotonic().saturating_sub(self.start);
        self.method.seconds.observe(duration.as_secs_f64());
    }
}

/// A body whose messages are counted and whose trailers give the call its code.
struct Counted {
    body: Body,
    messages: Counter,
    scan: MessageScan,
    call: Option<Call>,
}

impl Counted {
    fn new(body: Body, messages: Counter, call: Option<Call>) -> Self {
        Counted { body, messages, scan: MessageScan::default(), call }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let _entered = this.call.as_ref().map(|call| call.span.enter());
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            if let Some(data) = frame.data_ref() {
                this.messages.inc_by(this.scan.count(data.clone()));
            }
            if let (Some(call), Some(trailers)) = (&mut this.call, frame.trailers_ref()) {
                call.read_status(trailers);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Finds the messages in a stream of bytes cut anywhere.
#[derive(Debug, Default)]
struct MessageScan {
    head: [u8; MESSAGE_HEAD_BYTES],
    head_len: usize,
    body_left: usize,
}

impl MessageScan {
    /// How many messages begin in `data`.
    fn count(&mut self, mut data: Bytes) -> u64 {
        let mut messages = 0;
        while data.has_remaining() {
            let skipped = self.body_left.min(data.len());
            data.advance(skipped);
            self.body_left -= skipped;
            if self.body_left > 0 {
                break;
            }
            let wanted = (MESSAGE_HEAD_BYTES - self.head_len).min(data.len());
            data.copy_to_slice(&mut self.head[self.head_len..self.head_len + wanted]);
            self.head_len += wanted;
            if self.head_len == MESSAGE_HEAD_BYTES {
                let [_, length @ ..] = self.head;
                self.body_left = u32::from_be_bytes(length) as usize;
                self.head_len = 0;
                messages += 1;
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_the_stream_is_cut() {
        let stream = [&[0, 0, 0, 0, 3, 1, 2, 3][..], &[0, 0, 0, 0, 0], &[1, 0, 0, 0, 1, 9]].concat();
        for chunk_bytes in 1..=stream.len() {
            let mut scan = MessageScan::default();
            let chunks = stream.chunks(chunk_bytes);
            assert_eq!(chunks.map(|chunk| scan.count(Bytes::copy_from_slice(chunk))).sum::<u64>(), 3, "{chunk_bytes}");
        }
    }
}
