//! What senders say besides samples, by OTLP and by remote write 2.0, comes back: exemplars and metadata, in one process and over gRPC.

use anyhow::{Result, ensure};
use prost::Message;
use reqwest::Client;
use serde_json::{Value, json};
use thanoxide_proto::{opentelemetry as otlp, write_v2};
use thanoxide_testkit::api::{Api, seconds};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::Request;

const T: i64 = 1_767_225_600_000;
const T_NS: u64 = T as u64 * 1_000_000;

fn exemplar(value: f64, trace: u8) -> otlp::Exemplar {
    otlp::Exemplar {
        time_unix_nano: T_NS,
        value: Some(otlp::exemplar::Value::AsDouble(value)),
        trace_id: vec![trace; 16].into(),
        ..Default::default()
    }
}

fn metric(name: &str, description: &str, unit: &str, data: otlp::metric::Data) -> otlp::Metric {
    otlp::Metric { name: name.into(), description: description.into(), unit: unit.into(), data: Some(data) }
}

/// A counter, an explicit and an exponential histogram, each with an exemplar.
fn by_otlp() -> Vec<u8> {
    use otlp::metric::Data;
    let counter = otlp::NumberDataPoint {
        time_unix_nano: T_NS,
        value: Some(otlp::number_data_point::Value::AsInt(3)),
        exemplars: vec![exemplar(1.0, 0x11)],
        ..Default::default()
    };
    let explicit = otlp::HistogramDataPoint {
        time_unix_nano: T_NS,
        count: 2,
        sum: Some(1.5),
        bucket_counts: vec![1, 1],
        explicit_bounds: vec![1.0],
        exemplars: vec![exemplar(0.5, 0x22)],
        ..Default::default()
    };
    let exponential = otlp::ExponentialHistogramDataPoint {
        time_unix_nano: T_NS,
        count: 1,
        positive: Some(otlp::exponential_histogram_data_point::Buckets { offset: 0, bucket_counts: vec![1] }),
        exemplars: vec![exemplar(1.5, 0x33)],
        ..Default::default()
    };
    let (data_points, aggregation_temporality) = (vec![counter], 2);
    let counter = Data::Sum(otlp::Sum { data_points, aggregation_temporality, is_monotonic: true });
    let explicit = Data::Histogram(otlp::Histogram { data_points: vec![explicit], aggregation_temporality });
    let data_points = vec![exponential];
    let exponential = Data::ExponentialHistogram(otlp::ExponentialHistogram { data_points, aggregation_temporality });
    let metrics = vec![
        metric("io", "Bytes moved.", "By", counter),
        metric("wait", "Waiting.", "s", explicit),
        metric("size", "", "1", exponential),
    ];
    let scope_metrics = vec![otlp::ScopeMetrics { metrics, ..Default::default() }];
    let resource_metrics = vec![otlp::ResourceMetrics { resource: None, scope_metrics }];
    otlp::ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

/// A counter with an exemplar.
fn by_remote_write_2() -> Vec<u8> {
    let symbols = ["", "__name__", "jobs_total", "trace_id", "4444", "Jobs done.", "jobs"].map(Into::into).to_vec();
    let series = write_v2::TimeSeries {
        labels_refs: vec![1, 2],
        samples: vec![write_v2::Sample { value: 7.0, timestamp: T, start_timestamp: 0 }],
        exemplars: vec![write_v2::Exemplar { labels_refs: vec![3, 4], value: 1.0, timestamp: T }],
        metadata: Some(write_v2::Metadata { r#type: 1, help_ref: 5, unit_ref: 6 }),
        ..Default::default()
    };
    write_v2::Request { symbols, timeseries: vec![series] }.encode_to_vec()
}

async fn send(program: &Program) -> Result<()> {
    let (client, url) = (Client::new(), program.url("remote-write"));
    let post = client.post(format!("{url}/api/v1/otlp")).header("Content-Type", "application/x-protobuf");
    let answer = post.body(by_otlp()).send().await?;
    ensure!(answer.status() == 200, "{answer:?}");
    let request = Request::of(&by_remote_write_2())?
        .header("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
        .header("X-Prometheus-Remote-Write-Version", "2.0.0");
    let answer = request.send(&client, &url).await?;
    ensure!((200..300).contains(&answer.status), "{answer:?}");
    Ok(())
}

async fn check(api: &Api) -> Result<()> {
    for (query, trace, value) in [
        ("io_bytes_total", "11".repeat(16), "1"),
        ("histogram_quantile(0.9, rate(wait_seconds_bucket[5m]))", "22".repeat(16), "0.5"),
        ("size", "33".repeat(16), "1.5"),
        ("jobs_total", "4444".to_string(), "1"),
    ] {
        let params = [("query", query), ("start", &seconds(T - 1000)), ("end", &seconds(T + 1000))];
        let (status, answer) = api.get("query_exemplars", &params).await?;
        let exemplars: Vec<&Value> =
            answer["data"].as_array().into_iter().flatten().flat_map(|s| s["exemplars"].as_array()).flatten().collect();
        let want = json!({"labels": {"trace_id": trace}, "value": value, "timestamp": T as f64 / 1000.0});
        ensure!(status == 200 && exemplars.len() == 1, "{query}: {answer}");
        for (key, want) in want.as_object().into_iter().flatten() {
            let same = exemplars[0][key] == *want || exemplars[0][key].as_f64() == want.as_f64() && want.is_number();
            ensure!(same, "{query}: {}, not {want}", exemplars[0]);
        }
    }
    let (status, answer) = api.get("metadata", &[]).await?;
    let said = |kind: &str, unit: &str, help: &str| json!([{"type": kind, "help": help, "unit": unit}]);
    let want = json!({
        "io_bytes_total": said("counter", "bytes", "Bytes moved."),
        "wait_seconds": said("histogram", "seconds", "Waiting."),
        "size": said("histogram", "", ""),
        "jobs_total": said("counter", "jobs", "Jobs done."),
    });
    assert_eq!((status, &answer["data"]), (200, &want));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut program = Program::standalone(dir.path(), &["--no-self-scrape"])?;
    send(&program).await?;
    check(&Api::new(program.url("http"))).await?;
    program.kill()?;
    let program = Program::standalone(dir.path(), &["--no-self-scrape"])?;
    check(&Api::new(program.url("http"))).await
}

/// Exemplars and metadata of a receiver, asked by a querier.
#[tokio::test(flavor = "multi_thread")]
async fn over_grpc() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let receiver = Program::receiver(dir.path(), &["--tsdb.max-exemplars=100"])?;
    send(&receiver).await?;
    let endpoint = format!("--endpoint={}", receiver.address("grpc"));
    let query = Program::querier(&[&endpoint])?;
    check(&Api::new(query.url("http"))).await
}
