//! The ingester as a `WriteStore`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use thanoxide_model::write_batch::SeriesSpan;
use thanoxide_model::{TenantId, Verdict, WriteBatch};
use thanoxide_storeapi::{Rejected, WriteError, WriteOrigin, WriteOutcome, WriteStore};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineError, OutOfOrder};

use crate::ingester::{Ingester, blocking};

/// How long a write waits for a snapshot before it is refused, to be sent again.
const TAIL_PATIENCE: Duration = Duration::from_secs(10);

#[async_trait]
impl WriteStore for Ingester {
    async fn write(&self, tenant: &TenantId, batch: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError> {
        self.write_from(WriteOrigin::default(), tenant, batch).await
    }

    async fn write_from(
        &self,
        origin: WriteOrigin,
        tenant: &TenantId,
        batch: Arc<WriteBatch>,
    ) -> Result<WriteOutcome, WriteError> {
        let (engine, id) = (Arc::clone(&self.engine), tenant.clone());
        let is_new = self.engine.reader(tenant).is_none();
        // First of all: of those that are refused nothing is remembered.
        if is_new && self.has_all_tenants() {
            return Ok(none_of(&batch));
        }
        let series = || self.engine.reader(tenant).map_or(0, |reader| reader.stats().series);
        let mut max_series = self.series_limits.max_series(tenant, self.clock.monotonic(), series);
        if self.memory.is_near() {
            max_series = Some(series());
        }
        if is_new && max_series == Some(0) {
            return Ok(none_of(&batch));
        }
        self.await_short_tail().await?;
        // What a router kept while this replica was away is late by nature.
        let out_of_order = if origin.hinted { OutOfOrder::CatchUp } else { OutOfOrder::AsSet };
        let options = AppendOptions { max_series, out_of_order };
        let has_exemplars = !batch.exemplars.is_empty();
        let admission = is_new.then(|| (Arc::clone(&self.admitting), self.series_limits.max_tenants()));
        let append = move || match admission {
            Some((one_by_one, most)) if !admit(&engine, &id, &one_by_one, most)? => Ok((none_of(&batch), 0)),
            _ => append_durably(&engine, &id, &batch, options),
        };
        let written = blocking(append).await;
        if self.engine.is_pressed() {
            self.wake();
        }
        let (outcome, dropped_exemplars) = written.map_err(write_error)?;
        self.count(tenant, &outcome);
        if has_exemplars {
            self.count_exemplars(tenant);
        }
        if dropped_exemplars > 0 {
            let label = [("tenant", tenant.to_string())];
            self.metrics.exemplars.dropped.get_or_create(&label).inc_by(dropped_exemplars);
        }
        if self.engine.tail_is_long() {
            self.tail_is_long.notify_one();
        }
        Ok(outcome)
    }
}

/// Opens a tenant that was not there, if there is a place left: many may ask for the last one at once.
fn admit(engine: &Engine, id: &TenantId, one_by_one: &Mutex<()>, most: u64) -> Result<bool, EngineError> {
    let _one = one_by_one.lock();
    if most > 0 && engine.reader(id).is_none() && engine.tenant_count() as u64 >= most {
        return Ok(false);
    }
    engine.open_tenant(id).map(|()| true)
}

/// Appends and waits for the disk: on one thread, so that a request changes threads once. Also gives the number of
/// exemplars that were not looked at.
fn append_durably(
    engine: &Engine,
    tenant: &TenantId,
    batch: &WriteBatch,
    options: AppendOptions,
) -> Result<(WriteOutcome, u64), EngineError> {
    let appended = engine.append(tenant, batch, options)?;
    appended.ticket.wait()?;
    let rejected = appended.rejected.iter();
    let rejected = rejected.map(|r| Rejected { series: r.series, verdict: r.verdict, samples: r.samples }).collect();
    Ok((WriteOutcome { accepted: appended.accepted, rejected, explanation: None }, appended.dropped_exemplars))
}

/// All of a batch refused, as beyond a limit of series.
fn none_of(batch: &WriteBatch) -> WriteOutcome {
    let refused = |(series, span): (u32, &SeriesSpan)| Rejected {
        series,
        verdict: Verdict::SeriesLimit,
        samples: span.value_count(),
    };
    WriteOutcome { accepted: 0, rejected: (0..).zip(&batch.series).map(refused).collect(), explanation: None }
}

fn write_error(error: EngineError) -> WriteError {
    match error {
        EngineError::DiskFull { .. } | EngineError::Closed => WriteError::Unavailable(error.to_string()),
        e if e.is_retryable() => WriteError::Unavailable(e.to_string()),
        e => WriteError::Internal(e.to_string()),
    }
}

impl Ingester {
    /// Waits while the log is too long for a quick start, which it is where snapshots do not keep up with writes.
    async fn await_short_tail(&self) -> Result<(), WriteError> {
        if !self.engine.tail_is_full() {
            return Ok(());
        }
        let mut passes = self.tail_passes.subscribe();
        let passed = async {
            while self.engine.tail_is_full() {
                self.tail_is_long.notify_one();
                // The sender lives as long as the ingester.
                let _ = passes.changed().await;
            }
        };
        let late = |_| WriteError::Unavailable("the log is too long, a snapshot is awaited".to_string());
        tokio::time::timeout(TAIL_PATIENCE, passed).await.map_err(late)
    }

    /// Whether there are as many tenants as there may be.
    fn has_all_tenants(&self) -> bool {
        let most = self.series_limits.max_tenants();
        most > 0 && self.engine.tenant_count() as u64 >= most
    }

    /// Shows how many exemplars a tenant has.
    pub(crate) fn count_exemplars(&self, tenant: &TenantId) {
        if self.config.max_exemplars > 0
            && let Some(reader) = self.engine.reader(tenant)
        {
            self.metrics.exemplars.show(&[("tenant", tenant.to_string())], reader.exemplar_stats());
        }
    }

    fn count(&self, tenant: &TenantId, outcome: &WriteOutcome) {
        let label = [("tenant", tenant.to_string())];
        self.metrics.appended.get_or_create(&label).inc_by(outcome.accepted);
        for rejected in &outcome.rejected {
            let family = match rejected.verdict {
                Verdict::OutOfOrder => &self.metrics.out_of_order,
                Verdict::OutOfBounds => &self.metrics.out_of_bounds,
                Verdict::TooOld => &self.metrics.too_old,
                _ => continue,
            };
            family.get_or_create(&label).inc_by(u64::from(rejected.samples));
        }
    }
}
