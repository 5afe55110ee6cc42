//! Real programs as input: Debian's Prometheus scrapes a node exporter, itself and us, and sends to us and to the oracle.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use thanoxide_testkit::api::Api;
use thanoxide_testkit::compare::{difference, series_count};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::shared;

/// External labels that only one side has.
const EXTERNAL: [&str; 2] = ["replica", "tenant_id"];

/// How long is scraped before anything is compared.
const SCRAPE_TIME: Duration = Duration::from_secs(200);

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_millis() as i64
}

/// A port that was free a moment ago, for programs that cannot take port 0.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn start_prometheus(dir: &Path, targets: &[(&str, String)], write_urls: &[String]) -> Result<(Program, String)> {
    let mut config = String::from("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n");
    let port = free_port()?;
    let own = ("prometheus", format!("127.0.0.1:{port}"));
    for (job, target) in targets.iter().chain([&own]) {
        config += &format!("  - job_name: {job}\n    static_configs:\n      - targets: ['{target}']\n");
    }
    config += "remote_write:\n";
    for url in write_urls {
        config += &format!("  - url: {url}\n    queue_config:\n      batch_send_deadline: 1s\n");
    }
    let path = dir.join("prometheus.yml");
    std::fs::write(&path, config)?;
    let mut program = Program::spawn(
        Command::new("prometheus")
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    )?;
    program.await_line("Server is ready to receive web requests", "")?;
    Ok((program, own.1))
}

/// Queries that must have data: plain ones, rates, quantiles, joins.
const QUERIES: &[&str] = &[
    "up",
    "node_load1",
    "node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes",
    "count by (job) (up)",
    "sum by (mode) (node_cpu_seconds_total)",
    "topk(3, node_cpu_seconds_total)",
    "bottomk(2, process_resident_memory_bytes)",
    "max by (job) (process_resident_memory_bytes)",
    "avg_over_time(node_load1[1m])",
    "min_over_time(node_load5[2m])",
    "stddev_over_time(process_resident_memory_bytes[1m])",
    "quantile_over_time(0.9, node_load1[1m])",
    "changes(process_start_time_seconds[2m])",
    "count_over_time(up[1m])",
    "predict_linear(node_filesystem_avail_bytes[1m], 3600)",
    "deriv(process_resident_memory_bytes[1m])",
    "label_replace(up, \"port\", \"$1\", \"instance\", \".*:(.*)\")",
    "sort_desc(up)",
    "absent(nonexistent_metric)",
    "scalar(count(up)) + 1",
    "time() - process_start_time_seconds",
    "node_uname_info",
    "rate(node_cpu_seconds_total[1m])",
    "sum by (mode) (rate(node_cpu_seconds_total[1m]))",
    "rate(prometheus_http_requests_total[1m])",
    "sum by (handler) (rate(prometheus_http_requests_total[2m]))",
    "irate(process_cpu_seconds_total[1m])",
    "rate(process_cpu_seconds_total[1m])",
    "100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[1m])))",
    "increase(prometheus_tsdb_head_samples_appended_total[1m])",
    "rate(node_network_receive_bytes_total[1m])",
    "rate(node_context_switches_total[1m])",
    "sum(rate(prometheus_remote_storage_samples_total[1m]))",
    "rate(http_requests_total[1m])",
    "histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[1m])))",
    "histogram_quantile(0.5, sum by (le, handler) (rate(prometheus_http_request_duration_seconds_bucket[2m])))",
    "histogram_quantile(0.99, rate(prometheus_http_response_size_bytes_bucket[2m]))",
    "histogram_quantile(0.9, sum by (le) (prometheus_http_request_duration_seconds_bucket))",
    "histogram_quantile(0.9, sum by (le, handler) (rate(http_request_duration_seconds_bucket[1m])))",
    "node_filesystem_avail_bytes / node_filesystem_size_bytes",
    "rate(prometheus_http_request_duration_seconds_sum[1m]) / rate(prometheus_http_request_duration_seconds_count[1m])",
    "up * on (instance, job) group_left (version) prometheus_build_info",
    "process_resident_memory_bytes * on (job, instance) group_left () up",
    "node_memory_MemFree_bytes and on (instance) node_load1",
    "up unless on (instance) node_load1",
    "node_load1 or up",
];

async fn both(ours: &Api, oracle: &Api, query: &str, end_ms: i64, range: bool) -> Result<(Value, Value)> {
    if range {
        let start_ms = end_ms - 120_000;
        Ok((ours.range(query, start_ms, end_ms, 5_000).await?, oracle.range(query, start_ms, end_ms, 5_000).await?))
    } else {
        Ok((ours.instant(query, end_ms).await?, oracle.instant(query, end_ms).await?))
    }
}

/// Waits until both sides have the samples of a moment: queues of the sender are never quite even.
async fn settle(ours: &Api, oracle: &Api, moment_ms: i64) -> Result<()> {
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(500)));
    while began.elapsed() < Duration::from_secs(60) {
        ticks.tick().await;
        let query = format!("min(timestamp(up)) > {}", moment_ms / 1000);
        let (left, right) = (ours.instant(&query, now_ms()).await?, oracle.instant(&query, now_ms()).await?);
        if series_count(&left) == 1 && series_count(&right) == 1 {
            return Ok(());
        }
    }
    bail!("the sender did not deliver the samples of {moment_ms}")
}

async fn compare_queries(ours: &Api, oracle: &Api, end_ms: i64) -> Result<usize> {
    let (mut compared, mut wrong) = (0, Vec::new());
    for query in QUERIES {
        for range in [false, true] {
            let (left, right) = both(ours, oracle, query, end_ms, range).await?;
            let kind = if range { "range" } else { "instant" };
            let scalar = right["data"]["resultType"] == "scalar";
            if series_count(&right) == 0 && !scalar {
                wrong.push(format!("{query} ({kind}): the oracle has nothing: {right}"));
            }
            if let Some(difference) = difference(&left, &right, &EXTERNAL) {
                wrong.push(format!("{query} ({kind}): {difference}"));
            }
            compared += 1;
        }
    }
    ensure!(wrong.is_empty(), "{} of {compared} queries differ:\n{}", wrong.len(), wrong.join("\n"));
    Ok(compared)
}

/// Every expression of a big dashboard evaluates, and gives what the oracle gives.
async fn compare_dashboard(ours: &Api, oracle: &Api, node: &str, end_ms: i64) -> Result<usize> {
    let dashboard = shared::json("corpora/grafana/dashboard-node-exporter-full.json")?;
    let (mut with_data, mut wrong) = (0, Vec::new());
    for query in dashboard["queries"].as_array().into_iter().flatten() {
        let expr = query["expr"].as_str().unwrap_or_default().replace("localhost:9100", node);
        let (left, right) = both(ours, oracle, &expr, end_ms, true).await?;
        if let Some(difference) = difference(&left, &right, &EXTERNAL) {
            wrong.push(format!("{expr}: {difference}"));
        }
        with_data += usize::from(series_count(&right) > 0);
    }
    ensure!(wrong.is_empty(), "{} expressions differ:\n{}", wrong.len(), wrong.join("\n"));
    Ok(with_data)
}

#[tokio::test(flavor = "multi_thread")]
async fn scraped_data_answers_as_in_prometheus() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut program = Program::standalone(&dir.path().join("ours"), &["--no-self-scrape"])?;
    let oracle_program = Program::oracle(&dir.path().join("oracle"), &[])?;
    let node = format!("127.0.0.1:{}", free_port()?);
    let mut exporter =
        Program::spawn(Command::new("prometheus-node-exporter").arg(format!("--web.listen-address={node}")))?;
    exporter.await_line("Listening on", "")?;
    let targets = [("node", node.clone()), ("thanoxide", program.address("http").to_string())];
    let write_urls = [
        format!("{}/api/v1/receive", program.url("remote-write")),
        format!("{}/api/v1/write", oracle_program.url("http")),
    ];
    let (_prometheus, own) = start_prometheus(dir.path(), &targets, &write_urls)?;
    let (ours, oracle) = (Api::new(program.url("http")), Api::new(oracle_program.url("http")));
    let prometheus = Api::new(format!("http://{own}"));
    // Requests of every kind, so that their histograms move, until enough was scraped.
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_secs(1)));
    while began.elapsed() < SCRAPE_TIME {
        ticks.tick().await;
        prometheus.instant("sum(rate(node_cpu_seconds_total[1m]))", now_ms()).await?;
        ours.instant("count(up)", now_ms()).await?;
    }
    let end_ms = now_ms() - 5_000;
    settle(&ours, &oracle, end_ms + 2_000).await?;
    let compared = compare_queries(&ours, &oracle, end_ms).await?;
    let with_data = compare_dashboard(&ours, &oracle, &node, end_ms).await?;
    println!("{compared} queries equal; dashboard equal, {with_data} of its expressions with data");
    ensure!(with_data > 100, "only {with_data} expressions of the dashboard have data");
    ensure!(program.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", program.log());
    Ok(())
}
