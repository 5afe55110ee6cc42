//! Answers of Prometheus over a block, compared value by value to the last bit.

#![allow(clippy::unwrap_used)]

#[path = "support/golden.rs"]
mod golden;
#[path = "support/memory.rs"]
mod memory;

use golden::{canonical, data, notes, read_gz, series, shared};
use memory::Memory;
use serde_json::Value as Json;
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::{Engine, EngineOptions, Query, QueryError, QueryOptions, QueryResult};

/// How many of the golden answers must be met; only rises.
const FLOOR: usize = 2982;
const START_TIMESTAMPS_FLOOR: usize = 224;

fn block(case: &str) -> Memory {
    let directory = shared(&format!("golden/blocks/{case}/expected"));
    let block = std::fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
    Memory::new(series(&read_gz(&block.join("series.jsonl.gz"))))
}

fn time_ms(text: &Json) -> Option<i64> {
    let text = text.as_str()?;
    match text.parse::<f64>() {
        Ok(seconds) => Some((seconds * 1000.0).round() as i64),
        Err(_) => text.parse::<jiff::Timestamp>().ok().map(|t| t.as_millisecond()),
    }
}

fn parse_options(server: &str) -> ParseOptions {
    let experimental = server != "def";
    ParseOptions {
        experimental_functions: experimental,
        extended_range_selectors: experimental,
        fill_modifiers: experimental,
        ..ParseOptions::default()
    }
}

fn duration_ms(text: &Json) -> Option<i64> {
    let text = text.as_str()?;
    match text.parse::<f64>() {
        Ok(seconds) => Some((seconds * 1000.0).round() as i64),
        Err(_) => thanoxide_model::parse_duration_ms(text).ok(),
    }
}

/// Whether the engine is asked at all; the HTTP API answers other requests itself.
fn reaches_the_engine(case: &Json) -> bool {
    let params = &case["params"];
    let optional = ["timeout", "lookback_delta"];
    if optional.iter().any(|p| !params[*p].is_null() && duration_ms(&params[*p]).is_none()) {
        return false;
    }
    if !params["limit"].is_null() {
        return false;
    }
    let all_parse = ["time", "start", "end"].iter().all(|p| params[*p].is_null() || time_ms(&params[*p]).is_some());
    match case["endpoint"].as_str() {
        Some("query") => all_parse && time_ms(&params["time"]).is_some(),
        Some("query_range") => {
            let times = (time_ms(&params["start"]), time_ms(&params["end"]), duration_ms(&params["step"]));
            let (Some(start_ms), Some(end_ms), Some(step_ms)) = times else { return false };
            all_parse && start_ms <= end_ms && step_ms > 0 && (end_ms - start_ms) / step_ms <= 11_000
        }
        _ => false,
    }
}

fn ask(case: &Json, source: &Memory) -> Result<QueryResult, QueryError> {
    let (server, params) = (case["server"].as_str().unwrap(), &case["params"]);
    let text = params["query"].as_str().unwrap_or_default();
    let expr = parse(text, &parse_options(server))
        .map_err(|e| QueryError::BadData(format!("invalid parameter \"query\": {e}")))?;
    let engine = Engine::new(EngineOptions {
        delayed_name_removal: server == "delayed",
        use_start_timestamps: server == "st",
        ..EngineOptions::default()
    });
    let lookback_ms = duration_ms(&params["lookback_delta"]);
    let options = QueryOptions { lookback_ms, ..QueryOptions::default() };
    let query = Query { text, expr: &expr };
    let prefixed = |error| match error {
        QueryError::BadData(text) => QueryError::BadData(format!("invalid parameter \"query\": {text}")),
        other => other,
    };
    if case["endpoint"] == "query" {
        return engine.instant(source, query, time_ms(&params["time"]).unwrap(), &options).map_err(prefixed);
    }
    let step_ms = duration_ms(&params["step"]).unwrap();
    let (start_ms, end_ms) = (time_ms(&params["start"]).unwrap(), time_ms(&params["end"]).unwrap());
    engine.range(source, query, start_ms, end_ms, step_ms, &options).map_err(prefixed)
}

/// What differs, if anything does.
fn compare(case: &Json, source: &Memory) -> Result<(), String> {
    let expected: Json = serde_json::from_str(case["body"].as_str().unwrap()).unwrap();
    let query = case["params"]["query"].as_str().unwrap_or_default();
    match ask(case, source) {
        Err(error) => {
            let (kind, text) = (error.error_type(), error.to_string());
            let same = expected["errorType"] == kind && expected["error"] == text.as_str();
            if same { Ok(()) } else { Err(format!("error {kind}: {text}\n  expected {}", brief(&expected))) }
        }
        Ok(result) => {
            let (got, want) = (data(&result.value, query), canonical(expected["data"].clone(), query));
            if got != want {
                return Err(format!("got {}\n  want {}", differing(&got, &want), brief(&expected["error"])));
            }
            let got = (sorted(result.warnings), sorted(result.infos));
            let want = (notes(&expected["warnings"]), notes(&expected["infos"]));
            if got == want || want.0.len() > 10 || want.1.len() > 10 {
                return Ok(());
            }
            Err(format!("notes {got:?}\n  want {want:?}"))
        }
    }
}

fn sorted(mut notes: Vec<String>) -> Vec<String> {
    notes.sort();
    notes
}

fn brief(value: &Json) -> String {
    value.to_string().chars().take(400).collect()
}

fn differing(got: &Json, want: &Json) -> String {
    let (got, want) = (got.to_string(), want.to_string());
    let at = got.bytes().zip(want.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        let from = at.saturating_sub(120);
        String::from_utf8_lossy(&text.as_bytes()[from.min(text.len())..(at + 120).min(text.len())]).into_owned()
    };
    format!("{}\n  want {}", around(&got), around(&want))
}

fn run(file: &str, source: impl Fn(&str) -> Option<Memory>, floor: usize) {
    let text = read_gz(&shared(file));
    let cases: Vec<Json> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let cases: Vec<&Json> = cases.iter().filter(|c| reaches_the_engine(c)).collect();
    let source = source("").unwrap();
    let mut failures = Vec::new();
    for case in &cases {
        if let Err(difference) = compare(case, &source) {
            failures.push(format!("#{} {} {}\n  {difference}", case["id"], case["server"], case["params"]));
        }
    }
    let equal = cases.len() - failures.len();
    println!("{file}: {equal} of {} equal", cases.len());
    failures.iter().for_each(|f| println!("{f}"));
    assert!(equal >= floor, "{equal} answers are right, {floor} were");
}

#[test]
fn answers_are_prometheus_answers() {
    run("golden/promql/queries.jsonl.gz", |_| Some(block("promql")), FLOOR);
}

#[test]
fn answers_with_start_timestamps() {
    run("golden/promql/start-timestamps.jsonl.gz", |_| Some(block("prom-xor2-st")), START_TIMESTAMPS_FLOOR);
}
