//! The answer to a query: rendered while it is sent.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use thanoxide_promql::value::QueryValue;
use thanoxide_server::http::{Body, IntoResponse, Response, header};

use crate::api::answer::{is_incomplete, push_warnings};
use crate::render::Pieces;

/// A result with what belongs beside it.
#[derive(Clone, Debug)]
pub struct StreamedAnswer {
    /// The result.
    pub value: QueryValue,
    /// JSON members of `data` behind the result, each with a comma before it.
    pub beside: String,
    /// What should be told besides.
    pub warnings: Vec<String>,
}

impl IntoResponse for StreamedAnswer {
    fn into_response(self) -> Response {
        let mut tail = self.beside;
        tail.push('}');
        push_warnings(&mut tail, &self.warnings);
        tail.push('}');
        let pieces = Pieces::new("{\"status\":\"success\",\"data\":{".to_string(), self.value, tail);
        let mut response = ([(header::CONTENT_TYPE, "application/json")], body(pieces)).into_response();
        if is_incomplete(&self.warnings) {
            response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        }
        response
    }
}

/// A short answer goes out in one piece and says how long it is.
fn body(mut pieces: Pieces) -> Body {
    let first = pieces.next().unwrap_or_default();
    match pieces.next() {
        None => Body::from(first),
        Some(second) => {
            let pieces = [first, second].into_iter().chain(pieces);
            Body::from_stream(stream::iter(pieces.map(Ok::<Bytes, Infallible>)))
        }
    }
}
