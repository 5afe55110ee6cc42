//! A unary call whose message is in pieces already: tonic's own client would copy it into one.

use bytes::{Buf, Bytes};
use futures::stream;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Frame;
use http_body_util::{BodyExt, Limited, StreamBody};
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use super::snappy::{ENCODING, HEADER_BYTES, SNAPPY};

/// An answer says little about each series.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Calls a method with a body of one message, its header included; the message of the answer.
pub(crate) async fn call<S>(
    mut service: S,
    path: &'static str,
    metadata: MetadataMap,
    pieces: Vec<Bytes>,
) -> Result<Bytes, Status>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<StdError>,
{
    let ready = service.ready().await.map_err(|e| Status::unavailable(format!("not ready: {}", e.into())))?;
    let response = ready.call(request(path, metadata, pieces)).await.map_err(|e| Status::from_error(e.into()))?;
    let (head, body) = response.into_parts();
    // An answer without a message has its status at the top.
    if let Some(status) = Status::from_header_map(&head.headers).filter(|status| status.code() != Code::Ok) {
        return Err(status);
    }
    let answer = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(Status::from_error)?;
    match Status::from_header_map(answer.trailers().unwrap_or(&head.headers)) {
        Some(status) if status.code() == Code::Ok => message(answer.to_bytes()),
        Some(status) => Err(status),
        None => Err(without_status(head.status)),
    }
}

fn request(path: &'static str, metadata: MetadataMap, pieces: Vec<Bytes>) -> Request<Body> {
    let is_packed = pieces.first().is_some_and(|header| header.first() == Some(&1));
    let pieces: Vec<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
    let frames = stream::iter(pieces.into_iter().map(|piece| Ok::<_, Status>(Frame::data(piece))));
    let mut request = Request::new(Body::new(StreamBody::new(frames)));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = PathAndQuery::from_static(path).into();
    let mut headers = metadata.into_headers();
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if is_packed {
        headers.insert(ENCODING, SNAPPY);
    }
    *request.headers_mut() = headers;
    request
}

/// The only message of a body; none is an empty one.
fn message(mut body: Bytes) -> Result<Bytes, Status> {
    let Some(header) = body.first_chunk::<HEADER_BYTES>() else { return Ok(Bytes::new()) };
    let [flag, length @ ..] = *header;
    body.advance(HEADER_BYTES);
    if flag != 0 || u32::from_be_bytes(length) as usize != body.len() {
        return Err(Status::internal("the answer is not one plain message"));
    }
    Ok(body)
}

/// What gRPC makes of an HTTP answer that says nothing itself.
fn without_status(status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("grpc-status header missing, mapped from HTTP status code {}", status.as_u16()))
}
