//! Exemplars through whole programs: answers are Prometheus's, and none that was acknowledged is lost to a kill.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, WriteBatch};
use thanoxide_testkit::api::{Api, seconds};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;

const START_MS: i64 = 1_767_225_600_000;
const ROUNDS: i64 = 12;
const STOP: Duration = Duration::from_secs(60);

/// One round: some series with a sample each, and none to three exemplars, some of which come twice or with a fraction.
fn round(number: i64) -> WriteBatch {
    let mut builder = WriteBatchBuilder::default();
    let t = START_MS + number * 15_000;
    for series in 0..6 {
        let name = if series % 2 == 0 { "requests_total" } else { "latency_bucket" };
        let labels = [("__name__", name.to_string()), ("path", format!("/{series}")), ("quote", "a\"b\\<é>".into())];
        builder.push(&Labels::from_pairs(labels), &[Sample { timestamp_ms: t, value: (number * series) as f64 }]);
        for exemplar in 0..(number + series) % 4 {
            let id = Labels::from_pairs([("trace_id", format!("{number}-{series}-{exemplar}"))]);
            let value = [0.25, 1e-9, 1e21, 7.0][(number + exemplar) as usize % 4];
            builder.push_exemplar(&id, t - 14_000 + exemplar * 137, value);
            if exemplar == 1 {
                builder.push_exemplar(&id, t - 14_000 + exemplar * 137, value);
            }
        }
    }
    builder.build()
}

/// The next sample of a series, with an exemplar older than those that it has.
fn late() -> WriteBatch {
    let mut builder = WriteBatchBuilder::default();
    let labels = [("__name__", "requests_total"), ("path", "/2"), ("quote", "a\"b\\<é>")];
    let sample = Sample { timestamp_ms: START_MS + ROUNDS * 15_000, value: 1.0 };
    builder.push(&Labels::from_pairs(labels), &[sample]);
    builder.push_exemplar(&Labels::from_pairs([("trace_id", "late")]), START_MS, 1.0);
    builder.build()
}

/// The data of an answer without the labels that only ours has, by labels. Thanos writes values without exponents,
/// Prometheus with them.
fn series(answer: &Value) -> Vec<(String, Value)> {
    let mut all: Vec<_> = answer["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|series| {
            let mut labels = series["seriesLabels"].clone();
            if let Some(labels) = labels.as_object_mut() {
                labels.remove("tenant_id");
            }
            let mut exemplars = series["exemplars"].clone();
            for exemplar in exemplars.as_array_mut().into_iter().flatten() {
                let value: Option<f64> = exemplar["value"].as_str().and_then(|text| text.parse().ok());
                exemplar["value"] = json!(value);
            }
            (labels.to_string(), exemplars)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn exemplar_count(answer: &Value) -> usize {
    series(answer).iter().map(|(_, exemplars)| exemplars.as_array().map_or(0, Vec::len)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_prometheus() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let ours = Program::standalone(&dir.path().join("ours"), &["--no-self-scrape"])?;
    let theirs = Program::oracle(&dir.path().join("theirs"), &[])?;
    let senders = [
        Sender::new(format!("{}/api/v1/receive", ours.url("remote-write"))),
        Sender::new(format!("{}/api/v1/write", theirs.url("http"))),
    ];
    for number in 0..ROUNDS {
        for sender in &senders {
            let answer = sender.send(&round(number)).await?;
            ensure!((200..300).contains(&answer.status), "{answer:?}");
        }
    }
    let (ours, theirs) = (Api::new(ours.url("http")), Api::new(theirs.url("http")));
    let (early, late) = (seconds(START_MS), seconds(START_MS + 60_000));
    let mut seen = 0;
    for (query, range) in [
        ("requests_total", None),
        ("rate(requests_total{path=~\"/[24]\"}[5m]) / ignoring(path) latency_bucket", None),
        ("latency_bucket{path!=\"/1\"}", Some((&early, &late))),
        ("histogram_quantile(0.9, sum by (path) (rate(latency_bucket[1m])))", Some((&late, &late))),
        ("nothing", None),
    ] {
        let mut params = vec![("query", query)];
        params.extend(range.into_iter().flat_map(|(start, end)| [("start", start.as_str()), ("end", end.as_str())]));
        let (status, mine) = ours.get("query_exemplars", &params).await?;
        let stock = theirs.get("query_exemplars", &params).await?;
        assert_eq!((status, series(&mine)), (stock.0, series(&stock.1)), "{query} {range:?}");
        assert_eq!(ours.post("query_exemplars", &params).await?, (status, mine.clone()));
        seen += exemplar_count(&mine);
    }
    ensure!(seen > 100, "{seen} exemplars compared");
    for params in [[("query", "{"), ("start", "0")], [("query", "a"), ("start", "x")], [("query", "a b"), ("end", "1")]]
    {
        let (status, mine) = ours.get("query_exemplars", &params).await?;
        let (stock_status, stock) = theirs.get("query_exemplars", &params).await?;
        assert_eq!((status, &mine["errorType"]), (stock_status, &stock["errorType"]), "{params:?}: {mine} {stock}");
    }
    Ok(())
}

/// Stock's engine on what ours left, and ours on what stock left.
#[tokio::test(flavor = "multi_thread")]
async fn prometheus_goes_on_with_them() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let params = [("query", "{path=~\".+\"}")];
    let mut ours = Program::standalone(dir.path(), &["--no-self-scrape"])?;
    let sender = Sender::new(format!("{}/api/v1/receive", ours.url("remote-write")));
    for number in 0..ROUNDS {
        ensure!(sender.send(&round(number)).await?.status == 200);
    }
    let before = Api::new(ours.url("http")).get("query_exemplars", &params).await?.1;
    ensure!(exemplar_count(&before) > 50, "{before}");
    ours.terminate(STOP)?;
    let mut stock = Program::oracle(&dir.path().join("tsdb/default-tenant"), &[])?;
    let theirs = Api::new(stock.url("http")).get("query_exemplars", &params).await?.1;
    assert_eq!(series(&theirs), series(&before));
    let sender = Sender::new(format!("{}/api/v1/write", stock.url("http")));
    let answer = sender.send(&round(ROUNDS)).await?;
    ensure!((200..300).contains(&answer.status), "{answer:?}");
    let theirs = Api::new(stock.url("http")).get("query_exemplars", &params).await?.1;
    stock.terminate(STOP)?;
    let ours = Program::standalone(dir.path(), &["--no-self-scrape"])?;
    let after = Api::new(ours.url("http")).get("query_exemplars", &params).await?.1;
    assert_eq!(series(&after), series(&theirs));
    Ok(())
}

fn ingester(dir: &Path, name: &str, grpc: &str, capnproto: &str) -> Result<Program> {
    let args = [
        "receive".to_string(),
        "--http-address=127.0.0.1:0".into(),
        format!("--grpc-address={grpc}"),
        format!("--receive.capnproto-address={capnproto}"),
        "--remote-write.address=127.0.0.1:0".into(),
        "--tsdb.max-exemplars=1000".into(),
        format!("--label=replica=\"{name}\""),
        format!("--tsdb.path={}", dir.join(name).display()),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut program = Program::thanoxide(&args, &["http", "grpc", "capnproto", "remote-write"])?;
    program.await_line("changing probe status", "status=ready")?;
    Ok(program)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_keeps_them_over_a_kill() -> Result<()> {
    for protocol in ["protobuf", "capnproto"] {
        ring(protocol).await?;
    }
    Ok(())
}

async fn ring(protocol: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let names = ["one", "two"];
    let start = |name: &str| ingester(dir.path(), name, "127.0.0.1:0", "127.0.0.1:0");
    let mut nodes = [start(names[0])?, start(names[1])?];
    let endpoint =
        |node: &Program| json!({"address": node.address("grpc"), "capnproto_address": node.address("capnproto")});
    let rings = json!([{"endpoints": nodes.iter().map(endpoint).collect::<Vec<_>>()}]).to_string();
    let router = Program::receiver(
        &dir.path().join("router"),
        &[
            &format!("--receive.hashrings={rings}"),
            "--receive.hashrings-algorithm=ketama",
            "--receive.replication-factor=2",
            &format!("--receive.replication-protocol={protocol}"),
        ],
    )?;
    let endpoints: Vec<String> = nodes.iter().map(|node| format!("--endpoint={}", node.address("grpc"))).collect();
    let mut args = vec!["--query.replica-label=replica", "--query.replica-label=receive_replica"];
    args.extend(endpoints.iter().map(String::as_str));
    let query = Program::querier(&args)?;
    let sender = Sender::new(format!("{}/api/v1/receive", router.url("remote-write")));
    let mut sent = 0;
    for number in 0..ROUNDS {
        let batch = round(number);
        let answer = sender.send(&batch).await?;
        ensure!(answer.status == 200, "{answer:?}; log:\n{}", router.log());
        sent += batch.exemplars.len();
    }
    let late = sender.send(&late()).await?;
    // Over Cap'n Proto nodes say of what kind a refusal is, and no more.
    let told = if protocol == "protobuf" { "add 1 exemplars: out of order exemplar" } else { "data already exists" };
    ensure!(late.status == 409 && late.text.contains(told), "{late:?}");
    let api = Api::new(query.url("http"));
    let params = [("query", "{path=~\".+\"}")];
    let (_, before) = api.get("query_exemplars", &params).await?;
    ensure!(before["warnings"].is_null(), "{before}");
    // Those that come twice in a request are there once.
    let doubled: usize = (0..ROUNDS).flat_map(|n| (0..6).map(move |s| usize::from((n + s) % 4 > 1))).sum();
    assert_eq!((exemplar_count(&before), series(&before).len()), (sent - doubled, 6), "{before}");
    let (_, one) = api.get("query_exemplars", &[("query", "{path=\"/1\",tenant_id=\"other\"}")]).await?;
    assert_eq!(one["data"], json!([]), "another tenant's");
    for (node, name) in nodes.iter_mut().zip(names) {
        let addresses = (node.address("grpc").to_string(), node.address("capnproto").to_string());
        node.kill()?;
        *node = ingester(dir.path(), name, &addresses.0, &addresses.1)?;
    }
    let (_, after) = api.get("query_exemplars", &params).await?;
    assert_eq!(after, before);
    Ok(())
}
