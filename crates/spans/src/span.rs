//! One step of a request.

use std::borrow::Cow;
use std::fmt::Display;
use std::future::Future;

use http::HeaderMap;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue, Value};

use crate::headers::{FORCE_TRACING_HEADER, Read, Write};
use crate::place::{Entered, Following, Place};
use crate::tracer::tracer;

/// Samplers take a span that has this tag from the start.
pub const FORCE_TRACING_TAG: &str = "thanos.force_tracing";

/// A tag of a span.
pub fn tag(key: &'static str, value: impl Into<Value>) -> KeyValue {
    KeyValue::new(key, value)
}

/// A step that has begun; it ends when this is dropped. Where there is no tracing, or nothing is sampled, it is nothing.
#[derive(Debug, Default)]
pub struct Span(Option<Context>);

impl Span {
    /// What this process does for a request, as part of the trace that the headers tell of.
    pub fn server(
        name: impl FnOnce() -> Cow<'static, str>,
        headers: &HeaderMap,
        tags: impl FnOnce() -> Vec<KeyValue>,
    ) -> Self {
        let Some(tracer) = tracer() else { return Span(None) };
        let mut parent = tracer.propagator.extract_with_context(&Context::new(), &Read(headers));
        let mut tags = tags();
        if let Some(force) = headers.get(FORCE_TRACING_HEADER).filter(|value| !value.is_empty()) {
            tags.push(tag(FORCE_TRACING_TAG, "true"));
            let force = force.to_str().unwrap_or("true").to_string();
            parent = parent.with_baggage([KeyValue::new(FORCE_TRACING_HEADER, force)]);
        }
        let span = SpanBuilder::from_name(name()).with_kind(SpanKind::Server).with_attributes(tags);
        Span(Some(tracer.start(span, &parent)))
    }

    /// A step of what runs now.
    pub fn child(name: &'static str) -> Self {
        let Some(tracer) = tracer() else { return Span(None) };
        let start = |parent: &Context| {
            let is_sampled = parent.has_active_span() && parent.span().span_context().is_sampled();
            is_sampled.then(|| tracer.start(SpanBuilder::from_name(name), parent))
        };
        Span(Context::map_current(start))
    }

    /// A call of another process; the first span of a trace where nothing is traced yet.
    pub fn client(name: impl FnOnce() -> String, tags: impl FnOnce() -> Vec<KeyValue>) -> Self {
        let Some(tracer) = tracer() else { return Span(None) };
        let span = SpanBuilder::from_name(name()).with_kind(SpanKind::Client).with_attributes(tags());
        Span(Some(Context::map_current(|parent| tracer.start(span, parent))))
    }

    /// With more tags, which are made only for a span that is sampled.
    pub fn tagged<const N: usize>(self, tags: impl FnOnce() -> [KeyValue; N]) -> Self {
        self.tag(tags);
        self
    }

    /// Adds tags, which are made only for a span that is sampled.
    pub fn tag<const N: usize>(&self, tags: impl FnOnce() -> [KeyValue; N]) {
        if let Some(context) = self.sampled() {
            context.span().set_attributes(tags());
        }
    }

    /// Notes that the step failed.
    pub fn fail(&self, error: &dyn Display) {
        if let Some(context) = self.sampled() {
            context.span().set_status(Status::error(error.to_string()));
        }
    }

    /// The same result, noted if it is a failure.
    pub fn seen<T, E: Display>(&self, result: Result<T, E>) -> Result<T, E> {
        result.inspect_err(|error| self.fail(error))
    }

    /// The trace's name in hexadecimal digits, if it is sampled.
    pub fn trace_id(&self) -> Option<String> {
        self.sampled().map(|context| context.span().span_context().trace_id().to_string())
    }

    /// Tells another process of the trace.
    pub fn inject(&self, headers: &mut HeaderMap) {
        if let (Some(context), Some(tracer)) = (&self.0, tracer()) {
            tracer.propagator.inject_context(context, &mut Write(headers));
        }
    }

    /// This step, for what belongs to it elsewhere.
    pub fn place(&self) -> Place {
        Place(self.0.clone())
    }

    /// Makes the rest of what this thread does a part of the step.
    pub fn enter(&self) -> Entered {
        // As it is without a span, where there is none.
        self.place().enter()
    }

    /// Makes a future a part of the step.
    pub fn around<F: Future>(&self, future: F) -> Following<F> {
        self.place().follow(future)
    }

    fn sampled(&self) -> Option<&Context> {
        self.0.as_ref().filter(|context| context.span().span_context().is_sampled())
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}
