//! What senders say of metrics comes back from `/api/v1/metadata`, in one process and over gRPC, and after a kill.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, MetricMetadata, MetricType, Sample, WriteBatch};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;

/// As a sender has it: metadata goes in requests of its own.
fn said() -> WriteBatch {
    let mut builder = WriteBatchBuilder::default();
    for (family, kind, help, unit) in [
        ("b_seconds", MetricType::Histogram, "How \"long\" <it> took.", "seconds"),
        ("a_total", MetricType::Counter, "Requests.", ""),
    ] {
        builder.push_metadata(family, &MetricMetadata { kind, help: help.to_string(), unit: unit.to_string() });
    }
    builder.build()
}

/// Sends metadata alone, then a sample.
async fn send(program: &Program) -> Result<()> {
    let sender = Sender::new(format!("{}/api/v1/receive", program.url("remote-write")));
    let answer = sender.send(&said()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let sample = Sample { timestamp_ms: 1_767_225_600_000, value: 1.0 };
    sender.write(&[(Labels::from_pairs([("__name__", "a_total")]), vec![sample])]).await
}

async fn await_told(api: &Api) -> Result<()> {
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(50)));
    while !api.get("metadata", &[]).await?.1["data"]["b_seconds"].is_array() {
        ensure!(began.elapsed() < Duration::from_secs(60), "the node is told nothing");
        ticks.tick().await;
    }
    Ok(())
}

async fn check(api: &Api) -> Result<()> {
    let a = json!([{"type": "counter", "help": "Requests.", "unit": ""}]);
    let b = json!([{"type": "histogram", "help": "How \"long\" <it> took.", "unit": "seconds"}]);
    for (params, want) in [
        (&[][..], json!({"a_total": a, "b_seconds": b})),
        (&[("limit", "1")], json!({"a_total": a})),
        (&[("limit", "-1"), ("limit_per_metric", "1")], json!({"a_total": a, "b_seconds": b})),
        (&[("limit", "0")], json!({})),
        (&[("metric", "b_seconds")], json!({"b_seconds": b})),
        (&[("metric", "c")], json!({})),
    ] {
        let (status, answer) = api.get("metadata", params).await?;
        assert_eq!((status, &answer["data"], &answer["warnings"]), (200, &want, &Value::Null), "{params:?}");
    }
    let (status, answer) = api.get("metadata", &[("limit", "many")]).await?;
    assert_eq!((status, answer["error"].as_str()), (400, Some("limit must be a number")));
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

/// A router that holds nothing itself tells its ingesters; it is there as well when those come back, and a stock one does no harm.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_router() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (name, protocol) in [("grpc", "protobuf"), ("capnp", "capnproto")] {
        let root = dir.path().join(name);
        let (mut ours, stock) =
            (Program::receiver(&root.join("ours"), &[])?, Program::stock_ring(&root.join("stock"), &[])?);
        let endpoint =
            |node: &Program| json!({"address": node.address("grpc"), "capnproto_address": node.address("capnproto")});
        let ring = json!([{"endpoints": [endpoint(&ours), endpoint(&stock)]}]);
        let router = Program::receiver(
            &root.join("router"),
            &[
                &format!("--receive.hashrings={ring}"),
                "--receive.replication-factor=2",
                &format!("--receive.replication-protocol={protocol}"),
            ],
        )?;
        send(&router).await?;
        // A router tells nodes in its own time.
        let query = Program::querier(&[&format!("--endpoint={}", ours.address("grpc"))])?;
        await_told(&Api::new(query.url("http"))).await?;
        ours.kill()?;
        let ours = Program::receiver(&root.join("ours"), &[])?;
        let query = Program::querier(&[&format!("--endpoint={}", ours.address("grpc"))])?;
        check(&Api::new(query.url("http"))).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_grpc() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let receiver = Program::receiver(dir.path(), &[])?;
    send(&receiver).await?;
    let endpoint = format!("--endpoint={}", receiver.address("grpc"));
    let query = Program::querier(&[&endpoint])?;
    check(&Api::new(query.url("http"))).await
}
