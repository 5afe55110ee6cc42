//! Runs an exporter on the runtime, and tells of what it could not send.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use thanoxide_env::Clock;
use thanoxide_server::LogLimit;
use tokio::runtime::Handle;

/// Failures are logged this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// An exporter whose work is done by the runtime: the thread that gathers spans is none of its threads.
#[derive(Debug)]
pub(super) struct Background {
    inner: Arc<OtlpExporter>,
    runtime: Handle,
    failures: LogLimit,
}

impl Background {
    pub(super) fn new(inner: OtlpExporter, runtime: Handle, clock: Arc<dyn Clock>) -> Self {
        Background { inner: Arc::new(inner), runtime, failures: LogLimit::new(LOG_INTERVAL, clock) }
    }
}

impl SpanExporter for Background {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (inner, spans) = (Arc::clone(&self.inner), batch.len());
        let sent = self.runtime.spawn(async move { inner.export(batch).await }).await;
        let sent = sent.unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())));
        if let Err(error) = &sent
            && let Some(left_out) = self.failures.admit()
        {
            tracing::warn!(%error, spans, left_out, "spans were not sent and are lost");
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Comes before the first batch, so nobody else has it.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}
