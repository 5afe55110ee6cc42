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
    let call = std::pin::pin!(call);
    match timeout {
        Some(limit) => within(asked, limit, call).await,
        None => while_alive(asked, call).await,
    }
}

/// Somebody looks in the second half of the time, so that whoever asks next need not wait as well.
async fn within<T>(asked: &Asked, limit: Duration, mut call: impl Future<Output = T> + Unpin) -> Result<T, StoreError> {
    if let Ok(answer) = tokio::time::timeout(limit / 2, &mut call).await {
        return Ok(answer);
    }
    tokio::spawn(look(asked.endpoint.clone(), limit / 2));
    let late = |_| StoreError::Deadline(format!("no frame within {limit:?}"));
    tokio::time::timeout(limit / 2, call).await.map_err(late)
}

async fn while_alive<T>(asked: &Asked, mut call: impl Future<Output = T> + Unpin) -> Result<T, StoreError> {
    loop {
        if let Ok(answer) = tokio::time::timeout(PATIENCE, &mut call).await {
            return Ok(answer);
        }
        let look = std::pin::pin!(look(asked.endpoint.clone(), PATIENCE));
        match select(&mut call, look).await {
            Either::Left((answer, _)) => return Ok(answer),
            Either::Right((true, _)) => {}
            Either::Right((false, _)) => {
                let text = format!("no frame within {PATIENCE:?}, and no info within {PATIENCE:?}");
                return Err(StoreError::Deadline(text));
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
