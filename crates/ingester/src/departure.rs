//! How tenants go: those that nobody writes to any more, and those that somebody wants gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thanoxide_model::TenantId;
use thanoxide_server::http::{IntoResponse, Path, Router, StatusCode, delete};
use thanoxide_tsdb::engine::EngineError;
use thiserror::Error;

use crate::ingester::{Ingester, blocking};

/// Tries to remove a tenant while others write to it.
const ATTEMPTS: usize = 5;

/// Why a tenant is still there.
#[derive(Debug, Error)]
pub enum DepartureError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] EngineError),
    /// The bucket failed.
    #[error("blocks in the bucket: {0}")]
    Bucket(String),
    /// It is the default tenant, or it is written to all the time.
    #[error("{0}")]
    Stays(&'static str),
}

/// What was seen of tenants when they were last looked at.
#[derive(Debug, Default)]
pub(crate) struct Idleness {
    due: Duration,
    appended: HashMap<TenantId, u64>,
}

impl Ingester {
    /// Removes tenants whose newest sample is older than what they keep and who took nothing between two looks: what they
    /// have is cut and uploaded first. Looks once in two block lengths, as stock does.
    pub(crate) async fn remove_idle_tenants(&self, idleness: &Mutex<Idleness>) {
        let idle = self.idle_tenants(&mut idleness.lock());
        for tenant in idle {
            match self.retire(&tenant).await {
                Ok(true) => tracing::info!(%tenant, "idle tenant was removed"),
                Ok(false) => {}
                Err(error) => tracing::error!(%tenant, %error, "idle tenant was not removed, will be tried again"),
            }
        }
    }

    fn idle_tenants(&self, idleness: &mut Idleness) -> Vec<TenantId> {
        let now = self.clock.monotonic();
        if now < idleness.due {
            return Vec::new();
        }
        let cut_ms = self.config.cut_duration_ms.unwrap_or(self.config.block_duration_ms);
        idleness.due = now + Duration::from_millis(2 * cut_ms.unsigned_abs());
        let summaries = self.tenants();
        let appended = summaries.iter().map(|of| (of.tenant.clone(), of.stats.appended)).collect();
        let before = std::mem::replace(&mut idleness.appended, appended);
        let is_idle = |of: &crate::TenantSummary| {
            let Some(retention_ms) = self.retention_of(&of.tenant).time_ms else { return false };
            let ends_before_ms = self.clock.now_ms().saturating_sub(retention_ms);
            of.tenant != self.config.default_tenant
                && before.get(&of.tenant) == Some(&of.stats.appended)
                && of.stats.times_ms.is_none_or(|(_, newest_ms)| newest_ms < ends_before_ms)
        };
        summaries.iter().filter(|of| is_idle(of)).map(|of| of.tenant.clone()).collect()
    }

    /// Removes a tenant once the bucket has all of it. False where something came in meanwhile or is not uploaded yet.
    async fn retire(&self, tenant: &TenantId) -> Result<bool, EngineError> {
        let (engine, id) = (Arc::clone(&self.engine), tenant.clone());
        blocking(move || engine.flush_tenant(&id)).await?;
        if let Some(shipping) = &self.shipping
            && !shipping.ship(&self.engine, tenant).await
        {
            return Ok(false);
        }
        self.remove(tenant).await
    }

    async fn remove(&self, tenant: &TenantId) -> Result<bool, EngineError> {
        let (engine, id) = (Arc::clone(&self.engine), tenant.clone());
        let removed = blocking(move || engine.remove_tenant(&id)).await?;
        if removed {
            self.shipping.iter().for_each(|shipping| shipping.forget(tenant));
            self.metrics.remove_tenant(tenant.as_str());
        }
        Ok(removed)
    }

    /// Removes a tenant with all its data: head and blocks here, and the blocks in the bucket that have exactly its
    /// external labels. Those of other replicas are for their ingesters to remove. A later write makes it anew.
    pub async fn delete_tenant(&self, tenant: &TenantId) -> Result<(), DepartureError> {
        if *tenant == self.config.default_tenant {
            return Err(DepartureError::Stays("the default tenant cannot be deleted"));
        }
        // No block may be on its way into the bucket.
        let _pass = self.passes.lock().await;
        for attempt in 1.. {
            let (engine, id) = (Arc::clone(&self.engine), tenant.clone());
            blocking(move || engine.flush_tenant(&id)).await?;
            if self.remove(tenant).await? || self.engine.reader(tenant).is_none() {
                break;
            }
            if attempt == ATTEMPTS {
                return Err(DepartureError::Stays("the tenant is written to all the time"));
            }
        }
        let Some(shipping) = &self.shipping else { return Ok(()) };
        shipping.delete_from_bucket(tenant).await.map_err(DepartureError::Bucket)
    }
}

/// DELETE `/api/v1/tenants/<tenant>`: 204 once the tenant is gone, 409 where it stays, 500 where something failed.
pub fn deletion_routes(ingester: Arc<Ingester>) -> Router {
    let answer = move |Path(name): Path<String>| {
        let ingester = Arc::clone(&ingester);
        async move {
            let tenant = match TenantId::new(&name) {
                Ok(tenant) => tenant,
                Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
            };
            match ingester.delete_tenant(&tenant).await {
                Ok(()) => StatusCode::NO_CONTENT.into_response(),
                Err(error @ DepartureError::Stays(_)) => (StatusCode::CONFLICT, error.to_string()).into_response(),
                Err(error) => {
                    tracing::error!(%tenant, %error, "tenant was not deleted as a whole");
                    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
                }
            }
        }
    };
    Router::new().route("/api/v1/tenants/{tenant}", delete(answer))
}
