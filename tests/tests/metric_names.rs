//! What Thanos's dashboards, alerts and rules ask of `receive` and `query` is there, under the same names and with the same labels.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::neighbours::series;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;
use thanoxide_testkit::shared;

/// The labels that samples of each name have.
fn labels_by_name(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let labels = line[name.len()..].strip_prefix('{').and_then(|rest| rest.rsplit_once('}')).map_or("", |l| l.0);
        let labels = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name);
        names.entry(name).or_default().extend(labels);
    }
    names
}

/// Of Go's runtime, of the scraper, what counts a limit by way of another Prometheus (nothing is there before it is asked), and
/// what `docs/compatibility.md` names as not there yet.
fn is_left_out(name: &str) -> bool {
    let begins = ["go_", "thanos_query_store_apis_dns_"];
    let others = ["up", "thanos_receive_head_series_limited_requests_total"];
    begins.iter().any(|begin| name.starts_with(begin)) || others.contains(&name)
}

/// Whether all is there that dashboards and alerts ask of a component.
fn check(component: &str, text: &str) -> Result<()> {
    let there = labels_by_name(text);
    let asked = shared::json("corpora/mixin/metrics-queried.json")?;
    let asked = asked["components"][component].as_array().context("no metrics are asked for")?;
    let (mut found, mut missing) = (0, Vec::new());
    for metric in asked.iter().filter(|metric| metric["recorded_by_mixin"] == false) {
        let name = metric["metric"].as_str().context("a metric has no name")?;
        if is_left_out(name) {
            continue;
        }
        let Some(labels) = there.get(name) else {
            missing.push(name.to_string());
            continue;
        };
        let of_scraper = |label: &&str| ["job", "instance"].contains(label);
        let wanted = metric["labels"].as_array().into_iter().flatten().filter_map(|label| label.as_str());
        let absent: Vec<&str> = wanted.filter(|label| !of_scraper(label) && !labels.contains(label)).collect();
        if !absent.is_empty() {
            missing.push(format!("{name} without {absent:?}, with {labels:?}"));
        }
        found += 1;
    }
    ensure!(missing.is_empty(), "{component} lacks {missing:#?}");
    ensure!(found > 5, "only {found} metrics of {component} are asked for");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mixin_finds_what_it_asks_for() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = dir.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let bucket = dir.path().join("bucket");
    let bucket = format!("{{type: FILESYSTEM, config: {{directory: \"{}\"}}}}", bucket.display());
    let args = [
        format!("--objstore.config-file={}", file("bucket.yaml", &bucket)?),
        format!("--receive.hashrings-file={}", file("rings.json", r#"[{"endpoints":["this:1"]}]"#)?),
        "--receive.local-endpoint=this:1".to_string(),
        format!("--receive.limits-config-file={}", file("limits.yaml", "write: {default: {}}")?),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let node = Program::receiver(&dir.path().join("data"), &args)?;
    let sender = Sender::new(format!("{}/api/v1/receive", node.url("remote-write")));
    ensure!(sender.send(&series(0, 3, 1_790_000_000_000)).await?.status == 200);
    let text = Api::new(node.url("http")).text("/metrics").await?;
    check("receive", &text)?;
    // Dashboards of Prometheus's storage ask for these of each tenant; they are true at the moment of the scrape.
    for line in ["head_series", "head_series_created_total", "head_samples_appended_total"] {
        let line = format!("prometheus_tsdb_{line}{{tenant=\"default-tenant\"}} 3");
        ensure!(text.contains(&line), "{line} is not in\n{text}");
    }

    let endpoint = format!("--endpoint={}", node.address("grpc"));
    let query = Program::querier(&[&endpoint])?;
    let api = Api::new(query.url("http"));
    ensure!(api.range("noise", 1_790_000_000_000, 1_790_000_060_000, 15_000).await?["status"] == "success");
    let text = api.text("/metrics").await?;
    check("query", &text)?;
    ensure!(text.contains("handler=\"query_range\""), "range queries are counted as others:\n{text}");
    let series = "grpc_method=\"Series\",grpc_service=\"thanos.Store\",grpc_type=\"server_stream\"";
    for line in [
        format!("grpc_client_started_total{{{series}}} 1"),
        format!("grpc_client_handled_total{{grpc_code=\"OK\",{series}}} 1"),
        format!("grpc_client_handling_seconds_count{{{series}}} 1"),
    ] {
        ensure!(text.contains(&line), "{line} is not in\n{text}");
    }
    let text = Api::new(node.url("http")).text("/metrics").await?;
    for line in [
        "thanos_store_server_series_requested_sum 3",
        "thanos_store_server_chunks_requested_count 1",
        "thanos_store_server_pending_series_requests 0",
        "thanos_receive_pending_write_requests 0",
        "thanos_receive_multi_db_updates_attempted_total 1",
        "thanos_receive_multi_db_updates_completed_total 1",
    ] {
        ensure!(text.contains(line), "{line} is not in\n{text}");
    }
    Ok(())
}
