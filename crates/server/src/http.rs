//! The parts of the HTTP libraries that roles may use; no other crate names those libraries.

pub use axum::body::{Body, BodyDataStream};
pub use axum::extract::{
    ConnectInfo, DefaultBodyLimit, Extension, Form, FromRequest, FromRequestParts, MatchedPath, OriginalUri, Path,
    Query, RawQuery, Request, State,
};
pub use axum::handler::Handler;
pub use axum::middleware::{self, Next};
pub use axum::response::{Html, IntoResponse, Redirect, Response};
pub use axum::routing::{self, MethodRouter, any, delete, get, options, post, put};
pub use axum::{Json, Router};
pub use bytes::{Buf, BufMut, Bytes, BytesMut};
pub use form_urlencoded;
pub use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
pub use http_body::{Body as HttpBody, Frame, SizeHint};
pub use http_body_util::{BodyExt, Full, Limited, StreamBody};
pub use tower_http::compression::CompressionLayer;
pub use tower_http::cors::CorsLayer;

use tower_http::CompressionLevel;
use tower_http::cors::{AllowOrigin, Any};

/// Compresses answers with gzip for clients that accept it, at the level that costs least: a better one would take most of
/// an answer's time.
pub fn gzip_layer() -> CompressionLayer {
    CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest)
}

/// The CORS headers of Prometheus's API: every origin, GET, POST and OPTIONS.
pub fn cors_layer() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::from(Any))
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers([
            header::ACCEPT,
            header::ACCEPT_ENCODING,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ORIGIN,
        ])
        .expose_headers([header::DATE])
}
