//! The gRPC content encoding `snappy`, which Thanos sends by default and tonic does not know.
//!
//! A gRPC body is a run of messages: a flag byte (1 is compressed), the length (4 bytes, big-endian) and so many bytes.
//! Under `grpc-encoding: snappy` a message with the flag set is one framed snappy stream. [`SnappyServer`] and
//! [`SnappyClient`] rewrite bodies around a service that knows nothing of it; other bodies pass untouched. A message
//! may not inflate beyond the message limit, and small ones are not deflated.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::future::{BoxFuture, FutureExt};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame};
use snap::read::FrameDecoder;
use snap::write::FrameEncoder;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::server::NamedService;
use tower::Service;

use super::MAX_MESSAGE_BYTES;

pub(super) const ENCODING: &str = "grpc-encoding";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
pub(super) const SNAPPY: HeaderValue = HeaderValue::from_static("snappy");
/// Before a message: a flag byte and the length.
pub(super) const HEADER_BYTES: usize = 5;

/// Shorter messages go as they are.
pub(super) const MIN_DEFLATE_BYTES: usize = 1024;

/// Takes snappy requests, and answers those with snappy.
#[derive(Clone, Debug)]
pub struct SnappyServer<S> {
    inner: S,
}

impl<S> SnappyServer<S> {
    /// Around a service.
    pub fn new(inner: S) -> Self {
        SnappyServer { inner }
    }
}

impl<S: NamedService> NamedService for SnappyServer<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for SnappyServer<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if !is_snappy(request.headers()) {
            return self.inner.call(request).boxed();
        }
        request.headers_mut().remove(ENCODING);
        let answer = self.inner.call(request.map(inflated));
        async move {
            let mut response = answer.await?;
            if response.headers().contains_key(ENCODING) {
                return Ok(response);
            }
            response.headers_mut().insert(ENCODING, SNAPPY);
            Ok(response.map(deflated))
        }
        .boxed()
    }
}

/// Sends snappy requests where it was told to, and takes snappy answers.
#[derive(Clone, Debug)]
pub struct SnappyClient<S> {
    inner: S,
    deflate: bool,
}

impl<S> SnappyClient<S> {
    /// Around a connection.
    pub fn new(inner: S, deflate: bool) -> Self {
        SnappyClient { inner, deflate }
    }

    /// Whether requests are to be compressed.
    pub fn deflates(&self) -> bool {
        self.deflate
    }

    /// The same connection for requests that are compressed already, where they should be.
    pub fn untouched(self) -> Self {
        SnappyClient { deflate: false, ..self }
    }
}

impl<S> Service<Request<Body>> for SnappyClient<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if self.deflate {
            request.headers_mut().insert(ENCODING, SNAPPY);
            request.headers_mut().insert(ACCEPT_ENCODING, SNAPPY);
            request = request.map(deflated);
        }
        let answer = self.inner.call(request);
        async move {
            let mut response = answer.await?;
            if !is_snappy(response.headers()) {
                return Ok(response);
            }
            response.headers_mut().remove(ENCODING);
            Ok(response.map(inflated))
        }
        .boxed()
    }
}

fn is_snappy(headers: &HeaderMap) -> bool {
    headers.get(ENCODING) == Some(&SNAPPY)
}

fn inflated(body: Body) -> Body {
    Body::new(Recoded::new(body, inflate))
}

fn deflated(body: Body) -> Body {
    Body::new(Recoded::new(body, deflate))
}

/// Makes one message, header included, of another one.
type Recode = fn(flag: u8, message: Bytes) -> Result<Bytes, Status>;

/// A body whose messages are rewritten one by one.
struct Recoded<B> {
    inner: Pin<Box<B>>,
    recode: Recode,
    buffer: BytesMut,
    ended: bool,
    tail: VecDeque<Frame<Bytes>>,
}

impl<B> Recoded<B> {
    fn new(inner: B, recode: Recode) -> Self {
        Recoded { inner: Box::pin(inner), recode, buffer: BytesMut::new(), ended: false, tail: VecDeque::new() }
    }

    /// The next whole message of the buffer, rewritten.
    fn take_message(&mut self) -> Option<Result<Bytes, Status>> {
        let header = self.buffer.first_chunk::<HEADER_BYTES>()?;
        let [flag, length @ ..] = *header;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_MESSAGE_BYTES {
            return Some(Err(Status::out_of_range(format!("message of {length} bytes"))));
        }
        if self.buffer.len() < HEADER_BYTES + length {
            return None;
        }
        self.buffer.advance(HEADER_BYTES);
        let message = self.buffer.split_to(length).freeze();
        Some((self.recode)(flag, message))
    }
}

impl<B> HttpBody for Recoded<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(message) = self.take_message() {
                return Poll::Ready(Some(message.map(Frame::data)));
            }
            if self.ended {
                if !self.buffer.is_empty() {
                    self.buffer.clear();
                    return Poll::Ready(Some(Err(Status::internal("body ends inside a message"))));
                }
                return Poll::Ready(self.tail.pop_front().map(Ok));
            }
            match ready!(self.inner.as_mut().poll_frame(cx)) {
                None => self.ended = true,
                Some(Err(e)) => return Poll::Ready(Some(Err(Status::from_error(e.into())))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(trailers) => {
                        self.tail.push_back(trailers);
                        self.ended = true;
                    }
                },
            }
        }
    }
}

fn framed(flag: u8, message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES + message.len());
    out.put_u8(flag);
    out.put_u32(message.len() as u32);
    out.put_slice(message);
    out.freeze()
}

fn inflate(flag: u8, message: Bytes) -> Result<Bytes, Status> {
    if flag != 1 {
        return Ok(framed(flag, &message));
    }
    // The header goes in when the length is known.
    let mut plain = vec![0; HEADER_BYTES];
    let mut decoder = FrameDecoder::new(&message[..]).take(MAX_MESSAGE_BYTES as u64 + 1);
    decoder.read_to_end(&mut plain).map_err(|e| Status::internal(format!("snappy: {e}")))?;
    let length = plain.len() - HEADER_BYTES;
    if length > MAX_MESSAGE_BYTES {
        return Err(Status::out_of_range("message inflates beyond the limit"));
    }
    plain[1..HEADER_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(plain.into())
}

fn deflate(flag: u8, message: Bytes) -> Result<Bytes, Status> {
    if flag != 0 || message.len() < MIN_DEFLATE_BYTES {
        return Ok(framed(flag, &message));
    }
    let mut encoder = FrameEncoder::new(Vec::with_capacity(message.len() / 2));
    let failed = |e: String| Status::internal(format!("snappy: {e}"));
    encoder.write_all(&message).map_err(|e| failed(e.to_string()))?;
    let packed = encoder.into_inner().map_err(|e| failed(e.to_string()))?;
    Ok(framed(1, &packed))
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    use super::*;

    /// Sends a body through a rewriting in pieces of `piece` bytes.
    fn through(recode: Recode, body: &[u8], piece: usize) -> Result<Vec<u8>, Status> {
        let pieces: Vec<_> = body.chunks(piece.max(1)).map(Bytes::copy_from_slice).collect();
        let frames = pieces.into_iter().map(|b| Ok::<_, Status>(Frame::data(b)));
        let recoded = Recoded::new(StreamBody::new(futures::stream::iter(frames)), recode);
        futures::executor::block_on(recoded.collect()).map(|b| b.to_bytes().to_vec())
    }

    proptest! {
        #[test]
        fn messages_survive_in_any_pieces(sizes in proptest::collection::vec(0usize..5000, 0..4), piece in 1usize..3000) {
            let body: Vec<u8> = sizes.iter().flat_map(|s| framed(0, &vec![7; *s])).collect();
            let packed = through(deflate, &body, piece).unwrap();
            prop_assert_eq!(through(inflate, &packed, piece).unwrap(), body);
        }

        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200), piece in 1usize..50) {
            let _ = through(inflate, &body, piece);
        }
    }

    #[test]
    fn a_cut_body_is_an_error() {
        let body = framed(0, &[1; 10]);
        assert!(through(inflate, &body[..8], 100).is_err());
        let error = through(inflate, &[1, 0xff, 0xff, 0xff, 0xff], 100).unwrap_err();
        assert_eq!(error.code(), tonic::Code::OutOfRange);
    }
}
