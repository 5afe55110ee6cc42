//! Whether an endpoint that says nothing is still there.
//!
//! A silent store may be working, or frozen, or behind a cable that somebody has pulled. Who waits for it asks it for its
//! info, which costs nothing to tell. One that does not tell is left alone by all requests until it answers its watch.

use std::time::Duration;

use futures::future::{Either, select};

use super::endpoint::{Asked, ProxyEndpoint};
use crate::StoreError;

/// How long a store may be silent before somebody looks, where no timeout says so; and how long it has for its info.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for a store: as long as the timeout allows, or else as long as it gives a sign of life.
pub(super) async fn attend<T>(
    asked: &Asked,
    timeout: Option<Duration>,
    call: impl Future<Output = T>,
) -> Result<T, StoreError> {
    let mut call = std::pin::pin!(call);
    loop {
        let limit = timeout.unwrap_or(PATIENCE);
        if let Ok(answer) = tokio::time::timeout(limit, call.as_mut()).await {
            return Ok(answer);
        }
        if let Some(limit) = timeout {
            tokio::spawn(look(asked.endpoint.clone(), limit));
            return Err(StoreError::Deadline(format!("no frame within {limit:?}")));
        }
        let look = std::pin::pin!(look(asked.endpoint.clone(), PATIENCE));
        match select(call.as_mut(), look).await {
            Either::Left((answer, _)) => return Ok(answer),
            Either::Right((true, _)) => {}
            Either::Right((false, _)) => {
                return Err(StoreError::Deadline(format!(
                    "no frame within {limit:?}, and no info within {PATIENCE:?}"
                )));
            }
        }
    }
}

/// Asks for a sign of life; who gives none is suspected. Stores in this process are as alive as we are.
async fn look(endpoint: ProxyEndpoint, limit: Duration) -> bool {
    if endpoint.is_local() {
        return true;
    }
    let store = endpoint.store();
    let is_alive = matches!(tokio::time::timeout(limit, store.info()).await, Ok(Ok(_)));
    if !is_alive {
        tracing::warn!(address = endpoint.name(), "endpoint is silent; it is left alone until it answers");
        endpoint.suspect();
    }
    is_alive
}
