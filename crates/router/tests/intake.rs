//! What happens to a request on its way: relabelling, limits by tenant, tenants named by labels, OTLP.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use thanoxide_config::{Limits, Relabel};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, WriteBatch};
use thanoxide_proto::encode_write_request;
use thanoxide_proto::opentelemetry as otlp;
use thanoxide_router::RouterConfig;

#[path = "support/endpoint.rs"]
#[allow(dead_code)]
mod endpoint;

use endpoint::{Endpoint, compress};

fn body(series: &[&[(&str, &str)]]) -> Vec<u8> {
    let mut builder = WriteBatchBuilder::default();
    for labels in series {
        builder.push(&Labels::from_pairs(labels.iter().copied()), &[Sample { timestamp_ms: 1, value: 1.0 }]);
    }
    compress(&encode_write_request(&builder.build()))
}

fn shown(batch: &WriteBatch) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let series = batch.series.iter().map(|series| {
        batch.labels_of(series).map(|(n, v)| format!("{}={}", text(n), text(v))).collect::<Vec<_>>().join(",")
    });
    series.collect()
}

#[tokio::test]
async fn series_are_relabelled_and_dropped() {
    let rules = "- {action: labeldrop, regex: replica}\n- {action: drop, source_labels: [__name__], regex: secret}\n";
    let relabel = Arc::new(Relabel::parse(rules).unwrap());
    let endpoint = Endpoint::start(RouterConfig { relabel, ..RouterConfig::default() }).await;
    let mixed = body(&[&[("__name__", "up"), ("replica", "1")], &[("__name__", "secret")]]);
    assert_eq!(endpoint.send(endpoint.request(mixed)).await, (200, String::new()));
    assert_eq!(shown(&endpoint.taken()[0].1), ["__name__=up"]);
    assert_eq!(endpoint.send(endpoint.request(body(&[&[("__name__", "secret")]]))).await, (200, String::new()));
    assert!(endpoint.taken().is_empty());
}

#[tokio::test]
async fn limits_of_a_tenant_are_told_in_stocks_words() {
    let config = RouterConfig::default();
    let limits = "write: {default: {request: {series_limit: 2}}, tenants: {tiny: {request: {size_bytes_limit: 10}}, \
                  few: {request: {samples_limit: 1}}, full: {head_series_limit: 5}, slow: {samples_per_second_limit: 1}, \
                  short: {label_value_bytes_limit: 3}}}";
    config.limiter.set(Limits::parse(limits).unwrap());
    config.limiter.note_head_series(Some([("full".to_string(), 5.0)].into()));
    let endpoint = Endpoint::start(config).await;
    let two = || body(&[&[("__name__", "up"), ("i", "1")], &[("__name__", "up"), ("i", "22222")]]);
    let three = body(&[&[("a", "1")], &[("a", "2")], &[("a", "3")]]);
    let send =
        async |tenant: &str, body: Vec<u8>| endpoint.send(endpoint.request(body).header("THANOS-TENANT", tenant)).await;
    assert_eq!(send("any", two()).await.0, 200);
    assert_eq!(send("any", three).await, (413, "too many timeseries\n".to_string()));
    assert_eq!(send("tiny", two()).await, (413, "write request too large\n".to_string()));
    assert_eq!(send("few", two()).await, (413, "too many samples\n".to_string()));
    assert_eq!(send("full", two()).await, (429, "tenant is above active series limit\n".to_string()));
    for _ in 0..5 {
        assert_eq!(send("slow", two()).await.0, 200);
    }
    assert_eq!(send("slow", two()).await.0, 429);
    endpoint.taken();
    let (status, text) = send("short", two()).await;
    assert!(status == 400 && text.contains("add 1 series: label name or value too long"), "{status} {text}");
    let batch = &endpoint.taken()[0].1;
    assert_eq!(
        batch.series.iter().map(|series| series.samples.len()).collect::<Vec<_>>(),
        [1, 0],
        "the other is stored"
    );
}

#[tokio::test]
async fn series_go_to_the_tenants_that_they_name() {
    let config = RouterConfig { split_tenant_label: Some("t".to_string()), ..RouterConfig::default() };
    let endpoint = Endpoint::start(config).await;
    let mixed = body(&[&[("a", "1"), ("t", "x")], &[("a", "2")], &[("a", "3"), ("t", "y")]]);
    assert_eq!(endpoint.send(endpoint.request(mixed)).await, (200, String::new()));
    let mut taken: Vec<_> = endpoint.taken().iter().map(|(tenant, batch)| (tenant.clone(), shown(batch))).collect();
    taken.sort();
    let expected = [("default-tenant", "a=2"), ("x", "a=1"), ("y", "a=3")];
    assert_eq!(taken, expected.map(|(tenant, series)| (tenant.to_string(), vec![series.to_string()])));
    for bad in ["..", "a/b"] {
        assert_eq!(endpoint.send(endpoint.request(body(&[&[("a", "1"), ("t", bad)]]))).await.0, 400);
    }
    assert!(endpoint.taken().is_empty());
}

fn gauge() -> Vec<u8> {
    let point = otlp::NumberDataPoint {
        time_unix_nano: 1_790_000_000_000_000_000,
        value: Some(otlp::number_data_point::Value::AsInt(3)),
        ..Default::default()
    };
    let data = otlp::metric::Data::Gauge(otlp::Gauge { data_points: vec![point] });
    let metric = otlp::Metric { name: "queue.length".into(), data: Some(data), ..Default::default() };
    let scope_metrics = vec![otlp::ScopeMetrics { metrics: vec![metric], ..Default::default() }];
    let resource_metrics = vec![otlp::ResourceMetrics { resource: None, scope_metrics }];
    otlp::ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

#[tokio::test]
async fn otlp_is_taken_plain_and_with_gzip() {
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let post = |path: &str, body: Vec<u8>| {
        let request = endpoint.client.post(format!("http://{}{path}", endpoint.address)).body(body);
        request.header("Content-Type", "application/x-protobuf").header("THANOS-TENANT", "t")
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&gauge()).unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(endpoint.send(post("/api/v1/otlp", gauge())).await, (200, String::new()));
    let compressed = post("/api/v1/otlp/v1/metrics", gzip).header("Content-Encoding", "gzip");
    assert_eq!(endpoint.send(compressed).await, (200, String::new()));
    for (tenant, batch) in endpoint.taken() {
        assert_eq!((tenant.as_str(), shown(&batch)), ("t", vec!["__name__=queue_length".to_string()]));
        assert_eq!(batch.samples, [Sample { timestamp_ms: 1_790_000_000_000, value: 3.0 }]);
    }
}

#[tokio::test]
async fn what_is_no_otlp_is_refused() {
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let post = |body: Vec<u8>| endpoint.client.post(format!("http://{}/api/v1/otlp", endpoint.address)).body(body);
    let protobuf = |body| post(body).header("Content-Type", "application/x-protobuf");
    assert_eq!(endpoint.send(post(gauge()).header("Content-Type", "text/plain")).await.0, 400);
    assert_eq!(endpoint.send(post(gauge()).header("Content-Type", "application/json")).await.0, 400);
    let json = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"j","gauge":{"dataPoints":[{"timeUnixNano":"1","asInt":1}]}}, {"name":"d","sum":{"aggregationTemporality":1,"dataPoints":[{"asInt":1}]}}]}]}]}"#;
    let answer = endpoint.send(post(json.to_vec()).header("Content-Type", "application/json")).await;
    // What could be translated is stored.
    assert_eq!(answer, (400, "invalid temporality for metric \"d\"\n".to_string()));
    assert_eq!(endpoint.taken()[0].1.series.len(), 1);
    assert_eq!(endpoint.send(protobuf(vec![0xff; 40])).await.0, 400);
    assert_eq!(endpoint.send(protobuf(gauge()).header("Content-Encoding", "zstd")).await.0, 400);
    assert_eq!(endpoint.send(protobuf(gauge()).header("Content-Encoding", "gzip")).await.0, 400);
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 40 << 20]).unwrap();
    let bomb = protobuf(bomb.finish().unwrap()).header("Content-Encoding", "gzip");
    assert_eq!(endpoint.send(bomb).await.0, 413);
    assert!(endpoint.taken().is_empty());
}
