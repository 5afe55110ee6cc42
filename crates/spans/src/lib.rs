//! Spans: what one request did, in this process and in those that it went through, for a tracing backend.
//!
//! Start at [`Span`]: it begins where it is made and ends where it is dropped. [`Span::server`] continues the trace of a request's
//! headers, [`Span::child`] is a step of what runs now, [`Span::client`] a call of another process, which [`Span::inject`] tells of
//! the trace. [`here`] is the place in the trace that a task or thread of its own is to go on from.
//!
//! The headers are those of the W3C: `traceparent`, `tracestate`, `baggage`. Names of spans and tags are Thanos's.
//!
//! Invariants:
//! * Without [`install`] nothing is made, and each call costs one load.
//! * Below a span that is not sampled no span is made, but other processes are told that it is not.

mod headers;
mod place;
mod span;
mod tracer;

pub use headers::FORCE_TRACING_HEADER;
pub use opentelemetry::KeyValue;
pub use place::{Entered, Following, Place, here};
pub use span::{FORCE_TRACING_TAG, Span, tag};
pub use tracer::{install, is_on};
