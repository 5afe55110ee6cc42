//! Every query of the corpora parses, and what is printed reads back.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde_json::Value;
use thanoxide_promql::parser::{ParseOptions, parse};

fn corpus(name: &str, extension: &str) -> Vec<PathBuf> {
    let root = std::env::var("THANOXIDE_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_string());
    let entries = std::fs::read_dir(Path::new(&root).join("corpora").join(name)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

fn check(query: &str, options: &ParseOptions) {
    let expr = parse(query, options).unwrap_or_else(|e| panic!("{query}: {e}"));
    let again = parse(&expr.to_string(), options).unwrap_or_else(|e| panic!("{expr}: {e}"));
    assert_eq!(again.to_string(), expr.to_string());
}

/// The query of a line such as `eval instant at 5m sum(x)` or `eval range from 0 to 5m step 1m sum(x)`.
fn evaluated(line: &str) -> Option<&str> {
    let (command, rest) = line.trim().split_once(' ')?;
    if !command.starts_with("eval") {
        return None;
    }
    let words = match rest.trim_start().split(' ').next()? {
        "range" => 7,
        _ => 3,
    };
    (0..words).try_fold(rest.trim_start(), |rest, _| Some(rest.split_once([' ', '\t'])?.1.trim_start()))
}

#[test]
fn every_query_of_the_test_scripts() {
    let options = ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..ParseOptions::default()
    };
    let mut count = 0;
    for path in corpus("promqltest", "test") {
        let script = std::fs::read_to_string(path).unwrap();
        for query in script.lines().filter_map(evaluated) {
            check(query, &options);
            count += 1;
        }
    }
    assert_eq!(count, 2214);
}

#[test]
fn every_query_of_the_dashboards() {
    let mut count = 0;
    for path in corpus("grafana", "json") {
        let dashboard: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for query in dashboard["queries"].as_array().into_iter().flatten() {
            check(query["expr"].as_str().unwrap(), &ParseOptions::default());
            count += 1;
        }
    }
    assert_eq!(count, 693);
}

#[test]
fn every_expression_of_the_mixin() {
    for path in corpus("mixin", "jsonl") {
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            check(case["expr"].as_str().unwrap(), &ParseOptions::default());
        }
    }
}
