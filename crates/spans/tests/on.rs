//! Spans of one process, as an exporter gets them.

use std::sync::OnceLock;

use http::HeaderMap;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::{SpanId, SpanKind, Status, TracerProvider};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use thanoxide_spans::{Span, here, install, is_on, tag};

const PARENT: &str = "b7ad6b7169203331";

/// The exporter of this process; others' words on sampling count, all else is sampled.
fn exporter() -> &'static InMemorySpanExporter {
    static EXPORTER: OnceLock<InMemorySpanExporter> = OnceLock::new();
    EXPORTER.get_or_init(|| {
        let exporter = InMemorySpanExporter::default();
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let provider =
            SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).with_sampler(sampler).build();
        let propagator = TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]);
        assert!(install(BoxedTracer::new(Box::new(provider.tracer(""))), Box::new(propagator)) && is_on());
        exporter
    })
}

/// Headers of a request in a trace of this number.
fn headers(trace: u8, flags: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", format!("00-{trace:032x}-{PARENT}-{flags}").parse().expect("a header"));
    headers
}

fn server(headers: &HeaderMap) -> Span {
    exporter();
    Span::server(|| "server".into(), headers, || vec![tag("a", "b")])
}

/// Those of one trace that have ended.
fn ended(trace: u8) -> Vec<SpanData> {
    let mut spans = exporter().get_finished_spans().expect("an exporter in use");
    spans.retain(|span| span.span_context.trace_id().to_string() == format!("{trace:032x}"));
    spans
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    spans.iter().find(|span| span.name == name).expect("a span of that name")
}

#[tokio::test]
async fn a_trace_goes_on_from_headers_through_tasks_and_threads_to_headers() {
    let server = server(&headers(1, "01"));
    assert_eq!(server.trace_id(), Some(format!("{:032x}", 1)));
    let sent = server
        .around(async {
            let task = tokio::spawn(here().follow(async {
                tokio::task::yield_now().await;
                let span = Span::child("task").tagged(|| [tag("c", "d")]);
                span.fail(&"broken");
            }));
            let place = here();
            let thread = tokio::task::spawn_blocking(move || {
                let _entered = place.enter();
                drop(Span::child("thread"));
            });
            task.await.and(thread.await).unwrap();
            let client = Span::client(|| "client".to_string(), Vec::new);
            let mut headers = HeaderMap::new();
            client.inject(&mut headers);
            headers
        })
        .await;
    assert_eq!(ended(1).len(), 3);
    drop(server);
    let spans = ended(1);
    let server = named(&spans, "server");
    assert_eq!((server.parent_span_id.to_string(), &server.span_kind), (PARENT.to_string(), &SpanKind::Server));
    let id = server.span_context.span_id();
    assert!(["task", "thread", "client"].iter().all(|name| named(&spans, name).parent_span_id == id));
    assert_eq!(named(&spans, "task").status, Status::error("broken"));
    let client = named(&spans, "client").span_context.span_id();
    assert_eq!(sent["traceparent"], format!("00-{:032x}-{client}-01", 1));
    assert!(!sent.contains_key("tracestate") && !sent.contains_key("baggage"));
}

#[tokio::test]
async fn what_is_not_sampled_is_not_made_and_others_are_told() {
    let server = server(&headers(2, "00"));
    assert_eq!(server.trace_id(), None);
    let _entered = server.enter();
    let child = Span::child("child").tagged(|| -> [_; 1] { unreachable!() });
    drop(child);
    let mut sent = HeaderMap::new();
    Span::client(|| "client".to_string(), Vec::new).inject(&mut sent);
    let told = sent["traceparent"].to_str().unwrap();
    assert!(told.starts_with(&format!("00-{:032x}-", 2)) && told.ends_with("-00"), "{told}");
    assert!(ended(2).is_empty());
}

#[tokio::test]
async fn a_place_does_not_keep_its_span_from_ending_and_steps_end_once() {
    let server = server(&headers(3, "01"));
    let place = server.place();
    drop(server);
    assert_eq!(ended(3).len(), 1);
    let _entered = place.enter();
    drop(Span::child("late"));
    assert_eq!(ended(3).len(), 2);
}

#[tokio::test]
async fn baggage_and_force_go_along() {
    let mut headers = headers(4, "01");
    headers.insert("x-thanos-force-tracing", "please".parse().unwrap());
    headers.insert("tracestate", "vendor=1".parse().unwrap());
    let server = server(&headers);
    let _entered = server.enter();
    let mut sent = HeaderMap::new();
    Span::client(|| "client".to_string(), Vec::new).inject(&mut sent);
    assert_eq!(
        (&sent["baggage"], &sent["tracestate"]),
        (&"x-thanos-force-tracing=please".parse().unwrap(), &"vendor=1".parse().unwrap())
    );
    drop(server);
    let spans = ended(4);
    assert!(named(&spans, "server").attributes.contains(&tag("thanos.force_tracing", "true")));
}

#[tokio::test]
async fn a_call_without_a_request_is_a_trace_of_its_own() {
    exporter();
    let client = Span::client(|| "alone".to_string(), Vec::new);
    assert!(client.trace_id().is_some());
    drop((client, Span::child("nobody's child")));
    let spans = exporter().get_finished_spans().expect("an exporter in use");
    assert_eq!(named(&spans, "alone").parent_span_id, SpanId::INVALID);
    assert!(!spans.iter().any(|span| span.name == "nobody's child"));
}
