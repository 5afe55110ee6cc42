//! Metrics of calls to other stores, under the names that Go's gRPC clients have.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use thanoxide_env::Clock;

use crate::{
    ExemplarsAnswer, ExemplarsRequest, LabelNamesRequest, LabelValuesRequest, LabelsAnswer, MetadataAnswer,
    MetadataRequest, SeriesRequest, SeriesStream, Store, StoreError, StoreInfo,
};

/// Thanos's buckets of the duration of calls.
const BUCKETS_SECONDS: [f64; 14] = [0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0];
/// All that a call of ours can end with.
const CODES: [&str; 8] =
    ["OK", "InvalidArgument", "ResourceExhausted", "Unavailable", "Aborted", "Canceled", "DeadlineExceeded", "Unknown"];

type MethodLabels = [(&'static str, &'static str); 3];
type CodeLabels = [(&'static str, &'static str); 4];

/// A method: its name, its service, how it answers.
#[derive(Clone, Copy, Debug)]
struct Method(&'static str, &'static str, &'static str);

const INFO: Method = Method("Info", "thanos.info.Info", "unary");
const SERIES: Method = Method("Series", "thanos.Store", "server_stream");
const LABEL_NAMES: Method = Method("LabelNames", "thanos.Store", "unary");
const LABEL_VALUES: Method = Method("LabelValues", "thanos.Store", "unary");
const EXEMPLARS: Method = Method("Exemplars", "thanos.Exemplars", "server_stream");
const METADATA: Method = Method("MetricMetadata", "thanos.Metadata", "server_stream");

impl Method {
    fn labels(self) -> MethodLabels {
        [("grpc_method", self.0), ("grpc_service", self.1), ("grpc_type", self.2)]
    }

    fn with_code(self, code: &'static str) -> CodeLabels {
        let [method, service, kind] = self.labels();
        [("grpc_code", code), method, service, kind]
    }
}

#[derive(Clone, Copy, Debug)]
struct Durations;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS_SECONDS)
    }
}

/// The metrics of all clients of a process.
#[derive(Clone, Debug)]
pub struct ClientMetrics {
    started: Family<MethodLabels, Counter>,
    handled: Family<CodeLabels, Counter>,
    received: Family<MethodLabels, Counter>,
    sent: Family<MethodLabels, Counter>,
    seconds: Family<MethodLabels, Histogram, Durations>,
    clock: Arc<dyn Clock>,
}

impl ClientMetrics {
    /// Registers the metrics, all at zero.
    pub fn new(registry: &mut Registry, clock: Arc<dyn Clock>) -> Self {
        let seconds = Family::new_with_constructor(Durations);
        let (started, handled, received, sent) = Default::default();
        let metrics = ClientMetrics { started, handled, received, sent, seconds, clock };
        for method in [INFO, SERIES, LABEL_NAMES, LABEL_VALUES, EXEMPLARS, METADATA] {
            for family in [&metrics.started, &metrics.received, &metrics.sent] {
                drop(family.get_or_create(&method.labels()));
            }
            drop(metrics.seconds.get_or_create(&method.labels()));
            CODES.iter().for_each(|code| drop(metrics.handled.get_or_create(&method.with_code(code))));
        }
        let help = "Total number of RPCs started on the client.";
        registry.register("grpc_client_started", help, metrics.started.clone());
        let help = "Total number of RPCs completed by the client, regardless of success or failure.";
        registry.register("grpc_client_handled", help, metrics.handled.clone());
        let help = "Total number of RPC stream messages received by the client.";
        registry.register("grpc_client_msg_received", help, metrics.received.clone());
        let help = "Total number of gRPC stream messages sent by the client.";
        registry.register("grpc_client_msg_sent", help, metrics.sent.clone());
        let help = "Histogram of response latency (seconds) of the gRPC until it is finished by the application.";
        registry.register("grpc_client_handling_seconds", help, metrics.seconds.clone());
        metrics
    }

    fn start(&self, method: Method) -> Call {
        self.started.get_or_create(&method.labels()).inc();
        self.sent.get_or_create(&method.labels()).inc();
        Call { method, begin: self.clock.monotonic(), metrics: self.clone(), code: "Canceled" }
    }
}

/// A call under way. One that is dropped before it ends was cancelled.
#[derive(Debug)]
struct Call {
    method: Method,
    begin: Duration,
    metrics: ClientMetrics,
    code: &'static str,
}

impl Call {
    fn received<T>(&mut self, message: &Result<T, StoreError>) {
        match message {
            Ok(_) => drop(self.metrics.received.get_or_create(&self.method.labels()).inc()),
            Err(error) => self.code = error.rpc_code(),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let took = self.metrics.clock.monotonic().saturating_sub(self.begin);
        self.metrics.seconds.get_or_create(&self.method.labels()).observe(took.as_secs_f64());
        self.metrics.handled.get_or_create(&self.method.with_code(self.code)).inc();
    }
}

/// A store at the other end of a connection, whose calls are counted.
#[derive(Debug)]
pub struct CountedStore {
    inner: Arc<dyn Store>,
    metrics: ClientMetrics,
}

impl CountedStore {
    /// Counts the calls of `inner`, a remote store.
    pub fn new(inner: Arc<dyn Store>, metrics: ClientMetrics) -> Self {
        CountedStore { inner, metrics }
    }

    async fn count<T>(
        &self,
        method: Method,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut call = self.metrics.start(method);
        let answer = answer.await;
        call.code = "OK";
        call.received(&answer);
        answer
    }
}

#[async_trait]
impl Store for CountedStore {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        self.count(INFO, self.inner.info()).await
    }

    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        let mut call = self.metrics.start(SERIES);
        let frames = self.inner.series(request).await.inspect_err(|error| call.code = error.rpc_code())?;
        // The end of the stream is that of the call; whoever turns away earlier cancels it.
        let frames = frames.map(Some).chain(futures::stream::once(async { None }));
        let counted = frames.scan(call, |call, frame| {
            match &frame {
                Some(frame) => call.received(frame),
                None if call.code == "Canceled" => call.code = "OK",
                None => {}
            }
            futures::future::ready(frame)
        });
        Ok(counted.boxed())
    }

    async fn label_names(&self, request: LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
        self.count(LABEL_NAMES, self.inner.label_names(request)).await
    }

    async fn label_values(&self, request: LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
        self.count(LABEL_VALUES, self.inner.label_values(request)).await
    }

    async fn exemplars(&self, request: ExemplarsRequest) -> Result<ExemplarsAnswer, StoreError> {
        self.count(EXEMPLARS, self.inner.exemplars(request)).await
    }

    async fn metric_metadata(&self, request: MetadataRequest) -> Result<MetadataAnswer, StoreError> {
        self.count(METADATA, self.inner.metric_metadata(request)).await
    }
}

#[cfg(test)]
mod tests {
    use thanoxide_env::ManualClock;

    use super::*;
    use crate::MemoryStore;

    fn handled(metrics: &ClientMetrics, code: &'static str) -> u64 {
        metrics.handled.get_or_create(&SERIES.with_code(code)).get()
    }

    #[tokio::test]
    async fn a_call_ends_with_its_stream() {
        let metrics = ClientMetrics::new(&mut Registry::default(), Arc::new(ManualClock::default()));
        let store = CountedStore::new(Arc::new(MemoryStore::default()), metrics.clone());
        let read = store.series(SeriesRequest::default()).await.unwrap();
        assert_eq!((handled(&metrics, "OK"), handled(&metrics, "Canceled")), (0, 0));
        read.for_each(async |frame| drop(frame)).await;
        assert_eq!((handled(&metrics, "OK"), handled(&metrics, "Canceled")), (1, 0));
        drop(store.series(SeriesRequest::default()).await.unwrap());
        assert_eq!((handled(&metrics, "OK"), handled(&metrics, "Canceled")), (1, 1));
        assert_eq!(metrics.started.get_or_create(&SERIES.labels()).get(), 2);
    }
}
