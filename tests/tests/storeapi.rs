//! Our StoreAPI is Thanos's: its own client, proxy and querier code reads our store gateway and our ingester.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use thanoxide_testkit::api::Api;
use thanoxide_testkit::ledger::{Shard, value};
use thanoxide_testkit::program::{Program, interop};
use thanoxide_testkit::sender::Sender;
use thanoxide_testkit::shared;

/// Golden blocks that hold floats only, and all of whose samples are to come back.
const CASES: [&str; 4] = ["raw-floats", "labels-edge", "many-chunks", "replica-float-sources"];

/// Series by the text of their labels; samples as `[time, bits]`.
type Samples = BTreeMap<String, Vec<Value>>;

fn storereader(endpoints: &[&str], args: &[&str]) -> Result<Vec<Value>> {
    let mut command = Command::new(interop("storereader"));
    for endpoint in endpoints {
        command.args(["--endpoint", endpoint]);
    }
    let output = command.args(args).output().context("storereader is missing: cargo xtask prepare")?;
    if !output.status.success() {
        bail!("storereader {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn read_series(endpoints: &[&str], matchers: &[&str]) -> Result<Samples> {
    let mut args = vec!["--min-time", "0", "--max-time", "4000000000000"];
    for matcher in matchers {
        args.extend(["--matcher", matcher]);
    }
    args.push("series");
    let by_labels = |series: Value| {
        let samples = series["samples"].as_array().cloned().unwrap_or_default();
        (series["labels"].to_string(), samples)
    };
    Ok(storereader(endpoints, &args)?.into_iter().map(by_labels).collect())
}

/// What a golden case holds: its series with the external labels of their block.
fn golden(case: &str) -> Result<Samples> {
    let mut all = Samples::new();
    for entry in std::fs::read_dir(shared::path(&format!("golden/blocks/{case}")))? {
        let id = entry?.file_name().to_string_lossy().into_owned();
        if id == "expected" {
            continue;
        }
        let meta = shared::json(&format!("golden/blocks/{case}/{id}/meta.json"))?;
        let external = meta["thanos"]["labels"].as_object().cloned().unwrap_or_default();
        for series in shared::json_lines(&format!("golden/blocks/{case}/expected/{id}/series.jsonl.gz"))? {
            let own = series["labels"].as_array().into_iter().flatten();
            let mut labels: BTreeMap<String, Value> =
                own.map(|pair| (pair[0].as_str().unwrap_or_default().to_string(), pair[1].clone())).collect();
            labels.extend(external.clone());
            let labels: Vec<Value> =
                labels.into_iter().map(|(name, value)| Value::from(vec![name.into(), value])).collect();
            let samples = series["samples"].as_array().into_iter().flatten();
            let samples = samples.map(|s| Value::from(vec![s[0].clone(), s[1].clone()])).collect();
            all.insert(Value::from(labels).to_string(), samples);
        }
    }
    Ok(all)
}

fn put_in_bucket(bucket: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(bucket)?;
    for case in CASES {
        for entry in std::fs::read_dir(shared::path(&format!("golden/blocks/{case}")))? {
            let path = entry?.path();
            if !path.ends_with("expected") {
                ensure!(Command::new("cp").arg("-r").arg(&path).arg(bucket).status()?.success(), "cp -r");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn thanos_reads_our_store_gateway() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let bucket = dir.path().join("bucket");
    put_in_bucket(&bucket)?;
    let config = format!("{{type: FILESYSTEM, config: {{directory: {}}}}}", bucket.display());
    let data_dir = dir.path().join("data");
    let args = [
        "store",
        "--http-address=127.0.0.1:0",
        "--grpc-address=127.0.0.1:0",
        &format!("--data-dir={}", data_dir.display()),
        &format!("--objstore.config={config}"),
    ];
    let mut program = Program::thanoxide(&args, &["http", "grpc"])?;
    program.await_line("changing probe status", "status=ready")?;
    let endpoint = program.address("grpc").to_string();
    for case in CASES {
        let (expected, found) = (golden(case)?, read_series(&[&endpoint], &[&format!("case={case}")])?);
        ensure!(expected.len() == found.len(), "{case}: {} series, golden has {}", found.len(), expected.len());
        for (labels, samples) in &expected {
            let got = found.get(labels).with_context(|| format!("{case}: lost {labels:.300}"))?;
            ensure!(got == samples, "{case}: samples of {labels:.300} differ");
        }
    }
    let info = storereader(&[&endpoint], &["info"])?;
    ensure!(info.iter().any(|line| line["component"] == "store"), "info: {info:?}");
    let values = storereader(&[&endpoint], &["values", "case"])?;
    ensure!(values == CASES_SORTED.map(Value::from), "values of case: {values:?}");
    let labels = storereader(&[&endpoint], &["labels"])?;
    ensure!(
        labels.contains(&Value::from("cluster"))
            && labels.is_sorted_by_key(|l| l.as_str().unwrap_or_default().to_string()),
        "{labels:?}"
    );
    ensure!(program.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", program.log());
    Ok(())
}

const CASES_SORTED: [&str; 4] = ["labels-edge", "many-chunks", "raw-floats", "replica-float-sources"];

#[tokio::test(flavor = "multi_thread")]
async fn thanos_reads_our_ingester_and_our_querier_reads_both() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tsdb_path = format!("--tsdb.path={}", dir.path().join("tsdb").display());
    let args = [
        "receive",
        "--receive.capnproto-address=127.0.0.1:0",
        "--http-address=127.0.0.1:0",
        "--grpc-address=127.0.0.1:0",
        "--remote-write.address=127.0.0.1:0",
        "--label=replica=\"r1\"",
        &tsdb_path,
    ];
    let mut program = Program::thanoxide(&args, &["http", "grpc", "remote-write"])?;
    program.await_line("changing probe status", "status=ready")?;
    let sender = Sender::new(format!("{}/api/v1/receive", program.url("remote-write"))).for_tenant("team-a");
    let start_ms = 1_790_000_000_000;
    let mut shard = Shard::new("x", 30, start_ms, 15_000);
    for _ in 0..400 {
        shard.send(&sender).await?;
    }
    let endpoint = program.address("grpc").to_string();
    let found = read_series(&[&endpoint], &["__name__=ledger_total", "tenant_id=team-a"])?;
    ensure!(found.len() == 30, "{} series", found.len());
    for (labels, samples) in &found {
        let labels: Vec<(String, String)> = serde_json::from_str(labels)?;
        let series: usize = labels.iter().find(|l| l.0 == "series").context("no series label")?.1.parse()?;
        ensure!(labels.iter().any(|l| l.0 == "replica" && l.1 == "r1"), "{labels:?}");
        ensure!(samples.len() == 400, "{} samples", samples.len());
        for sample in samples {
            let time_ms = sample[0].as_i64().context("no time")?;
            let bits = format!("{:016x}", value(series, time_ms).to_bits());
            ensure!(sample[1] == bits.as_str(), "series {series} at {time_ms}: {sample}");
        }
    }
    // Thanos's querier over ours, and ours over ours, give the same.
    let end_ms = start_ms + 399 * 15_000;
    let query = "sum by (shard) (rate(ledger_total[5m]))";
    let args = ["--replica-label", "replica", "query", query, &end_ms.to_string()];
    let thanos = storereader(&[&endpoint], &args)?;
    let endpoint_flag = format!("--endpoint={endpoint}");
    let mut querier = Program::querier(&["--query.replica-label=replica", &endpoint_flag])?;
    let ours = Api::new(querier.url("http")).instant(query, end_ms).await?;
    let (left, right) = (&ours["data"]["result"][0]["value"][1], &thanos[0][0]["value"][1]);
    ensure!(left == right && left.is_string(), "ours {ours}, Thanos {thanos:?}");
    // A querier is a store, too.
    let through = read_series(&[querier.address("grpc")], &["__name__=ledger_total"])?;
    ensure!(through == found, "the querier's StoreAPI gives something else");
    for program in [&mut querier, &mut program] {
        ensure!(program.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", program.log());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_hands_writes_to_an_ingester() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let start = |name: &'static str, more: Vec<String>| -> Result<Program> {
        let mut args: Vec<String> = [
            "receive",
            "--http-address=127.0.0.1:0",
            "--grpc-address=127.0.0.1:0",
            "--receive.capnproto-address=127.0.0.1:0",
        ]
        .iter()
        .chain(&["--remote-write.address=127.0.0.1:0"])
        .map(|s| s.to_string())
        .collect();
        args.push(format!("--label=receive=\"{name}\""));
        args.extend(more);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut program = Program::thanoxide(&args, &["http", "grpc", "remote-write"])?;
        program.await_line("changing probe status", "status=ready")?;
        Ok(program)
    };
    let mut ingester = start("ingester", vec![format!("--tsdb.path={}", dir.path().display())])?;
    let ring = format!("--receive.hashrings=[{{\"endpoints\":[\"{}\"]}}]", ingester.address("grpc"));
    let mut router = start("router", vec![ring])?;
    let sender = Sender::new(format!("{}/api/v1/receive", router.url("remote-write"))).for_tenant("team-b");
    let mut shard = Shard::new("r", 20, 1_790_000_000_000, 15_000);
    for _ in 0..50 {
        shard.send(&sender).await?;
    }
    let found = read_series(&[ingester.address("grpc")], &["__name__=ledger_total", "tenant_id=team-b"])?;
    ensure!(found.len() == 20 && found.values().all(|samples| samples.len() == 50), "{} series", found.len());
    // What the ingester refuses, the router tells as the ingester would.
    let late = Shard::new("r", 20, 1_790_000_000_000, 15_000);
    let refused = sender.send(&thanoxide_testkit::sender::batch(&late.round())).await?;
    ensure!(refused.status == 409, "{refused:?}");
    ensure!(ingester.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", ingester.log());
    let unavailable = sender.send(&thanoxide_testkit::sender::batch(&shard.round())).await?;
    ensure!(unavailable.status == 503, "{unavailable:?}");
    ensure!(router.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", router.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_takes_late_samples_within_its_window() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tsdb_path = format!("--tsdb.path={}", dir.path().display());
    let args = [
        "receive",
        "--receive.capnproto-address=127.0.0.1:0",
        "--http-address=127.0.0.1:0",
        "--grpc-address=127.0.0.1:0",
        "--remote-write.address=127.0.0.1:0",
        "--label=replica=\"r1\"",
        "--tsdb.out-of-order.time-window=1h",
        "--tsdb.out-of-order.cap-max=4",
        &tsdb_path,
    ];
    for start in 0..2 {
        let mut program = Program::thanoxide(&args, &["http", "grpc", "remote-write"])?;
        program.await_line("changing probe status", "status=ready")?;
        let sender = Sender::new(format!("{}/api/v1/receive", program.url("remote-write"))).for_tenant("team-a");
        let start_ms = 1_790_000_000_000;
        if start == 0 {
            for from_ms in [start_ms, start_ms - 600_000, start_ms - 600_000 + 7_500] {
                let mut shard = Shard::new("x", 5, from_ms, 15_000);
                for _ in 0..20 {
                    shard.send(&sender).await?;
                }
            }
            let early = Shard::new("x", 5, start_ms - 2 * 3_600_000, 15_000);
            let refused = sender.send(&thanoxide_testkit::sender::batch(&early.round())).await?;
            ensure!(refused.status == 409 && refused.text.contains("add 5 samples: too old sample"), "{refused:?}");
        }
        let found = read_series(&[program.address("grpc")], &["__name__=ledger_total"])?;
        ensure!(found.len() == 5 && found.values().all(|samples| samples.len() == 60), "start {start}: {found:?}");
        ensure!(program.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", program.log());
    }
    Ok(())
}
