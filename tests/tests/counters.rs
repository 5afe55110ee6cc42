//! Counters with resets, read through the StoreAPI of two replicas and deduplicated: `resets`, `rate` and their like are
//! Prometheus's. (Stock's querier adjusts raw counters for resets first, so that its `resets` is always 0.)

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use thanoxide_model::{Labels, METRIC_NAME, Sample};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::compare::{difference, series_count};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;

const SAMPLES: i64 = 240;
const STEP_MS: i64 = 15_000;

const QUERIES: [&str; 12] = [
    "resets(c_total[10m])",
    "rate(c_total[5m])",
    "increase(c_total[7m])",
    "irate(c_total[2m])",
    "sum by (kind) (rate(c_total[5m]))",
    "sum(resets(c_total[1h]))",
    "max_over_time(rate(c_total[1m])[10m:30s])",
    "increase(c_total{kind=\"gaps\"}[3m] offset 5m)",
    "changes(c_total[10m])",
    "delta(c_total[10m])",
    "idelta(c_total[2m])",
    "rate(c_total[5m]) / on (kind, pod) increase(c_total[5m])",
];

/// The value of a counter at each sample, if there is one.
type Shape = fn(i64) -> Option<f64>;

/// Counters by what happens to them: nothing, a reset now and then, one to a value above 0, holes, restarts at each sample.
fn counters(start_ms: i64) -> Vec<(Labels, Vec<Sample>)> {
    let kinds: [(&str, Shape); 5] = [
        ("steady", |i| Some(i as f64 * 3.5)),
        ("resets", |i| Some((i % 37) as f64 * 2.0)),
        ("partial", |i| Some(if i % 50 < 25 { 1000.0 + i as f64 } else { 300.0 + i as f64 * 0.25 })),
        ("gaps", |i| (i % 40 < 28 || i % 3 == 0).then_some((i % 90) as f64)),
        ("sawtooth", |i| Some(if i % 2 == 0 { 9.0 } else { 4.0 })),
    ];
    let mut all = Vec::new();
    for (kind, value) in kinds {
        for pod in ["p1", "p2"] {
            let late = if pod == "p2" { 60 } else { 0 };
            let sample = |i: i64| value(i + late).map(|value| Sample { timestamp_ms: start_ms + i * STEP_MS, value });
            let labels = Labels::from_pairs([(METRIC_NAME, "c_total"), ("kind", kind), ("pod", pod)]);
            all.push((labels, (late..SAMPLES).filter_map(sample).collect()));
        }
    }
    all
}

fn receiver(dir: &Path, replica: &str) -> Result<Program> {
    let (label, path) = (format!("--label=replica=\"{replica}\""), format!("--tsdb.path={}", dir.display()));
    let mut args = vec!["receive", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", &label, &path];
    args.extend(["--remote-write.address=127.0.0.1:0", "--receive.capnproto-address=127.0.0.1:0"]);
    let mut program = Program::thanoxide(&args, &["http", "grpc", "remote-write"])?;
    program.await_line("changing probe status", "status=ready")?;
    Ok(program)
}

fn querier(endpoints: &[&Program]) -> Result<Program> {
    let endpoints: Vec<String> = endpoints.iter().map(|e| format!("--endpoint={}", e.address("grpc"))).collect();
    let mut args = vec!["--query.replica-label=replica"];
    args.extend(endpoints.iter().map(String::as_str));
    Program::querier(&args)
}

async fn write(url: String, series: &[(Labels, Vec<Sample>)]) -> Result<()> {
    Sender::new(url).write(series).await
}

/// The answer of both must be the same, and not be empty.
fn check(query: &str, ours: &Value, stock: &Value) -> Result<()> {
    ensure!(series_count(stock) > 0, "{query} is empty: {stock}");
    let difference = difference(ours, stock, &["tenant_id"]);
    ensure!(difference.is_none(), "{query}: {}", difference.unwrap_or_default());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_counters_are_prometheus_s() -> Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let start_ms = now.as_millis() as i64 / 60_000 * 60_000 - 2 * 3_600_000;
    let end_ms = start_ms + SAMPLES * STEP_MS;
    let series = counters(start_ms);
    let dirs = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
    let (a, b) = (receiver(dirs[0].path(), "a")?, receiver(dirs[1].path(), "b")?);
    let oracle = Program::oracle(dirs[2].path(), &[])?;
    // Each replica has missed one series; what both have is the same.
    write(format!("{}/api/v1/receive", a.url("remote-write")), &series[1..]).await.context("replica a")?;
    write(format!("{}/api/v1/receive", b.url("remote-write")), &series[..series.len() - 1])
        .await
        .context("replica b")?;
    write(format!("{}/api/v1/write", oracle.url("http")), &series).await.context("oracle")?;

    let both = querier(&[&a, &b])?;
    let (ours, stock) = (Api::new(both.url("http")), Api::new(oracle.url("http")));
    for query in QUERIES {
        for time_ms in [end_ms, start_ms + 1_234_567, start_ms + 33 * STEP_MS] {
            let (ours, stock) = (ours.instant(query, time_ms).await?, stock.instant(query, time_ms).await?);
            check(query, &ours, &stock)?;
        }
        let (from, to) = (start_ms + 600_000, end_ms - 1);
        let (ours, stock) = (ours.range(query, from, to, 30_000).await?, stock.range(query, from, to, 30_000).await?);
        check(query, &ours, &stock)?;
    }
    let resets = ours.instant("sum(resets(c_total{kind=\"resets\"}[1h]))", end_ms).await?;
    ensure!(resets["data"]["result"][0]["value"][1] == "11", "{resets}");
    Ok(())
}
