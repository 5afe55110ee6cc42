//! Since when counters count, as remote write 2.0 and OTLP say it: kept with `st-storage`, forgotten without, and on their way from
//! router to ingester.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use prost::Message;
use serde_json::{Value, json};
use thanoxide_env::Env;
use thanoxide_model::TenantId;
use thanoxide_proto::write_v2::{Histogram, Request as WriteRequest, Sample, TimeSeries, histogram};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::{Request, read_all};
use thanoxide_tsdb::chunk::samples;
use thanoxide_tsdb::engine::{Engine, EngineOptions};

const KEPT: &str = "--enable-feature=st-storage";
const USED: &str = "--enable-feature=use-start-timestamps,promql-experimental-functions";
const MINUTE_MS: i64 = 60_000;
/// How long before the first sample the counters began.
const EARLIER_MS: i64 = 12_345;

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as i64)
}

/// Remote write 2.0: a counter and a histogram that say since when they count, and a counter that does not.
async fn send_v2(program: &Program, first_ms: i64) -> Result<()> {
    let symbols = ["", "__name__", "told", "told_histogram", "untold"].map(|text| Bytes::from_static(text.as_bytes()));
    let times = [first_ms, first_ms + MINUTE_MS];
    let start = first_ms - EARLIER_MS;
    let float = |start_timestamp| {
        times.map(|timestamp| Sample { value: timestamp as f64, timestamp, start_timestamp }).to_vec()
    };
    let histogram = |timestamp| Histogram {
        count: Some(histogram::Count::CountInt(1)),
        zero_count: Some(histogram::ZeroCount::ZeroCountInt(1)),
        timestamp,
        start_timestamp: start,
        ..Histogram::default()
    };
    let timeseries = vec![
        TimeSeries { labels_refs: vec![1, 2], samples: float(start), ..TimeSeries::default() },
        TimeSeries { labels_refs: vec![1, 3], histograms: times.map(histogram).to_vec(), ..TimeSeries::default() },
        TimeSeries { labels_refs: vec![1, 4], samples: float(0), ..TimeSeries::default() },
    ];
    let message = WriteRequest { symbols: symbols.to_vec(), timeseries }.encode_to_vec();
    let request = Request::of(&message)?
        .header("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
        .header("X-Prometheus-Remote-Write-Version", "2.0.0");
    let answer = request.send(&reqwest::Client::new(), &program.url("remote-write")).await?;
    ensure!(answer.status / 100 == 2, "{answer:?}");
    Ok(())
}

async fn send_otlp(program: &Program, first_ms: i64) -> Result<()> {
    let nanos = |ms: i64| format!("{}", ms * 1_000_000);
    let point =
        |ms| json!({"timeUnixNano": nanos(ms), "startTimeUnixNano": nanos(first_ms - EARLIER_MS), "asInt": "5"});
    let sum = json!({"aggregationTemporality": 2, "dataPoints": [point(first_ms), point(first_ms + MINUTE_MS)]});
    let metrics = json!([{"name": "exported", "sum": sum}]);
    let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).to_string();
    let request = Request::new(body.into_bytes()).path("/api/v1/otlp").header("Content-Encoding", "");
    let request = request.header("Content-Type", "application/json");
    let answer = request.send(&reqwest::Client::new(), &program.url("remote-write")).await?;
    ensure!(answer.status / 100 == 2, "{answer:?}");
    Ok(())
}

/// What `start_timestamp` says of a selector, in milliseconds.
async fn start_of(api: &Api, selector: &str, time_ms: i64) -> Result<i64> {
    let answer = api.instant(&format!("start_timestamp({selector})"), time_ms).await?;
    let value = answer["data"]["result"][0]["value"][1].as_str().with_context(|| format!("{selector}: {answer}"))?;
    Ok((value.parse::<f64>()? * 1000.0).round() as i64)
}

async fn check(program: &Program, first_ms: i64, start_ms: i64) -> Result<()> {
    let api = Api::new(program.url("http"));
    for (selector, want) in [("told", start_ms), ("told_histogram", start_ms), ("exported", start_ms), ("untold", 0)] {
        for time_ms in [first_ms, first_ms + MINUTE_MS] {
            ensure!(start_of(&api, selector, time_ms).await? == want, "{selector}: not {want}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_kept_where_they_are_asked_for() -> Result<()> {
    let first_ms = now_ms() - 5 * MINUTE_MS;
    for (args, start_ms) in
        [(&["--no-self-scrape", KEPT, USED][..], first_ms - EARLIER_MS), (&["--no-self-scrape", USED], 0)]
    {
        let dir = tempfile::tempdir()?;
        let mut program = Program::standalone(dir.path(), args)?;
        send_v2(&program, first_ms).await?;
        send_otlp(&program, first_ms).await?;
        check(&program, first_ms, start_ms).await?;
        program.kill()?;
        check(&Program::standalone(dir.path(), args)?, first_ms, start_ms).await?;
    }
    Ok(())
}

/// The start times in the directory of an ingester that was killed.
fn starts_in(dir: &Path) -> Result<BTreeSet<i64>> {
    let options = EngineOptions { store_start_times: true, ..EngineOptions::default() };
    let engine = Engine::open(dir, options, Env::system())?;
    let reader = engine.reader(&TenantId::new("default-tenant")?).context("no tenant")?;
    let mut starts = BTreeSet::new();
    for series in reader.select(&[], i64::MIN, i64::MAX)? {
        for chunk in &series.chunks {
            for sample in samples(chunk)? {
                starts.insert(sample?.start_timestamp_ms);
            }
        }
    }
    Ok(starts)
}

fn ring(nodes: &[&Program]) -> String {
    let endpoint =
        |node: &&Program| json!({"address": node.address("grpc"), "capnproto_address": node.address("capnproto")});
    format!("--receive.hashrings={}", json!([{"endpoints": nodes.iter().map(endpoint).collect::<Vec<Value>>()}]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_hands_them_on() -> Result<()> {
    let (first_ms, dir) = (now_ms() - 5 * MINUTE_MS, tempfile::tempdir()?);
    let started = first_ms - EARLIER_MS;
    let cases: [(&str, &[&str], BTreeSet<i64>); 3] = [
        ("asked", &[KEPT], [0, started].into()),
        ("not-asked", &[], [0].into()),
        // Stock's schema has no place for them.
        ("capnproto", &[KEPT, "--receive.replication-protocol=capnproto"], [0].into()),
    ];
    for (name, args, want) in cases {
        let data = dir.path().join(name);
        let mut ingester = Program::receiver(&data, &[KEPT])?;
        let ring = ring(&[&ingester]);
        let router = Program::receiver(&dir.path().join("router"), &[&[ring.as_str()], args].concat())?;
        send_v2(&router, first_ms).await?;
        send_otlp(&router, first_ms).await?;
        ingester.kill()?;
        let found = starts_in(&data)?;
        ensure!(found == want, "{name}: {found:?}, not {want:?}");
    }
    Ok(())
}

/// Stock reads past what it does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_stock_ingester_takes_the_samples_all_the_same() -> Result<()> {
    let (first_ms, dir) = (now_ms() - 5 * MINUTE_MS, tempfile::tempdir()?);
    let ingester = Program::stock_ring(&dir.path().join("stock"), &[])?;
    let router = Program::receiver(&dir.path().join("router"), &[&ring(&[&ingester]), KEPT])?;
    send_v2(&router, first_ms).await?;
    let all = read_all(ingester.address("grpc"))?;
    ensure!(all.len() == 3 && all.values().all(|samples| samples.len() == 2), "{all:?}");
    Ok(())
}
