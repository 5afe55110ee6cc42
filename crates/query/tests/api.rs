//! The HTTP API over a store in memory: parameters, errors, methods.

use std::sync::Arc;

use thanoxide_env::ManualClock;
use thanoxide_query::{QueryConfig, QueryMetrics, QueryService};
use thanoxide_server::http::{Body, BodyExt, Method, Request, Router};
use thanoxide_storeapi::MemoryStore;
use tower::ServiceExt;

fn router() -> Router {
    let store = Arc::new(MemoryStore::default());
    let metrics = QueryMetrics::new(&mut prometheus_client::registry::Registry::default());
    QueryService::new(QueryConfig::default(), store, Arc::new(ManualClock::at(1_000_000)), metrics).router()
}

async fn ask(method: Method, path: &str) -> (u16, String) {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = format!("/api/v1/{path}").parse().expect("a path");
    let response = router().oneshot(request).await.expect("routers do not fail");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body in memory").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("JSON is UTF-8"))
}

#[tokio::test]
async fn bad_parameters_in_thanos_words() {
    let cases = [
        ("query?query=1&time=x", "Invalid time value for 'time': cannot parse \\\"x\\\" to a valid timestamp"),
        ("query?query=1&timeout=x", "cannot parse \\\"x\\\" to a valid duration"),
        ("query?query=1&lookback_delta=x", "'lookback_delta' parameter: cannot parse \\\"x\\\" to a valid duration"),
        ("query?query=1&engine=x", "'x' bad engine"),
        ("query?query=1&limit=-1", "limit must be non-negative"),
        ("query?query=1&limit=x", "cannot parse \\\"x\\\" to a valid limit"),
        ("query_range?query=1&end=2&step=1", "cannot parse \\\"\\\" to a valid timestamp"),
        ("query_range?query=1&start=3&end=2&step=1", "end timestamp must not be before start time"),
        (
            "query_range?query=1&start=1&end=2&step=0",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            "query_range?query=1&start=0&end=11001&step=1",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        ("series", "no match[] parameter provided"),
        ("labels?start=2&end=1", "bad_data: end timestamp must not be before start time"),
    ];
    for (path, text) in cases {
        let expected = format!("{{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"{text}\"}}");
        assert_eq!(ask(Method::GET, path).await, (400, expected), "{path}");
    }
}

#[tokio::test]
async fn the_default_step_is_whole_seconds() {
    let (status, body) = ask(Method::GET, "query_range?query=1&start=0&end=1249").await;
    assert_eq!((status, body.matches("\"1\"").count()), (200, 313));
}

#[tokio::test]
async fn methods() {
    for path in ["rules", "alerts", "label/job/values", "status/buildinfo", "stores"] {
        assert_eq!(ask(Method::POST, path).await, (405, "Method Not Allowed".to_string()), "{path}");
    }
    assert_eq!(ask(Method::GET, "stores").await, (200, "{\"status\":\"success\",\"data\":{}}".to_string()));
}

#[tokio::test]
async fn expressions_are_formatted_and_parsed() {
    let formatted = r#"{"status":"success","data":"sum by (a) (rate(x[5m])) \u003e 1"}"#;
    assert_eq!(ask(Method::GET, "format_query?query=sum(rate(x[5m]))by(a)%3E1").await, (200, formatted.to_string()));
    let (status, body) = ask(Method::GET, "parse_query?query=-x").await;
    assert!(status == 200 && body.contains(r#""op":"-""#) && body.contains(r#""type":"unaryExpr""#), "{body}");
    let error = "invalid parameter \\\"query\\\": 1:3: parse error: unexpected end of input";
    let expected = format!("{{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"{error}\"}}");
    for path in ["format_query?query=a%2B", "parse_query?query=a%2B"] {
        assert_eq!(ask(Method::GET, path).await, (400, expected.clone()), "{path}");
    }
}
