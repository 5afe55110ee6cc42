//! Prometheus's own engine goes on where ours stopped.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/oracle.rs"]
mod oracle;

use std::path::Path;

use engine_support::{Samples, contains, open, read, tenant, write};
use thanoxide_model::Labels;

const START_MS: i64 = 1_700_000_000_000;

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "m".to_string()), ("series", series.to_string())])
}

fn rounds(series: usize, from: i64, count: i64) -> Vec<(Labels, Vec<(i64, f64)>)> {
    let samples = |s: usize| (from..from + count).map(move |i| (START_MS + i * 15_000, (s as i64 * 7 + i) as f64));
    (0..series).map(|s| (labels(s), samples(s).collect())).collect()
}

/// A batch in the oracle's words.
fn spoken(series: &[(Labels, Vec<(i64, f64)>)]) -> String {
    let of = |labels: &Labels, t: i64, v: f64| {
        let series = String::from_utf8_lossy(labels.value("series")).into_owned();
        format!(r#"{{"series":{series},"t":{t},"bits":{}}}"#, v.to_bits())
    };
    let all: Vec<_> = series.iter().flat_map(|(l, samples)| samples.iter().map(move |(t, v)| of(l, *t, *v))).collect();
    format!("{{\"batch\":[{}]}}\n", all.join(","))
}

/// Runs Prometheus's engine over a directory; the last line of its answer is a dump.
fn prometheus(dir: &Path, operations: &str) -> Samples {
    let answer = oracle::run(&["engine", dir.to_str().unwrap(), "0", "0", "7200000"], operations);
    let last: Vec<String> = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    let mut samples = Samples::new();
    for line in last {
        let fields: Vec<_> = line.split(' ').collect();
        let (t, bits) = (fields[1].parse().unwrap(), u64::from_str_radix(fields[3], 16).unwrap());
        samples.entry(labels(fields[0].parse().unwrap())).or_default().insert(t, bits);
    }
    samples
}

#[test]
fn prometheus_goes_on_with_an_exported_head() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut model = Samples::new();
    let engine = open(ours.path());
    for i in 0..10 {
        write(&engine, &rounds(50, i * 40, 40), &mut model).unwrap();
    }
    let exported = engine.export_stock_tenant(&tenant(), theirs.path()).unwrap().unwrap();
    assert_eq!(exported.series, 50);
    assert!(exported.chunks > 100);
    assert!(engine.export_stock_tenant(&tenant(), theirs.path()).is_err(), "it overwrites nothing");
    assert_eq!(prometheus(theirs.path(), "{\"do\":\"dump\"}\n"), model);
    // Both go on alike.
    let next = rounds(52, 400, 10);
    write(&engine, &next, &mut model).unwrap();
    let goes_on = spoken(&next) + "{\"do\":\"reopen\"}\n{\"do\":\"dump\"}\n";
    assert_eq!(prometheus(theirs.path(), &goes_on), model);
    assert_eq!(read(&engine), model);
    // And ours takes it back.
    let back = tempfile::tempdir().unwrap();
    std::fs::rename(theirs.path(), back.path().join(tenant().as_str())).unwrap();
    std::fs::create_dir(theirs.path()).unwrap();
    let engine = open(back.path());
    let have = read(&engine);
    assert!(contains(&have, &model) && contains(&model, &have));
    write(&engine, &rounds(52, 410, 10), &mut model).unwrap();
    assert_eq!(read(&engine), model);
}
/// What a hand-back costs and whether it is one: ours, Prometheus's engine, ours, and again.
#[test]
fn ours_then_prometheus_then_ours() {
    let dir = tempfile::tempdir().unwrap();
    let tenant_dir = dir.path().join(tenant().as_str());
    let mut model = Samples::new();
    let mut from = 0;
    for round in 0..3 {
        let engine = open(dir.path());
        assert_eq!(read(&engine), model, "round {round}: ours has all");
        for _ in 0..3 {
            write(&engine, &rounds(20 + round, from, 40), &mut model).unwrap();
            from += 40;
        }
        assert!(engine.hand_back().unwrap().series >= 20);
        drop(engine);
        // Nobody came between: ours goes on, and hands back once more.
        let engine = open(dir.path());
        assert!(!tenant_dir.join("wal").exists() && !tenant_dir.join("handed-back").exists());
        assert_eq!(read(&engine), model);
        engine.hand_back().unwrap();
        drop(engine);
        let next = rounds(25, from, 30);
        from += 30;
        for (labels, samples) in &next {
            model.entry(labels.clone()).or_default().extend(samples.iter().map(|(t, v)| (*t, v.to_bits())));
        }
        let theirs = prometheus(&tenant_dir, &(spoken(&next) + "{\"do\":\"dump\"}\n"));
        assert_eq!(theirs, model, "round {round}: Prometheus has all");
    }
    assert_eq!(read(&open(dir.path())), model);
}

/// What Prometheus deleted stays deleted, although our own log still has it.
#[test]
fn what_prometheus_deleted_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let tenant_dir = dir.path().join(tenant().as_str());
    let mut model = Samples::new();
    let engine = open(dir.path());
    write(&engine, &rounds(5, 0, 50), &mut model).unwrap();
    engine.hand_back().unwrap();
    drop(engine);
    let (min, max) = (START_MS + 10 * 15_000, START_MS + 20 * 15_000);
    let delete = format!("{{\"do\":\"delete\",\"series\":3,\"min\":{min},\"max\":{max}}}\n{{\"do\":\"dump\"}}\n");
    model.get_mut(&labels(3)).unwrap().retain(|t, _| !(min..=max).contains(t));
    assert_eq!(prometheus(&tenant_dir, &delete), model);
    assert_eq!(read(&open(dir.path())), model);
}
