//! Endpoints whose answer does not depend on stored samples: what nobody serves yet is empty, in the right shape.

use crate::api::answer::{Answer, ApiError};
use crate::api::params::Params;

/// `/api/v1/metadata`: remote write 1.0 metadata is not stored, so there is none.
pub async fn metric_metadata(params: Params) -> Result<Answer, ApiError> {
    params.limit()?;
    Ok(Answer::new("{}"))
}

/// `/api/v1/rules`: no ruler is asked.
pub async fn rules() -> Answer {
    Answer::new("{\"groups\":[]}")
}

/// `/api/v1/alerts`: no ruler is asked.
pub async fn alerts() -> Answer {
    Answer::new("{\"alerts\":[]}")
}
