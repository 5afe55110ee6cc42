//! What makes spans: one for the process, since a request goes through all of its parts.

use std::fmt;
use std::sync::OnceLock;

use opentelemetry::Context;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanBuilder, TraceContextExt, Tracer as _};

/// What reads and writes headers.
pub(crate) type Propagator = Box<dyn TextMapPropagator + Send + Sync>;

static TRACER: OnceLock<Tracer> = OnceLock::new();

pub(crate) struct Tracer {
    spans: BoxedTracer,
    pub(crate) propagator: Propagator,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("propagator", &self.propagator).finish_non_exhaustive()
    }
}

impl Tracer {
    /// A context with a new span in it.
    pub(crate) fn start(&self, span: SpanBuilder, parent: &Context) -> Context {
        parent.with_span(self.spans.build_with_context(span, parent))
    }
}

/// Makes spans from now on. Once in a process; `false` where that was done before.
pub fn install(spans: BoxedTracer, propagator: Propagator) -> bool {
    TRACER.set(Tracer { spans, propagator }).is_ok()
}

/// Whether spans are made.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

pub(crate) fn tracer() -> Option<&'static Tracer> {
    TRACER.get()
}
