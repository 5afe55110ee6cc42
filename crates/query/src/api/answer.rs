//! The envelope around every answer.

use thanoxide_promql::engine::QueryError;
use thanoxide_server::http::{IntoResponse, Response, StatusCode, header};
use thanoxide_storeapi::StoreError;

use crate::json::{push_array, push_string};

/// A request that failed: the error type and status of Prometheus's API, and the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    kind: &'static str,
    status: StatusCode,
    text: String,
}

impl ApiError {
    /// The request makes no sense.
    pub fn bad_data(text: impl Into<String>) -> Self {
        ApiError { kind: "bad_data", status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    /// The evaluation failed.
    pub fn execution(text: impl Into<String>) -> Self {
        ApiError { kind: "execution", status: StatusCode::UNPROCESSABLE_ENTITY, text: text.into() }
    }

    fn unavailable(kind: &'static str, text: String) -> Self {
        ApiError { kind, status: StatusCode::SERVICE_UNAVAILABLE, text }
    }

    /// A store failed in a call.
    pub fn from_store(call: &str, error: StoreError) -> Self {
        match error {
            StoreError::InvalidArgument(text) => ApiError::bad_data(text),
            StoreError::Deadline(text) => ApiError::unavailable("timeout", text),
            StoreError::Canceled => ApiError::unavailable("canceled", "canceled".to_string()),
            other => ApiError::execution(format!("{call}: {other}")),
        }
    }

    /// What is said of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A defect of ours.
    pub fn internal(text: impl Into<String>) -> Self {
        ApiError { kind: "internal", status: StatusCode::INTERNAL_SERVER_ERROR, text: text.into() }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        match error {
            QueryError::BadData(_) => ApiError::bad_data(text),
            QueryError::Execution(_) | QueryError::TooManySamples | QueryError::TooMuchMemory { .. } => {
                ApiError::execution(text)
            }
            QueryError::Timeout(_) => ApiError::unavailable("timeout", text),
            QueryError::Canceled(_) => ApiError::unavailable("canceled", text),
            QueryError::Internal(_) => ApiError::internal(text),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = format!("{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":", self.kind);
        push_string(&mut body, self.text.as_bytes());
        body.push('}');
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        (self.status, headers, body).into_response()
    }
}

/// A request that succeeded: `data` is JSON text.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The data, as JSON.
    pub data: String,
    /// What should be told besides.
    pub warnings: Vec<String>,
}

impl Answer {
    /// An answer without warnings.
    pub fn new(data: impl Into<String>) -> Self {
        Answer { data: data.into(), warnings: Vec::new() }
    }

    /// Names or values, and what is missing; cut to `limit` unless that is 0.
    pub fn strings(mut values: Vec<Vec<u8>>, mut warnings: Vec<String>, limit: usize) -> Self {
        if limit > 0 && values.len() > limit {
            values.truncate(limit);
            warnings.push(TRUNCATED.to_string());
        }
        let mut data = String::new();
        push_array(&mut data, &values, |out, value| push_string(out, value));
        Answer { data, warnings }
    }
}

/// What Prometheus says when a limit cut a list.
pub const TRUNCATED: &str = "results truncated due to limit";

/// Whether a warning says that the answer is incomplete, and not only that the question is odd. A cache must not keep
/// such an answer.
pub(crate) fn is_incomplete(warnings: &[String]) -> bool {
    let is_about_question = |w: &String| w.starts_with("PromQL warning: ") || w.starts_with("PromQL info: ");
    !warnings.iter().all(is_about_question)
}

/// Appends the member `warnings`, with a comma before it, if there are any.
pub(crate) fn push_warnings(body: &mut String, warnings: &[String]) {
    if !warnings.is_empty() {
        body.push_str(",\"warnings\":");
        push_array(body, warnings, |out, warning| push_string(out, warning.as_bytes()));
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut body = String::with_capacity(self.data.len() + 64);
        body.push_str("{\"status\":\"success\",\"data\":");
        body.push_str(&self.data);
        push_warnings(&mut body, &self.warnings);
        body.push('}');
        let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
        if is_incomplete(&self.warnings) {
            response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        }
        response
    }
}
