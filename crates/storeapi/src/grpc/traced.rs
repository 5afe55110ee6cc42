//! Calls of other processes as spans: one from the request to the end of the answer, of which the other side is told.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, Either, FutureExt};
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use thanoxide_spans::{Span, is_on, tag};
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::{Code, Status};
use tower::Service;

/// A connection whose calls are spans; nothing of it is there without tracing.
#[derive(Clone, Debug)]
pub struct Traced<S> {
    inner: S,
    address: Arc<str>,
}

impl<S> Traced<S> {
    /// Around a connection to an address.
    pub fn new(inner: S, address: &str) -> Self {
        Traced { inner, address: address.into() }
    }
}

impl<S> Service<Request<Body>> for Traced<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Into<StdError> + std::fmt::Display + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if !is_on() {
            return Either::Left(self.inner.call(request));
        }
        let tags = || vec![tag("component", "gRPC"), tag("target", self.address.to_string())];
        let span = Span::client(|| request.uri().path().to_string(), tags);
        span.inject(request.headers_mut());
        let answer = self.inner.call(request);
        let traced = async move {
            let response = span.seen(answer.await)?;
            let is_over = note_failure(&span, response.headers());
            Ok(response.map(|inner| Body::new(TracedBody { inner, span, is_over })))
        };
        Either::Right(traced.boxed())
    }
}

/// Whether a head or trailers hold the status; one that is a failure is noted.
fn note_failure(span: &Span, headers: &HeaderMap) -> bool {
    let status = Status::from_header_map(headers);
    if let Some(status) = status.as_ref().filter(|status| status.code() != Code::Ok) {
        span.fail(&format_args!("rpc error: {:?}: {}", status.code(), status.message()));
    }
    status.is_some()
}

/// The answer of a call that is a span.
struct TracedBody {
    inner: Body,
    span: Span,
    is_over: bool,
}

impl HttpBody for TracedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => self.is_over = true,
            Poll::Ready(Some(Err(status))) => {
                self.span.fail(&status.message());
                self.is_over = true;
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.is_over = note_failure(&self.span, trailers);
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for TracedBody {
    fn drop(&mut self) {
        if !self.is_over {
            self.span.fail(&"context canceled");
        }
    }
}
