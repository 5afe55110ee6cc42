//! Queries over an ingester of ours and one of Thanos: samples, labels, exemplars, metadata, by both ways of deduplication. With
//! `THANOXIDE_STOCK_QUERIER` set, Thanos's own querier over the same two is asked as well, and must say the same.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, MetricMetadata, MetricType, Sample};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::program::{Program, interop};
use thanoxide_testkit::sender::Sender;

const FIRST_MS: i64 = 1_790_000_000_000;
const STEP_MS: i64 = 30_000;
const STEPS: i64 = 40;
const LAST_MS: i64 = FIRST_MS + STEPS * STEP_MS;
const DEADLINE: Duration = Duration::from_secs(60);
/// One replica is sent its samples so much later than the other.
const APART_MS: i64 = 10_000;

const QUERIES: [&str; 10] = [
    "shared",
    "sum by (series) (shared)",
    "rate(shared[5m])",
    "count_over_time(apart[10m])",
    "apart",
    "increase(apart[3m])",
    "resets(apart[20m])",
    "max_over_time(apart[1m])",
    "count({__name__=~\".+\"})",
    "{__name__=~\".+_only\"}",
];

fn sender(node: &Program) -> Sender {
    Sender::new(format!("{}/api/v1/receive", node.url("remote-write")))
}

/// Without resets: stock's querier has its own idea of these.
fn samples(from_ms: i64) -> Vec<Sample> {
    let sample = |step: i64| Sample { timestamp_ms: from_ms + step * STEP_MS, value: (step * step) as f64 };
    (0..STEPS).map(sample).collect()
}

/// Series of both nodes by way of a ring, with exemplars and metadata; one of each node alone, and one of both at different times.
async fn send(router: &Program, ours: &Program, stock: &Program) -> Result<()> {
    let mut builder = WriteBatchBuilder::default();
    for series in 0..20 {
        let labels = Labels::from_pairs([("__name__", "shared"), ("series", &series.to_string())]);
        builder.push(&labels, &samples(FIRST_MS));
        builder.push_exemplar(&Labels::from_pairs([("trace_id", "abc")]), FIRST_MS, f64::from(series));
    }
    let metadata = MetricMetadata { kind: MetricType::Counter, help: "What both have.".into(), unit: "s".into() };
    builder.push_metadata("shared", &metadata);
    let answer = sender(router).send(&builder.build()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    for (node, name, from_ms) in [(ours, "ours_only", FIRST_MS), (stock, "stock_only", FIRST_MS + APART_MS)] {
        let alone = Labels::from_pairs([("__name__", name)]);
        let apart = Labels::from_pairs([("__name__", "apart")]);
        sender(node).write(&[(alone, samples(from_ms)), (apart, samples(from_ms))]).await?;
    }
    Ok(())
}

fn querier_args(nodes: [&Program; 2], how: &str) -> Vec<String> {
    let mut args = vec!["--query.replica-label=replica".to_string(), format!("--deduplication.func={how}")];
    args.extend(nodes.map(|node| format!("--endpoint={}", node.address("grpc"))));
    args
}

/// Thanos's querier, on ports that were free a moment ago: it does not tell which it took.
fn stock_querier(args: &[String]) -> Result<(Program, Api)> {
    let [http, grpc] = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?].map(|l| l.local_addr());
    let (http, grpc) = (http?, grpc?);
    let mut command = Command::new(interop("thanos"));
    command.arg("query").arg(format!("--http-address={http}")).arg(format!("--grpc-address={grpc}")).args(args);
    Ok((Program::spawn(&mut command)?, Api::new(format!("http://{http}"))))
}

/// Waits until a querier knows both nodes.
async fn await_both(api: &Api) -> Result<()> {
    let end = Instant::now() + DEADLINE;
    loop {
        let answer = api.instant("count({__name__=~\".+_only\"})", LAST_MS).await.unwrap_or_default();
        if answer["data"]["result"][0]["value"][1] == "2" {
            return Ok(());
        }
        ensure!(Instant::now() < end, "not both nodes are known: {answer}");
        tokio::task::yield_now().await;
    }
}

/// All answers, each under its question. The order of series is not defined.
async fn answers(api: &Api) -> Result<Vec<(String, Value)>> {
    let mut all = Vec::new();
    for query in QUERIES {
        let mut answer = api.range(query, FIRST_MS, LAST_MS, STEP_MS).await?["data"]["result"].take();
        answer.as_array_mut().into_iter().for_each(|series| series.sort_by_key(Value::to_string));
        all.push((query.to_string(), answer));
    }
    let (start, end) = ((FIRST_MS / 1000).to_string(), (LAST_MS / 1000).to_string());
    for (path, params) in [
        ("query_exemplars", &[("query", "shared"), ("start", start.as_str()), ("end", end.as_str())][..]),
        ("metadata", &[]),
        ("labels", &[("start", start.as_str()), ("end", end.as_str())]),
        ("series", &[("match[]", "{__name__=~\".+_only\"}"), ("start", start.as_str()), ("end", end.as_str())]),
    ] {
        let (status, mut answer) = api.get(path, params).await?;
        let mut data = answer["data"].take();
        data.as_array_mut().into_iter().for_each(|all| all.sort_by_key(Value::to_string));
        all.push((path.to_string(), json!([status, data])));
    }
    Ok(all)
}

fn of<'a>(answers: &'a [(String, Value)], question: &str) -> &'a Value {
    answers.iter().find(|(asked, _)| asked == question).map_or(&Value::Null, |(_, answer)| answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_of_ingesters_answer_as_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let ours = Program::receiver(&dir.path().join("ours"), &["--tsdb.max-exemplars=1000"])?;
    let stock = Program::stock_ring(&dir.path().join("stock"), &[])?;
    let endpoint =
        |node: &Program| json!({"address": node.address("grpc"), "capnproto_address": node.address("capnproto")});
    let ring = format!("--receive.hashrings={}", json!([{"endpoints": [endpoint(&ours), endpoint(&stock)]}]));
    let router = Program::receiver(&dir.path().join("router"), &[&ring, "--receive.replication-factor=2"])?;
    send(&router, &ours, &stock).await?;
    for how in ["penalty", "chain"] {
        let args = querier_args([&ours, &stock], how);
        let query = Program::querier(&args.iter().map(String::as_str).collect::<Vec<_>>())?;
        let api = Api::new(query.url("http"));
        await_both(&api).await?;
        let said = answers(&api).await?;
        ensure!(of(&said, "shared").as_array().is_some_and(|series| series.len() == 20), "{}", of(&said, "shared"));
        let exemplars = of(&said, "query_exemplars");
        ensure!(exemplars[1].as_array().is_some_and(|series| series.len() == 20), "{exemplars}");
        ensure!(of(&said, "metadata")[1]["shared"][0]["help"] == "What both have.", "{}", of(&said, "metadata"));
        // Ten minutes have 20 samples of each replica: those of one are taken, and one more where it changes, or all.
        let counts = api.instant("max(count_over_time(apart[10m]))", LAST_MS - 2 * STEP_MS).await?;
        let count: u32 = counts["data"]["result"][0]["value"][1].as_str().unwrap_or_default().parse()?;
        ensure!(if how == "chain" { count == 40 } else { (20..22).contains(&count) }, "{how}: {counts}");
        if std::env::var_os("THANOXIDE_STOCK_QUERIER").is_some() {
            let (_program, api) = stock_querier(&args)?;
            await_both(&api).await?;
            let theirs = answers(&api).await?;
            for ((question, ours), (_, stock)) in said.iter().zip(&theirs) {
                ensure!(ours == stock, "{how} {question}\nours  {ours}\nstock {stock}");
            }
            println!("{how}: {} answers are those of Thanos's querier", theirs.len());
        }
    }
    Ok(())
}
