//! Parser, printer and JSON against the answers of Prometheus 3.14 for the same expressions.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use thanoxide_promql::ast::Expr;
use thanoxide_promql::json::to_json;
use thanoxide_promql::parser::{ParseError, ParseOptions, parse};
use thanoxide_promql::printer::pretty::pretty;

fn shared(path: &str) -> std::path::PathBuf {
    let root = std::env::var("THANOXIDE_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_string());
    std::path::Path::new(&root).join(path)
}

fn cases() -> Vec<Value> {
    let file = std::fs::File::open(shared("golden/expr/expr.jsonl.gz")).unwrap();
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn all_features() -> ParseOptions {
    ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..ParseOptions::default()
    }
}

fn error_body(e: &ParseError) -> String {
    let error = format!("invalid parameter \"query\": {e}");
    format!(r#"{{"status":"error","errorType":"bad_data","error":{}}}"#, html_escaped(&error))
}

/// JSON as Go's encoders write it.
fn html_escaped(text: &str) -> String {
    let escaped = serde_json::to_string(text).unwrap();
    escaped.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The body of `/api/v1/parse_query`.
fn parse_query(parsed: &Result<Expr, ParseError>) -> String {
    match parsed {
        Err(e) => error_body(e),
        Ok(expr) => match to_json(expr) {
            Ok(data) => format!(r#"{{"status":"success","data":{data}}}"#),
            Err(e) => format!("v1.Response.Data: {e}"),
        },
    }
}

#[test]
fn trees_texts_and_errors_are_those_of_prometheus() {
    let (mut valid, mut invalid, mut differences) = (0, 0, Vec::new());
    for case in cases() {
        let query = case["expr"].as_str().unwrap();
        let parsed = parse(query, &all_features());
        let formatted = match &parsed {
            Ok(expr) => pretty(expr),
            Err(e) => error_body(e),
        };
        let is_valid = case["valid"].as_bool().unwrap();
        *(if is_valid { &mut valid } else { &mut invalid }) += 1;
        // One answer is given although the tree has no JSON: the text stands in a success there.
        let formatted = match (&parsed, is_valid) {
            (Ok(_), false) => format!(r#"{{"status":"success","data":{}}}"#, html_escaped(&formatted)),
            _ => formatted,
        };
        for (what, ours) in [("parse_query", parse_query(&parsed)), ("format_query", formatted)] {
            if case[what].as_str() != Some(&ours) {
                differences.push(json!({ "query": query, "what": what, "ours": ours, "stock": case[what] }));
            }
        }
        if let Some(stock) = case["default_flags_parse_query"].as_str() {
            let ours = parse_query(&parse(query, &ParseOptions::default()));
            if ours != stock {
                differences.push(json!({ "query": query, "what": "default", "ours": ours, "stock": stock }));
            }
        }
    }
    for difference in differences.iter().take(40) {
        println!("{difference:#}");
    }
    assert_eq!((valid, invalid), (2499, 574));
    assert_eq!(differences.len(), 0, "differences");
}

#[test]
fn what_is_printed_reads_back() {
    for case in cases() {
        let Ok(expr) = parse(case["expr"].as_str().unwrap(), &all_features()) else { continue };
        for text in [expr.to_string(), pretty(&expr)] {
            let again = parse(&text, &all_features()).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(again.to_string(), expr.to_string());
        }
    }
}
