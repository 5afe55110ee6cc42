//! Queries that mean harm: deep, long, or no queries at all.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use thanoxide_promql::json::to_json;
use thanoxide_promql::parser::{MAX_DEPTH, ParseOptions, parse, parse_selector};
use thanoxide_promql::printer::pretty::pretty;
use thanoxide_promql::visit::selectors;

fn all_features() -> ParseOptions {
    ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..ParseOptions::default()
    }
}

/// Parses on a stack of the size that worker threads have, and uses the tree in every way.
fn survive(query: String) -> Result<(), String> {
    let run = move || {
        let expr = parse(&query, &all_features()).map_err(|e| e.to_string())?;
        assert!(!expr.to_string().is_empty() && !pretty(&expr).is_empty());
        to_json(&expr).map_err(|e| e.to_string())?;
        selectors(&expr);
        Ok(())
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap()
}

fn refused_fast(query: String) {
    let start = Instant::now();
    let parsed = parse(&query, &all_features());
    let taken = start.elapsed();
    let message = parsed.expect_err("too deep").to_string();
    assert!(message.ends_with("query is nested more than 512 levels deep"), "{message}");
    assert!(taken < Duration::from_millis(100), "{taken:?}");
    survive(query).unwrap_err();
}

#[test]
fn deep_queries_are_refused() {
    let n = 10_000;
    refused_fast(format!("{}1{}", "(".repeat(n), ")".repeat(n)));
    refused_fast(format!("{}a", "-".repeat(n)));
    refused_fast(format!("{}a", "a^".repeat(n)));
    refused_fast(format!("{}a", "abs(".repeat(n)));
    refused_fast(format!("{}a", "sum by (b) (".repeat(n)));
    refused_fast(format!("a{}", "[5m:]".repeat(n)));
    refused_fast(format!("a[{}5m]", "(".repeat(n)));
    refused_fast(format!("a[{}5m]", "-".repeat(n)));
    refused_fast(format!("a[5m{}]", "+5m".repeat(n)));
    refused_fast(format!("a[{}1]", "max_of(1,".repeat(n)));
    refused_fast(vec!["a"; 50_000].join(" or "));
}

#[test]
fn the_deepest_trees_fit_a_small_stack() {
    let n = MAX_DEPTH - 1;
    for query in [
        format!("{}a{}", "(".repeat(n), ")".repeat(n)),
        format!("{}a", "-".repeat(n)),
        format!("{}a", "a^".repeat(n)),
        format!("{}a{}", "abs(".repeat(n), ")".repeat(n)),
        format!("{}a{}", "sum(".repeat(n), ")".repeat(n)),
        format!("a[5m{}]", "+5m".repeat(n - 1)),
        vec!["a"; n].join(" or "),
    ] {
        survive(query).unwrap();
    }
}

#[test]
fn long_queries_are_parsed_fast() {
    let wide = format!("label_join(a, \"b\", \"c\"{})", ", \"d\"".repeat(200_000));
    let matchers = format!("a{{{}}}", "b!=\"c\",".repeat(150_000));
    let text = format!("count_values(\"{}\", a)", "x".repeat(1 << 20));
    let spaces = format!("a{}", " ".repeat(1 << 20));
    let labels = format!("a + on ({}) group_left ({}) b", "c,".repeat(250_000), "d,".repeat(250_000));
    for query in [wide, matchers, text, spaces, labels] {
        let start = Instant::now();
        parse(&query, &all_features()).unwrap();
        assert!(start.elapsed() < Duration::from_millis(500), "{} bytes: {:?}", query.len(), start.elapsed());
        survive(query).unwrap();
    }
}

/// Pieces of the language, so that random texts come further than to their first letter.
const PIECES: &[&str] = &[
    "a",
    "b:c",
    "sum",
    "topk",
    "rate",
    "info",
    "time()",
    "by",
    "on",
    "(a)",
    "group_left",
    "bool",
    "fill",
    "fill_left",
    "(1)",
    "offset",
    "@",
    "start()",
    "end",
    "step()",
    "range",
    "max_of",
    "anchored",
    "smoothed",
    "and",
    "or",
    "unless",
    "atan2",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    "!=",
    "<",
    ">=",
    "</",
    ">/",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "=",
    "=~",
    "!~",
    "\"x\"",
    "'\\xff'",
    "`z`",
    "5m",
    "1h30m",
    "0x1f",
    "1e3",
    "Inf",
    "#c\n",
    " ",
    "\u{fffd}",
    "é",
];

fn expression() -> impl Strategy<Value = String> {
    let selector = prop_oneof![
        Just("up".to_string()),
        Just(r#"{"a.b",c=~"x|y"}"#.to_string()),
        Just(r#"a{b="\xff\n\"",c!="é"}"#.to_string()),
        Just("a offset -1d12h".to_string()),
        Just("(a @ 1.5 offset (1m + step()))".to_string()),
        Just("a @ end()".to_string()),
        Just("on_x smoothed".to_string()),
    ];
    let number = any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| format!("{v}"));
    let vector = selector.prop_recursive(6, 40, 3, move |inner| {
        let op = prop::sample::select(vec!["+", "-", "*", "/", "%", "^", "atan2", "== bool", "<", ">/", "</", "!="]);
        let set = prop::sample::select(vec!["and", "or on (a)", "unless ignoring (b, c)"]);
        let matching = prop::sample::select(vec!["", "on (a) group_left ()", "ignoring () fill (1)", "fill_left (-2)"]);
        let range = prop::sample::select(vec!["[5m:]", "[1h:30s] @ start()", "[5m * 2:min_of(1, step())] offset 1m"]);
        prop_oneof![
            (inner.clone(), op, matching, inner.clone()).prop_map(|(l, op, m, r)| format!("{l} {op} {m} {r}")),
            (inner.clone(), set, inner.clone()).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            (inner.clone(), number.clone()).prop_map(|(e, n)| format!("{e} * {n}")),
            (inner.clone(), range).prop_map(|(e, range)| format!("max_over_time(({e}){range})")),
            inner.clone().prop_map(|e| format!("-{e}")),
            inner.clone().prop_map(|e| format!("({e})")),
            inner.clone().prop_map(|e| format!(r#"sum by (a, "b.c") ({e})"#)),
            inner.clone().prop_map(|e| format!("topk(5m, {e}) without (a)")),
            inner.clone().prop_map(|e| format!("clamp_min({e}, -Inf)")),
            inner.prop_map(|e| format!(r#"label_replace({e}, "\x00", `$1`, 'é"', "(.*)")"#)),
        ]
    });
    vector.boxed()
}

proptest! {
    #[test]
    fn arbitrary_text_is_survived(text in ".{0,60}") {
        let _ = parse(&text, &all_features());
        let _ = parse_selector(&text, &ParseOptions::default());
    }

    #[test]
    fn arbitrary_pieces_are_survived(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..16)) {
        for separator in ["", " "] {
            let text = pieces.join(separator);
            if let Ok(expr) = parse(&text, &all_features()) {
                let printed = expr.to_string();
                prop_assert_eq!(parse(&printed, &all_features()).unwrap().to_string(), printed);
            }
        }
    }

    #[test]
    fn what_is_printed_reads_back(text in expression()) {
        // Some are no queries: `up * 0 ^ on (a) up` matches a scalar, because `^` binds before `*`.
        let Ok(expr) = parse(&text, &all_features()) else { return Ok(()) };
        for printed in [expr.to_string(), pretty(&expr)] {
            let again = parse(&printed, &all_features()).unwrap();
            prop_assert_eq!(to_json(&again), to_json(&expr), "{}", printed);
        }
    }
}
