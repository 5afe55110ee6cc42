//! Endpoints whose answer does not depend on stored samples: what nobody serves yet is empty, in the right shape.

use std::sync::Arc;

use thanoxide_promql::parser::parse;
use thanoxide_server::http::State;

use crate::api::answer::{Answer, ApiError};
use crate::api::params::Params;
use crate::service::QueryService;

/// `/api/v1/metadata`: remote write 1.0 metadata is not stored, so there is none.
pub async fn metric_metadata(params: Params) -> Result<Answer, ApiError> {
    params.limit()?;
    Ok(Answer::new("{}"))
}

/// `/api/v1/query_exemplars`: none are stored; the expression is checked all the same.
pub async fn exemplars(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    parse(params.get("query"), &service.config().features.language).map_err(|e| ApiError::bad_data(e.to_string()))?;
    let (start, end) = (params.time_ms("start", i64::MIN)?, params.time_ms("end", i64::MAX)?);
    if end < start {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    Ok(Answer::new("[]"))
}

/// `/api/v1/rules`: no ruler is asked.
pub async fn rules() -> Answer {
    Answer::new("{\"groups\":[]}")
}

/// `/api/v1/alerts`: no ruler is asked.
pub async fn alerts() -> Answer {
    Answer::new("{\"alerts\":[]}")
}
