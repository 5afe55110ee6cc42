//! Selections: a part of the series, of their contents, or of the work.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use engine_support::{append, batch, labels, open, tenant};
use proptest::prelude::*;
use thanoxide_model::{Labels, MatchKind, Matcher};
use thanoxide_tsdb::engine::{Engine, EngineError, SelectedSeries, Selection, Shown, TenantReader};

const HOUR_MS: i64 = 3_600_000;
const SERIES: usize = 60;

/// A third of the series in a block, a third in the head, a third in both; of some something is deleted, of one all.
fn filled(engine: &Engine) -> TenantReader {
    let write = |series: std::ops::Range<usize>, t: i64| {
        let samples = |i: i64| (t + i * 15_000, i as f64);
        let series: Vec<_> = series.map(|n| (labels(n), (0..150).map(samples).collect())).collect();
        append(engine, &batch(&series)).unwrap().ticket.wait().unwrap();
    };
    write(0..40, HOUR_MS);
    engine.flush_tenant(&tenant()).unwrap();
    write(20..SERIES, 6 * HOUR_MS);
    let delete = |n: usize, from_ms: i64| {
        let matcher = Matcher::new(MatchKind::Equal, "i", n.to_string()).unwrap();
        engine.delete(&tenant(), &[matcher], from_ms, i64::MAX).unwrap();
    };
    delete(3, 0);
    delete(30, 6 * HOUR_MS + 1_000_000);
    delete(50, 6 * HOUR_MS + 1_000_000);
    engine.reader(&tenant()).unwrap()
}

fn everything<'a>() -> Selection<'a> {
    Selection::new(&[], i64::MIN, i64::MAX)
}

fn bare(series: &[SelectedSeries]) -> Vec<&Labels> {
    series.iter().map(|series| &series.labels).collect()
}

#[test]
fn a_part_is_what_it_is_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let reader = filled(&engine);
    let all = reader.select(&[], i64::MIN, i64::MAX).unwrap();
    assert_eq!(all.len(), SERIES - 1);
    let labels_only = reader.select_some(&Selection { labels_only: true, ..everything() }).unwrap();
    assert_eq!(bare(&labels_only), bare(&all));
    assert!(labels_only.iter().all(|series| series.chunks.is_empty()));
    for limit in [1, 7, SERIES - 1, SERIES + 10] {
        let some = reader.select_some(&Selection { limit, ..everything() }).unwrap();
        assert_eq!(some, all[..limit.min(all.len())]);
        let names = reader.select_some(&Selection { limit, labels_only: true, ..everything() }).unwrap();
        assert_eq!(bare(&names), bare(&some));
    }
    let odd = |labels: &Labels| labels.get("i").is_some_and(|i| i.last().is_some_and(|digit| digit % 2 == 1));
    let kept = reader.select_some(&Selection { keep: Some(&odd), ..everything() }).unwrap();
    let expected: Vec<_> = all.iter().filter(|series| odd(&series.labels)).cloned().collect();
    assert_eq!(kept, expected);
    assert!(kept.len() > 20);
}

#[test]
fn series_come_in_the_order_of_the_labels_that_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let reader = filled(&engine);
    let all = reader.select(&[], i64::MIN, i64::MAX).unwrap();
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<String>>();
    for names in [names(&[]), names(&["i"]), names(&["__name__"]), names(&["__name__", "i", "none"])] {
        for (shown, named) in [(Shown::Only(&names), true), (Shown::Without(&names), false)] {
            let of = |labels: &Labels| Labels::from_pairs(labels.iter().filter(|(n, _)| has(&names, n) == named));
            let mut expected: Vec<SelectedSeries> =
                all.iter().map(|s| SelectedSeries { labels: of(&s.labels), ..s.clone() }).collect();
            expected.sort_by(|a, b| a.labels.cmp(&b.labels));
            let found = reader.select_some(&Selection { shown, ..everything() }).unwrap();
            assert_eq!(found, expected, "{shown:?}");
            let some = reader.select_some(&Selection { shown, limit: 2, ..everything() }).unwrap();
            let sets: Vec<_> = expected.chunk_by(|a, b| a.labels == b.labels).take(2).collect();
            assert_eq!(some, sets.concat(), "{shown:?}");
        }
    }
}

fn has(names: &[String], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes() == name)
}

#[test]
fn too_much_and_what_nobody_waits_for_ends() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let reader = filled(&engine);
    let few = reader.select_some(&Selection { max_bytes: 1000, ..everything() });
    assert!(matches!(few, Err(EngineError::TooManyBytes { max_bytes: 1000 })), "{few:?}");
    assert!(reader.select_some(&Selection { max_bytes: 1 << 20, ..everything() }).is_ok());
    // Of labels there is no limit of bytes.
    assert!(reader.select_some(&Selection { max_bytes: 0, limit: 5, labels_only: true, ..everything() }).is_ok());
    let (cancelled, looked_at) = (AtomicBool::new(false), Cell::new(0));
    let leave = |_: &Labels| {
        looked_at.set(looked_at.get() + 1);
        cancelled.store(looked_at.get() > 45, Ordering::Relaxed);
        true
    };
    let answer = reader.select_some(&Selection { keep: Some(&leave), cancelled: Some(&cancelled), ..everything() });
    assert!(matches!(answer, Err(EngineError::Cancelled)), "{answer:?}");
    assert!(looked_at.get() < 50, "{looked_at:?} series are looked at although nobody waits");
}

proptest! {
    #[test]
    fn an_estimate_is_never_too_low(patterns in proptest::collection::vec(0usize..6, 0..3)) {
        thread_local!(static FILLED: (tempfile::TempDir, Engine) = {
            let dir = tempfile::tempdir().unwrap();
            let engine = open(dir.path());
            filled(&engine);
            (dir, engine)
        });
        let of = |pattern: usize| match pattern {
            0 => Matcher::new(MatchKind::Equal, "__name__", "metric"),
            1 => Matcher::new(MatchKind::Equal, "i", "7"),
            2 => Matcher::new(MatchKind::Regexp, "i", "1|2|33"),
            3 => Matcher::new(MatchKind::Regexp, "i", "1.*"),
            4 => Matcher::new(MatchKind::NotEqual, "i", "5"),
            _ => Matcher::new(MatchKind::Equal, "i", "no such"),
        };
        let matchers: Vec<Matcher> = patterns.into_iter().map(|pattern| of(pattern).unwrap()).collect();
        FILLED.with(|(_, engine)| {
            let reader = engine.reader(&tenant()).unwrap();
            let found = reader.select(&matchers, i64::MIN, i64::MAX).unwrap().len() as u64;
            let estimate = reader.estimate(&matchers, i64::MIN, i64::MAX).unwrap();
            prop_assert!(estimate >= found, "{estimate} for {found}");
            Ok(())
        })?;
    }
}
