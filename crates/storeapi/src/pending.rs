//! How many writes of other nodes are under way: Thanos's `thanos_receive_pending_write_requests`.

use std::sync::Arc;

use async_trait::async_trait;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use thanoxide_model::{TenantId, WriteBatch};

use crate::{WriteError, WriteOrigin, WriteOutcome, WriteStore};

/// Who takes writes, counted while they are under way.
#[derive(Debug)]
pub struct PendingWrites {
    inner: Arc<dyn WriteStore>,
    pending: Gauge,
}

/// Counts one write less when it ends, however it does.
struct Pending<'a>(&'a Gauge);

impl<'a> Pending<'a> {
    fn begin(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Pending(gauge)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl PendingWrites {
    /// Counts the writes that go to `inner`.
    pub fn new(inner: Arc<dyn WriteStore>, registry: &mut Registry) -> Self {
        let pending = Gauge::default();
        let help = "The number of pending write requests.";
        registry.register("thanos_receive_pending_write_requests", help, pending.clone());
        PendingWrites { inner, pending }
    }
}

#[async_trait]
impl WriteStore for PendingWrites {
    async fn write(&self, tenant: &TenantId, batch: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError> {
        let _pending = Pending::begin(&self.pending);
        self.inner.write(tenant, batch).await
    }

    async fn write_from(
        &self,
        origin: WriteOrigin,
        tenant: &TenantId,
        batch: Arc<WriteBatch>,
    ) -> Result<WriteOutcome, WriteError> {
        let _pending = Pending::begin(&self.pending);
        self.inner.write_from(origin, tenant, batch).await
    }
}
