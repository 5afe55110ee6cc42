//! The HTTP and gRPC listeners over real sockets: probes, metrics, limits, drain.

#![allow(clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use thanoxide_env::SystemClock;
use thanoxide_server::exposition::ExpositionFormat;
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_server::http::{Router, get, gzip_layer};
use thanoxide_server::{
    GrpcKind, GrpcMethod, GrpcMetrics, GrpcServer, HttpLimits, HttpMetrics, HttpMetricsConfig, HttpServer, Metrics,
    Probe, Shutdown, metrics_router,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const LONG: Duration = Duration::from_secs(30);

async fn serve(router: Router, limits: HttpLimits, grace: Duration) -> (SocketAddr, Shutdown, JoinHandle<()>) {
    let server = HttpServer::bind("http-address", "127.0.0.1:0").await.unwrap().with_limits(limits);
    let (address, shutdown) = (server.local_addr().unwrap(), Shutdown::new());
    let stop = shutdown.clone();
    (address, shutdown, tokio::spawn(async move { server.serve(router, stop, grace).await.unwrap() }))
}

async fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(format!("http://{address}{path}")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn probes_and_metrics_answer_as_thanos_does() {
    let mut registry = Registry::default();
    let probe = Probe::new("receive", &mut registry);
    let http = HttpMetrics::new(&mut registry, HttpMetricsConfig::default(), Arc::new(SystemClock::default()));
    let page = http.instrument("page", Router::new().route("/page", get(async || "x".repeat(1000))));
    let router = probe.router().merge(page.layer(gzip_layer())).merge(metrics_router(Metrics::new(registry)));
    let (address, ..) = serve(router, HttpLimits::default(), LONG).await;

    assert_eq!(fetch(address, "/-/healthy").await, (200, "OK".to_string()));
    assert_eq!(fetch(address, "/-/ready").await, (503, "NOT OK".to_string()));
    probe.set_ready();
    assert_eq!(fetch(address, "/-/ready").await, (200, "OK".to_string()));
    assert_eq!(fetch(address, "/nothing").await.0, 404);
    assert_eq!(fetch(address, "/page").await.1.len(), 1000);

    let (status, text) = fetch(address, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "# TYPE http_requests_total counter",
        "http_requests_total{code=\"200\",handler=\"page\",method=\"get\"} 1",
        "http_request_duration_seconds_count{code=\"200\",handler=\"page\",method=\"get\"} 1",
        "http_inflight_requests{handler=\"page\",method=\"get\"} 0",
        "thanos_status{check=\"ready\",component=\"receive\"} 1",
        "# HELP thanos_status Represents status (0 indicates failure, 1 indicates success) of the component.",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5";
    let response = client.get(format!("http://{address}/metrics")).header("Accept", accept).send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    assert!(response.text().await.unwrap().ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_panic_answers_500_and_takes_nobody_with_it() {
    let broken = get(async || -> &'static str { panic!("broken") });
    let router = Router::new().route("/broken", broken).route("/fine", get(async || "fine"));
    let (address, ..) = serve(router, HttpLimits::default(), LONG).await;
    assert_eq!(fetch(address, "/broken").await.0, 500);
    assert_eq!(fetch(address, "/fine").await, (200, "fine".to_string()));
}

#[tokio::test]
async fn running_requests_end_before_the_listener_does() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enter, left) = (Arc::clone(&entered), Arc::clone(&leave));
    let slow = get(async move || {
        enter.notify_one();
        left.notified().await;
        "done"
    });
    let (address, shutdown, server) = serve(Router::new().route("/slow", slow), HttpLimits::default(), LONG).await;
    let request = tokio::spawn(fetch(address, "/slow"));
    entered.notified().await;
    shutdown.request();
    // The listener is closed at once, the request goes on.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.is_finished());
    leave.notify_one();
    assert_eq!(request.await.unwrap(), (200, "done".to_string()));
    server.await.unwrap();
}

#[tokio::test]
async fn the_grace_period_is_the_longest_a_stop_takes() {
    let hang = get(async || {
        std::future::pending::<()>().await;
    });
    let (address, shutdown, server) =
        serve(Router::new().route("/hang", hang), HttpLimits::default(), Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    shutdown.request();
    tokio::time::timeout(LONG, server).await.unwrap().unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn silent_and_idle_connections_are_closed() {
    let limits = HttpLimits {
        header_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(300),
        ..Default::default()
    };
    let (address, ..) = serve(Router::new().route("/", get(async || "x")), limits, LONG).await;
    for sent in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("closed").unwrap();
    }
}

#[tokio::test]
async fn grpc_calls_are_counted_and_health_follows_the_probe() {
    let mut registry = Registry::default();
    let probe = Probe::new("store", &mut registry);
    let check = GrpcMethod { service: "grpc.health.v1.Health", method: "Check", kind: GrpcKind::Unary };
    let metrics = GrpcMetrics::new(&mut registry, &[check], Arc::new(SystemClock::default()));
    let server = GrpcServer::bind("grpc-address", "127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (server.local_addr().unwrap(), Shutdown::new());
    let running = tokio::spawn(server.serve(RoutesBuilder::default(), metrics, probe.clone(), shutdown.clone(), LONG));

    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    let ask = |service: &str| HealthCheckRequest { service: service.to_string() };
    let mut changes = client.watch(ask("")).await.unwrap().into_inner();
    while changes.message().await.unwrap().unwrap().status != 2 {}
    assert_eq!(client.check(ask("")).await.unwrap().into_inner().status, 2);
    probe.set_ready();
    while changes.message().await.unwrap().unwrap().status != 1 {}
    assert_eq!(client.check(ask("")).await.unwrap().into_inner().status, 1);
    assert_eq!(client.check(ask("unknown")).await.unwrap_err().code(), tonic::Code::NotFound);
    drop((client, changes));
    shutdown.request();
    tokio::time::timeout(LONG, running).await.unwrap().unwrap().unwrap();

    let text = Metrics::new(registry).encode(ExpositionFormat::Text).unwrap();
    let labels = "grpc_method=\"Check\",grpc_service=\"grpc.health.v1.Health\",grpc_type=\"unary\"";
    for line in [
        format!("grpc_server_started_total{{{labels}}} 3"),
        format!("grpc_server_handled_total{{grpc_code=\"OK\",{labels}}} 2"),
        format!("grpc_server_handled_total{{grpc_code=\"NotFound\",{labels}}} 1"),
        format!("grpc_server_handled_total{{grpc_code=\"Internal\",{labels}}} 0"),
        format!("grpc_server_msg_received_total{{{labels}}} 3"),
        format!("grpc_server_msg_sent_total{{{labels}}} 2"),
        format!("grpc_server_handling_seconds_count{{{labels}}} 3"),
        "grpc_req_panics_recovered_total 0".to_string(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
    }
}
