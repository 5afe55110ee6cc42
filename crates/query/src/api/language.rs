//! `format_query` and `parse_query`: an expression in its pretty form and as a tree, as Prometheus gives them. Thanos has neither.

use std::sync::Arc;

use thanoxide_promql::ast::Expr;
use thanoxide_promql::json::to_json;
use thanoxide_promql::parser::parse;
use thanoxide_promql::printer::pretty::pretty;
use thanoxide_server::http::State;

use crate::api::answer::{Answer, ApiError};
use crate::api::params::Params;
use crate::json::push_string;
use crate::service::QueryService;

/// `/api/v1/format_query`.
pub async fn format_query(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    let mut data = String::new();
    push_string(&mut data, pretty(&expression(&service, &params)?).as_bytes());
    Ok(Answer::new(data))
}

/// `/api/v1/parse_query`.
pub async fn parse_query(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    let data = to_json(&expression(&service, &params)?);
    data.map(Answer::new).map_err(|e| ApiError::internal(e.to_string()))
}

fn expression(service: &QueryService, params: &Params) -> Result<Expr, ApiError> {
    let parsed = parse(params.get("query"), &service.config().features.language);
    parsed.map_err(|e| ApiError::bad_data(format!("invalid parameter \"query\": {e}")))
}
