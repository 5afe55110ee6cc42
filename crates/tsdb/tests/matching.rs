//! Matchers over a head and over a block give what the labels say.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::collections::BTreeSet;

use engine_support::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use thanoxide_model::{Labels, MatchKind, Matcher};
use thanoxide_tsdb::engine::Engine;

const RANGE_MS: i64 = 2 * 3_600_000;
const BASE_MS: i64 = 1_000 * RANGE_MS;
const SERIES: u64 = 1500;

/// One label with a value for each series, some with few values, one that only some series have.
fn series(i: u64) -> Labels {
    let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let mut pairs = vec![
        ("__name__", format!("http_{}_total", mixed % 7)),
        ("instance", format!("10.{}.{}.{}:9090", mixed % 5, i % 50, i % 250)),
        ("pod", format!("app{}-{:08x}-{}", i % 61, mixed, if i.is_multiple_of(97) { "é\n" } else { "x" })),
        ("status", ["200", "404", "500"][(mixed % 3) as usize].to_string()),
    ];
    if i.is_multiple_of(3) {
        pairs.push(("le", format!("0.{}", i % 12)));
    }
    Labels::from_pairs(pairs)
}

fn matchers() -> impl Strategy<Value = Vec<Matcher>> {
    let name = prop::sample::select(vec!["__name__", "instance", "pod", "status", "le", "absent"]);
    let kind =
        prop::sample::select(vec![MatchKind::Equal, MatchKind::NotEqual, MatchKind::Regexp, MatchKind::NotRegexp]);
    let value = prop::sample::select(vec![
        "",
        "200",
        "404|500",
        ".*",
        ".+",
        "http_.*",
        ".*-6c.*",
        "app1-.*",
        "app1.*-x",
        "10\\.3\\..*",
        "5..",
        "2..|4..",
        "(?i)APP1.*",
        ".*[02468]-x",
        "0.3",
        "0\\.[1-3]",
        "|0.6",
        "http_(1|2)_total",
        ".*é.*",
        "app(1|2)?-.+",
        "[^x]+",
        "a{0}",
        "http_1_total|",
        "no such",
        ".*a.*b.*",
        "..*",
        "x*",
    ]);
    let matcher = (name, kind, value).prop_map(|(name, kind, value)| Matcher::new(kind, name, value).unwrap());
    prop::collection::vec(matcher, 0..4)
}

fn write_all(engine: &Engine, series_of: std::ops::Range<u64>, t: i64) {
    let samples: Vec<_> = series_of.map(|i| (series(i), vec![(t, i as f64)])).collect();
    append(engine, &batch(&samples)).unwrap().ticket.wait().unwrap();
}

fn check(engine: &Engine, present: &[Labels], matchers: &[Matcher], times: (i64, i64)) {
    let reader = engine.reader(&tenant()).unwrap();
    let mut want: Vec<&Labels> = present.iter().filter(|l| matchers.iter().all(|m| m.matches_labels(l))).collect();
    want.sort();
    let found = reader.select(matchers, times.0, times.1).unwrap();
    assert_eq!(found.iter().map(|s| &s.labels).collect::<Vec<_>>(), want, "{matchers:?}");
    let names: BTreeSet<Vec<u8>> = want.iter().flat_map(|l| l.iter().map(|(n, _)| n.to_vec())).collect();
    assert_eq!(reader.label_names(matchers, times.0, times.1).unwrap(), Vec::from_iter(names), "{matchers:?}");
    for name in ["__name__", "pod", "le", "absent"] {
        let values: BTreeSet<Vec<u8>> = want.iter().filter_map(|l| l.get(name).map(<[u8]>::to_vec)).collect();
        let found = reader.label_values(name.as_bytes(), matchers, times.0, times.1).unwrap();
        assert_eq!(found, Vec::from_iter(values), "{name} {matchers:?}");
    }
}

/// Asked again and again while series come and go: verdicts are kept and must stay right.
#[test]
fn a_head_and_its_block_answer_what_the_labels_say() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let strategy = prop::collection::vec(matchers(), 60);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let all: Vec<Vec<Matcher>> = strategy.new_tree(&mut runner).unwrap().current();
    let mut present: Vec<Labels> = Vec::new();
    for part in 0..3 {
        write_all(&engine, part * SERIES / 3..(part + 1) * SERIES / 3, BASE_MS);
        present.extend((part * SERIES / 3..(part + 1) * SERIES / 3).map(series));
        all.iter().for_each(|matchers| check(&engine, &present, matchers, (BASE_MS, BASE_MS)));
    }
    // Two thirds of the series end here and go into a block; others come and take their numbers.
    write_all(&engine, SERIES / 2..SERIES, BASE_MS + 2 * RANGE_MS);
    write_all(&engine, SERIES..SERIES + 300, BASE_MS + 2 * RANGE_MS);
    let done = engine.maintain(&|_: &thanoxide_model::TenantId, _| false);
    assert!(done.failed.is_empty() && !done.cut.is_empty());
    write_all(&engine, SERIES + 300..SERIES + 900, BASE_MS + 2 * RANGE_MS + 1);
    let newer: Vec<Labels> = (SERIES / 2..SERIES + 900).map(series).collect();
    for matchers in &all {
        check(&engine, &present, matchers, (BASE_MS, BASE_MS));
        check(&engine, &newer, matchers, (BASE_MS + 2 * RANGE_MS, BASE_MS + 2 * RANGE_MS + 1));
        check(&engine, &present, matchers, (BASE_MS, BASE_MS));
    }
}
