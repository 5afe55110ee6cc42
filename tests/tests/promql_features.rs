//! What is experimental in PromQL, in the real programs: refused unless it is switched on, then answered.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thanoxide_model::{Labels, METRIC_NAME, Sample};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;

const ALL: &str = "--enable-feature=promql-experimental-functions,promql-extended-range-selectors,\
                   promql-binop-fill-modifiers,promql-per-step-stats";

/// A query, what it says while it is switched off, and its only value once it is on.
const QUERIES: [(&str, &str, &str); 7] = [
    ("limitk(1, a)", "limitk() is experimental and must be enabled", "4"),
    ("mad_over_time(a[5m])", "function \"mad_over_time\" is not enabled", "1"),
    ("max_of(1, 2)", "function \"max_of\" is not enabled", "2"),
    ("sort_by_label(a, \"x\")", "function \"sort_by_label\" is not enabled", "4"),
    ("increase(a[1m] anchored)", "anchored modifier is experimental and not enabled", "1"),
    ("increase(a[1m] smoothed)", "smoothed modifier is experimental and not enabled", "1"),
    ("a + fill(1) b", "binop fill modifiers are experimental and not enabled", "5"),
];

fn start_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A whole minute, a while ago.
    now.map_or(0, |now| now.as_millis() as i64) / 60_000 * 60_000 - 1_800_000
}

fn value(answer: &Value) -> &Value {
    let result = &answer["data"]["result"];
    if answer["data"]["resultType"] == "scalar" { &result[1] } else { &result[0]["value"][1] }
}

/// 0 to 4, a minute apart.
async fn write(program: &Program, start_ms: i64) -> Result<()> {
    let sender = Sender::new(format!("{}/api/v1/receive", program.url("remote-write")));
    let sample = |i: i64| Sample { timestamp_ms: start_ms + i * 60_000, value: i as f64 };
    let labels = Labels::from_pairs([(METRIC_NAME, "a"), ("x", "1")]);
    sender.write(&[(labels, (0..5).map(sample).collect())]).await
}

async fn is_refused(api: &Api, time_ms: i64) -> Result<()> {
    for (query, refusal, _) in QUERIES {
        let answer = api.instant(query, time_ms).await?;
        ensure!(answer["error"].as_str().is_some_and(|error| error.contains(refusal)), "{query}: {answer}");
        ensure!(answer["errorType"] == "bad_data", "{query}: {answer}");
    }
    Ok(())
}

async fn is_answered(api: &Api, time_ms: i64) -> Result<()> {
    for (query, _, wanted) in QUERIES {
        let answer = api.instant(query, time_ms).await?;
        ensure!(value(&answer) == wanted, "{query}: {answer}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn experiments_are_off_until_they_are_switched_on() -> Result<()> {
    let (dir, start_ms) = (tempfile::tempdir()?, start_ms());
    let end_ms = start_ms + 240_000;
    let off = Program::standalone(dir.path(), &["--no-self-scrape"])?;
    write(&off, start_ms).await?;
    is_refused(&Api::new(off.url("http")), end_ms).await?;
    let endpoint = format!("--endpoint={}", off.address("grpc"));
    let querier = |args: &[&str]| Program::querier(&[&[endpoint.as_str()], args].concat());
    // Unknown names are told of and passed over; names are separate flags or separated by commas.
    let unknown = querier(&["--enable-feature=promql-from-tomorrow", "--enable-feature=promql-at-modifier"])?;
    is_refused(&Api::new(unknown.url("http")), end_ms).await?;
    ensure!(unknown.log().contains("Unknown option for --enable-feature"), "{}", unknown.log());
    let some = querier(&["--enable-feature=promql-experimental-functions"])?;
    let api = Api::new(some.url("http"));
    ensure!(value(&api.instant("limitk(1, a)", end_ms).await?) == "4", "{}", some.log());
    ensure!(api.instant("a + fill(1) b", end_ms).await?["status"] == "error", "more is on than was named");
    is_answered(&Api::new(querier(&[ALL])?.url("http")), end_ms).await
}

#[tokio::test(flavor = "multi_thread")]
async fn standalone_has_the_same_switches() -> Result<()> {
    let (dir, start_ms) = (tempfile::tempdir()?, start_ms());
    let on = Program::standalone(dir.path(), &["--no-self-scrape", ALL])?;
    write(&on, start_ms).await?;
    let api = Api::new(on.url("http"));
    is_answered(&api, start_ms + 240_000).await?;

    // Samples by step come with `stats=all` only.
    let (start, end) = (format!("{}", start_ms / 1000), format!("{}", start_ms / 1000 + 240));
    for (stats, by_step) in [("true", Value::Null), ("all", json!([1, 2, 3]))] {
        let params =
            [("query", "count_over_time(a[5m])"), ("start", &start), ("end", &end), ("step", "60"), ("stats", stats)];
        let (_, answer) = api.get("query_range", &params).await?;
        let samples = &answer["data"]["stats"]["samples"];
        let steps = &samples["totalQueryableSamplesPerStep"];
        ensure!(samples["totalQueryableSamples"] == 15, "{answer}");
        ensure!(steps.is_null() == by_step.is_null(), "{answer}");
        for (index, wanted) in by_step.as_array().into_iter().flatten().enumerate() {
            ensure!(
                steps[index][0] == json!(start_ms / 1000 + index as i64 * 60) && steps[index][1] == *wanted,
                "{answer}"
            );
        }
    }
    Ok(())
}
