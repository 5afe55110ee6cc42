//! Spans: one request is one trace, through all processes that it goes through, and reaches the collector.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Response};
use serde_json::json;
use thanoxide_model::{Labels, METRIC_NAME, Sample};
use thanoxide_testkit::certificates::{Authority, CertificateFiles};
use thanoxide_testkit::collector::{Collector, Received};
use thanoxide_testkit::program::{Program, interop};
use thanoxide_testkit::sender::{batch, body};

const T: i64 = 1_767_225_600_000;
/// The kind of spans of calls, at the end of the caller.
const CLIENT: i32 = 3;
/// A trace that somebody else began.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn config(service: &str, collector: &Collector, more: &str) -> String {
    let address = collector.address();
    format!(
        "--tracing.config=type: OTLP\nconfig: {{client_type: grpc, insecure: true, endpoint: \"{address}\", service_name: {service}{more}}}"
    )
}

/// Sends one sample.
async fn write(program: &Program, headers: &[(&str, &str)]) -> Result<Response> {
    let labels = Labels::from_pairs([(METRIC_NAME, "traced_total")]);
    let series = [(labels, vec![Sample { timestamp_ms: T, value: 1.0 }])];
    let request =
        Client::new().post(format!("{}/api/v1/receive", program.url("remote-write"))).body(body(&batch(&series))?);
    let request = request.header("Content-Encoding", "snappy").header("Content-Type", "application/x-protobuf");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Ok(request.send().await?.error_for_status()?)
}

async fn query(program: &Program, headers: &[(&str, &str)]) -> Result<Response> {
    let query = format!("query=traced_total&time={}", T / 1000);
    let request = Client::new().get(format!("{}/api/v1/query?{query}", program.url("http")));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Ok(request.send().await?.error_for_status()?)
}

/// What the answer says of its trace.
fn trace_id(answer: &Response) -> Option<String> {
    answer.headers().get("x-thanos-trace-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned())
}

/// The path from the first span of a trace to one of that name and service, but a call's other end: names only.
fn path(trace: &[&Received], service: &str, name: &str) -> Option<Vec<String>> {
    let by_id: BTreeMap<&str, &Received> = trace.iter().map(|span| (span.span_id.as_str(), *span)).collect();
    let is_last = |span: &&&Received| span.name == name && span.service == service && span.kind != CLIENT;
    let mut at = trace.iter().find(is_last).copied();
    let mut path = Vec::new();
    while let Some(span) = at {
        path.insert(0, format!("{} {}", span.service, span.name));
        at = by_id.get(span.parent_id.as_str()).copied();
    }
    (!path.is_empty()).then_some(path)
}

/// Waits until the steps of a trace are below each other like that; gives the last one.
async fn await_path(collector: &Collector, id: &str, steps: &[&str]) -> Result<Received> {
    let (service, name) = steps.last().and_then(|step| step.split_once(' ')).context("no step")?;
    let complete = |spans: &[Received]| {
        let trace: Vec<&Received> = spans.iter().filter(|span| span.trace_id == id).collect();
        let is_so = path(&trace, service, name)? == steps;
        let last = trace.into_iter().find(|span| span.name == name && span.service == service && span.kind != CLIENT);
        last.filter(|_| is_so).cloned()
    };
    collector.await_spans(complete).await.with_context(|| format!("{id}: {steps:?}"))
}

/// Router and ingester, querier and ingester: one trace for a write, one for a query, each step below the one that asked for it.
#[tokio::test]
async fn one_request_is_one_trace_through_all_processes() -> Result<()> {
    let (dir, collector) = (tempfile::tempdir()?, Collector::grpc(None).await?);
    let ingester = Program::receiver(&dir.path().join("ingester"), &[&config("ingester", &collector, "")])?;
    let rings = format!("--receive.hashrings={}", json!([{"endpoints": [ingester.address("grpc")]}]));
    let router = Program::receiver(&dir.path().join("router"), &[&rings, &config("router", &collector, "")])?;

    let id = trace_id(&write(&router, &[]).await?).context("a write has a trace")?;
    let steps = [
        "router /receive HTTP[server]",
        "router receive_http",
        "router receive_fanout_forward",
        "router receive_forward",
        "router /thanos.WriteableStore/RemoteWrite",
        "ingester /thanos.WriteableStore/RemoteWrite",
        "ingester receive_grpc",
    ];
    await_path(&collector, &id, &steps).await?;
    let forward = await_path(&collector, &id, &steps[..4]).await?;
    ensure!(forward.tags["endpoint"].contains(ingester.address("grpc")), "{forward:?}");
    ensure!(await_path(&collector, &id, &steps[..2]).await?.tags["tenant"] == "default-tenant");

    // It looks at once at what is there, and again seconds later.
    let endpoint = format!("--endpoint={}", ingester.address("grpc"));
    let querier = Program::querier(&[&endpoint, &config("querier", &collector, "")])?;
    let id = trace_id(&query(&querier, &[]).await?).context("a query has a trace")?;
    let steps = [
        "querier /query HTTP[server]",
        "querier instant_query_exec",
        "querier querier_select",
        "querier proxy.series",
        "querier /thanos.Store/Series",
        "ingester /thanos.Store/Series",
    ];
    await_path(&collector, &id, &steps).await?;
    for step in ["querier instant_query_create", "querier query_gate_ismyturn"] {
        await_path(&collector, &id, &[steps[0], step]).await?;
    }
    ensure!(await_path(&collector, &id, &steps[..3]).await?.tags["matchers"].contains("traced_total"));
    ensure!(!collector.spans().iter().any(|span| span.is_error), "{:#?}", collector.spans());
    // Exemplars of durations name traces.
    let metrics = Client::new().get(format!("{}/metrics", querier.url("http")));
    let metrics = metrics.header("Accept", "application/openmetrics-text").send().await?.text().await?;
    ensure!(metrics.contains(&format!("# {{traceID=\"{id}\"}}")), "{metrics}");
    Ok(())
}

/// The sender's word on sampling counts, the header that forces it more, and a call that fails is a span that failed.
#[tokio::test]
async fn others_decide_what_is_sampled() -> Result<()> {
    let (dir, collector) = (tempfile::tempdir()?, Collector::grpc(None).await?);
    let standalone = Program::standalone(&dir.path().join("own"), &[&config("own", &collector, "")])?;
    let never = config("never", &collector, ", sampler_type: neversample");
    let never = Program::standalone(&dir.path().join("never"), &[&never])?;

    let parent = |flag| format!("00-{TRACE}-b7ad6b7169203331-{flag}");
    let told = [("traceparent", &*parent("00"))];
    ensure!(trace_id(&write(&standalone, &told).await?).is_none() && trace_id(&write(&never, &[]).await?).is_none());
    let told = [("traceparent", &*parent("01"))];
    ensure!(trace_id(&write(&standalone, &told).await?).as_deref() == Some(TRACE));
    let trace = collector.await_trace(TRACE, &["/receive HTTP[server]", "receive_http"]).await?;
    ensure!(trace.iter().any(|span| span.parent_id == "b7ad6b7169203331" && span.kind == 2), "{trace:#?}");

    let forced = trace_id(&query(&never, &[("X-Thanos-Force-Tracing", "1")]).await?).context("forced")?;
    let trace = collector.await_trace(&forced, &["/query HTTP[server]"]).await?;
    ensure!(trace[0].tags["thanos.force_tracing"] == "true" && trace[0].tags["http.method"] == "GET", "{trace:#?}");
    // Nothing else of that process was sampled, the parts of the forced request included.
    ensure!(collector.spans().iter().filter(|span| span.service == "never").count() == 1);
    Ok(())
}

/// OTLP over HTTP with gzip and headers; what the process has left is sent at its end.
#[tokio::test]
async fn spans_travel_over_http() -> Result<()> {
    let (dir, collector) = (tempfile::tempdir()?, Collector::http().await?);
    let config = format!(
        "--tracing.config=type: OTLP\nconfig:\n  client_type: http\n  insecure: true\n  endpoint: {}\n  service_name: a\n  \
         compression: gzip\n  url_path: /spans\n  headers: {{x-key: secret}}\n  resource_attributes: {{zone: b}}\n",
        collector.address()
    );
    let mut standalone = Program::standalone(dir.path(), &[&config])?;
    let id = trace_id(&write(&standalone, &[]).await?).context("a trace")?;
    standalone.terminate(Duration::from_secs(60))?;
    let trace = collector.await_trace(&id, &["/receive HTTP[server]", "receive_http"]).await?;
    let (tags, headers) = (&trace[0].tags, &trace[0].headers);
    ensure!(tags["zone"] == "b" && tags["service.name"] == "a", "{tags:?}");
    ensure!([&headers["x-key"], &headers[":path"], &headers["content-encoding"]] == ["secret", "/spans", "gzip"]);
    Ok(())
}

/// A collector behind TLS with an authority of its own.
#[tokio::test]
async fn spans_travel_over_tls() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let authority = Authority::new("collectors")?;
    let files = CertificateFiles::new(&dir.path().join("tls"), &authority, &authority, "collector")?;
    let pem = |name: &str| std::fs::read_to_string(files.path(name));
    let collector = Collector::grpc(Some((pem("cert.pem")?, pem("key.pem")?))).await?;
    let config = format!(
        "--tracing.config=type: OTLP\nconfig: {{client_type: grpc, endpoint: \"{}\", service_name: a, compression: gzip, tls_config: {{ca_file: {:?}}}}}",
        collector.address(),
        files.text("ca.pem")
    );
    let standalone = Program::standalone(&dir.path().join("data"), &[&config])?;
    let id = trace_id(&write(&standalone, &[]).await?).context("a trace")?;
    collector.await_trace(&id, &["/receive HTTP[server]", "receive_http"]).await?;
    Ok(())
}

/// A collector that is not there costs spans only: writes, queries and the end of the process do without.
#[tokio::test]
async fn a_collector_that_is_away_is_not_missed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = "--tracing.config=type: OTLP\nconfig: {client_type: grpc, insecure: true, endpoint: \"127.0.0.1:1\"}";
    let mut standalone = Program::standalone(dir.path(), &[config])?;
    ensure!(trace_id(&write(&standalone, &[]).await?).is_some() && trace_id(&query(&standalone, &[]).await?).is_some());
    ensure!(standalone.terminate(Duration::from_secs(60))?.success());
    ensure!(standalone.log().contains("the last spans were not sent"), "{}", standalone.log());
    Ok(())
}

/// Stock's querier over our ingester: one trace through both. With `THANOXIDE_STOCK_QUERIER` set, for it must have been built.
#[tokio::test]
async fn stock_and_ours_make_one_trace() -> Result<()> {
    if std::env::var_os("THANOXIDE_STOCK_QUERIER").is_none() {
        return Ok(());
    }
    let (dir, collector) = (tempfile::tempdir()?, Collector::grpc(None).await?);
    let ingester = Program::receiver(dir.path(), &[&config("ours", &collector, "")])?;
    write(&ingester, &[("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-00"))]).await?;
    let mut command = Command::new(interop("thanos"));
    command.args(["query", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0"]);
    command.args([&format!("--endpoint={}", ingester.address("grpc")), &config("stock", &collector, "")]);
    let _stock = Program::spawn(&mut command)?;
    // It asks who we are, in a trace of its own.
    let call = "/thanos.info.Info/Info";
    let crosses = |spans: &[Received]| {
        let ours = |span: &&Received| span.name == call && span.service == "ours";
        let is_above = |span: &Received, ours: &Received| span.service == "stock" && span.span_id == ours.parent_id;
        spans.iter().filter(ours).any(|ours| spans.iter().any(|span| is_above(span, ours))).then_some(())
    };
    collector.await_spans(crosses).await
}
