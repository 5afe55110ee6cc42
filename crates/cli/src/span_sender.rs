//! Sends the spans of this process to a collector, as the tracing configuration says.
//!
//! Spans are gathered in a queue and sent in batches by a thread of the library; a collector that is away costs spans, never
//! requests. At the end what is left is sent, for a few seconds at most.

mod background;
mod collector;
mod jaeger;
mod sampler;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use opentelemetry::KeyValue;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, ShouldSample};
use thanoxide_config::Tracing;
use thanoxide_config::tracing::Otlp;
use thanoxide_env::Clock;
use tokio::runtime::Handle;

use background::Background;

/// How long the end may wait for a collector, as in stock.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

/// What a configuration comes to.
struct Plan {
    /// The collector, as if it were configured as such.
    collector: Otlp,
    sampler: Box<dyn ShouldSample>,
    tags: Vec<KeyValue>,
    max_queue_spans: Option<usize>,
    flush_interval: Option<Duration>,
}

/// Spans on their way out of the process.
#[derive(Debug)]
pub(crate) struct SpanSender(SdkTracerProvider);

impl SpanSender {
    /// Makes spans from now on and sends them. Nothing is sent yet: a collector may come later.
    pub(crate) fn start(config: &Tracing, clock: &Arc<dyn Clock>, runtime: &Handle) -> Result<Self> {
        let _inside = runtime.enter();
        let plan = match config {
            Tracing::Otlp(otlp) => collector::plan(otlp),
            Tracing::Jaeger(jaeger) => jaeger::plan(jaeger, clock)?,
        };
        let exporter = Background::new(collector::exporter(&plan.collector)?, runtime.clone(), Arc::clone(clock));
        let endpoint = collector::place(&plan.collector);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(
                BatchSpanProcessor::builder(exporter).with_batch_config(batches(&plan).build()).build(),
            )
            .with_sampler(sampler::Override(plan.sampler))
            .with_resource(resource(plan.collector.service_name, plan.tags))
            .build();
        let propagator: Vec<Box<dyn opentelemetry::propagation::TextMapPropagator + Send + Sync>> =
            vec![Box::new(TraceContextPropagator::new()), Box::new(BaggagePropagator::new())];
        let tracer = BoxedTracer::new(Box::new(provider.tracer("")));
        thanoxide_spans::install(tracer, Box::new(TextMapCompositePropagator::new(propagator)));
        tracing::info!(endpoint, "spans are sent");
        Ok(SpanSender(provider))
    }

    /// Sends what is left. Blocks; the runtime must still run.
    pub(crate) fn stop(self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH_DEADLINE) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

fn batches(plan: &Plan) -> BatchConfigBuilder {
    let mut batches = BatchConfigBuilder::default();
    if let Some(spans) = plan.max_queue_spans {
        batches = batches.with_max_queue_size(spans);
    }
    if let Some(interval) = plan.flush_interval {
        batches = batches.with_scheduled_delay(interval);
    }
    batches
}

/// What is said of all spans. The configuration counts more than the environment.
fn resource(service_name: String, tags: Vec<KeyValue>) -> Resource {
    let mut resource = Resource::builder_empty().with_detector(Box::new(EnvResourceDetector::new()));
    if let Some(name) = Some(service_name).filter(|name| !name.is_empty()).or(std::env::var("OTEL_SERVICE_NAME").ok()) {
        resource = resource.with_service_name(name);
    }
    resource.with_attributes(tags).build()
}
