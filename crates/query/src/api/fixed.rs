//! Endpoints whose answer does not depend on stored samples: what nobody serves yet is empty, in the right shape.

use crate::api::answer::Answer;

/// `/api/v1/rules`: no ruler is asked.
pub async fn rules() -> Answer {
    Answer::new("{\"groups\":[]}")
}

/// `/api/v1/alerts`: no ruler is asked.
pub async fn alerts() -> Answer {
    Answer::new("{\"alerts\":[]}")
}
