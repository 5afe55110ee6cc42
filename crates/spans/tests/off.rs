//! Without a tracer nothing happens.

use http::HeaderMap;
use thanoxide_spans::{Span, here, is_on, tag};

#[tokio::test]
async fn nothing_is_made() {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
    let server = Span::server(|| unreachable!(), &headers, || unreachable!());
    let _entered = server.enter();
    let child = Span::child("child").tagged(|| -> [_; 1] { unreachable!() });
    let client = Span::client(|| unreachable!(), || vec![tag("a", "b")]);
    let mut sent = HeaderMap::new();
    client.inject(&mut sent);
    assert!(sent.is_empty() && !is_on());
    assert!([&server, &child, &client].iter().all(|span| span.trace_id().is_none()));
    assert_eq!(child.around(here().follow(async { 7 })).await, 7);
}
