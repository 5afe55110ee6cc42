//! The routes of `/api/v1`.

pub mod analysis;
pub mod answer;
pub mod exemplars;
pub mod fixed;
pub mod language;
pub mod metadata;
pub mod metric_metadata;
pub mod params;
pub mod query;
pub mod stats;
pub mod status;
pub mod streamed;

use std::sync::Arc;

use thanoxide_server::http::{IntoResponse, Method, Response, Router, StatusCode, cors_layer, get, gzip_layer};

use crate::service::QueryService;

/// All routes that a Prometheus data source asks for.
pub fn routes(service: Arc<QueryService>) -> Router {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/query_explain", get(analysis::instant).post(analysis::instant))
        .route("/api/v1/query_range_explain", get(analysis::range).post(analysis::range))
        .route("/api/v1/format_query", get(language::format_query).post(language::format_query))
        .route("/api/v1/parse_query", get(language::parse_query).post(language::parse_query))
        .route("/api/v1/series", get(metadata::series).post(metadata::series))
        .route("/api/v1/labels", get(metadata::label_names).post(metadata::label_names))
        .route("/api/v1/label/{name}/values", get(metadata::label_values))
        .route("/api/v1/metadata", get(metric_metadata::metric_metadata))
        .route("/api/v1/query_exemplars", get(exemplars::exemplars).post(exemplars::exemplars))
        .route("/api/v1/rules", get(fixed::rules))
        .route("/api/v1/alerts", get(fixed::alerts))
        .route("/api/v1/stores", get(metadata::stores))
        .route("/api/v1/status/buildinfo", get(status::build_info))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/runtimeinfo", get(status::runtime_info))
        .with_state(service)
        .method_not_allowed_fallback(not_allowed)
        .layer(gzip_layer())
        .layer(cors_layer())
}

/// The name under which requests of a route are counted: Thanos's, where it has the route.
pub fn handler_of(route: &str) -> &'static str {
    match route.strip_prefix("/api/v1/").unwrap_or_default() {
        "query_range" => "query_range",
        "series" => "series",
        "labels" => "label_names",
        "label/{name}/values" => "label_values",
        "metadata" => "metadata",
        "query_exemplars" => "exemplars",
        "rules" => "rules",
        "alerts" => "alerts",
        "stores" => "stores",
        "format_query" => "format_query",
        "parse_query" => "parse_query",
        "status/buildinfo" => "status_build",
        "status/flags" => "status_flags",
        "status/runtimeinfo" => "status_runtime",
        // Explanations are counted with queries.
        _ => "query",
    }
}

/// OPTIONS is answered everywhere, with nothing but headers.
async fn not_allowed(method: Method) -> Response {
    match method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").into_response(),
    }
}
