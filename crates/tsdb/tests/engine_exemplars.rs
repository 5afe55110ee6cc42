//! Exemplars: what is taken, what is read, and that it is all there after a crash, a snapshot, a cut and a take-over.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;
#[path = "support/golden.rs"]
mod golden;

use std::path::Path;
use std::slice::from_ref;
use std::sync::Arc;

use engine_support::{env, labels, options, tenant};
use thanoxide_env::SystemDisk;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Exemplar, Labels, Matcher, Sample, SeriesExemplars, Verdict};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions, ExemplarStats};

const START_MS: i64 = 1_700_000_000_000;

fn open(dir: &Path, max_exemplars: usize) -> Engine {
    let options = EngineOptions { max_exemplars, ..options() };
    Engine::open(dir, options, env(Arc::new(SystemDisk))).unwrap()
}

fn exemplar(t: i64, value: f64) -> Exemplar {
    Exemplar { labels: Labels::from_pairs([("trace_id", format!("t{t}"))]), timestamp_ms: START_MS + t, value }
}

/// Appends one sample, where a time is given, and exemplars; gives verdicts and how many were not looked at.
fn write(engine: &Engine, series: usize, sample: Option<i64>, exemplars: &[Exemplar]) -> (Vec<(Verdict, u32)>, u64) {
    let mut builder = WriteBatchBuilder::default();
    let sample = sample.map(|t| Sample { timestamp_ms: START_MS + t, value: 1.0 });
    builder.push(&labels(series), sample.as_slice());
    for exemplar in exemplars {
        builder.push_exemplar(&exemplar.labels, exemplar.timestamp_ms, exemplar.value);
    }
    let appended = engine.append(&tenant(), &builder.build(), AppendOptions::default()).unwrap();
    appended.ticket.wait().unwrap();
    (appended.rejected.iter().map(|r| (r.verdict, r.samples)).collect(), appended.dropped_exemplars)
}

fn all(engine: &Engine) -> Vec<SeriesExemplars> {
    engine.reader(&tenant()).unwrap().exemplars(&[vec![]], i64::MIN, i64::MAX)
}

fn of(series: usize, exemplars: &[Exemplar]) -> SeriesExemplars {
    SeriesExemplars { labels: labels(series), exemplars: exemplars.to_vec() }
}

#[test]
fn verdicts_are_stocks() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), 100);
    let (a, b, c) = (exemplar(10, 1.0), exemplar(20, 2.0), exemplar(5, 1.0));
    assert_eq!(write(&engine, 1, Some(0), &[a.clone(), b.clone()]), (vec![], 0));
    assert_eq!(write(&engine, 1, None, from_ref(&b)), (vec![], 0), "again");
    let late = vec![(Verdict::OutOfOrderExemplar, 2)];
    assert_eq!(write(&engine, 1, Some(1), &[a.clone(), c.clone()]), (late, 0));
    let long = Exemplar { labels: Labels::from_pairs([("trace_id", "x".repeat(121))]), ..exemplar(30, 1.0) };
    assert_eq!(write(&engine, 1, None, &[long]).0, [(Verdict::ExemplarLabelLength, 1)]);
    // Judged before the batch: what is late only beside its own batch goes without a word.
    assert_eq!(write(&engine, 2, Some(0), &[b.clone(), a.clone()]), (vec![], 0));
    // No series, or its last sample was refused: nobody looks at them.
    assert_eq!(write(&engine, 3, None, from_ref(&a)), (vec![], 1));
    assert_eq!(write(&engine, 1, Some(0), &[exemplar(40, 1.0)]), (vec![(Verdict::OutOfOrder, 1)], 1));
    assert_eq!(all(&engine), [of(1, &[a.clone(), b.clone()]), of(2, from_ref(&b))]);
    let stats = engine.reader(&tenant()).unwrap().exemplar_stats();
    let oldest_ms = Some(a.timestamp_ms);
    assert_eq!(stats, ExemplarStats { max: 100, stored: 3, series: 2, oldest_ms, appended: 3, out_of_order: 3 });
    // Any set of matchers will do; both ends of the range belong to it.
    let reader = engine.reader(&tenant()).unwrap();
    let sets = [vec![Matcher::equal("i", "1")], vec![Matcher::equal("i", "7")]];
    assert_eq!(reader.exemplars(&sets, START_MS + 11, START_MS + 20), [of(1, &[b])]);
    assert_eq!(reader.exemplars(&sets, START_MS + 10, START_MS + 19), [of(1, &[a])]);
    assert_eq!(reader.exemplars(&sets, START_MS + 11, START_MS + 19), []);
}

#[test]
fn without_room_they_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), 0);
    assert_eq!(write(&engine, 1, Some(0), &[exemplar(1, 1.0), exemplar(0, 1.0)]), (vec![], 2));
    assert_eq!(all(&engine), []);
}

#[test]
fn a_crash_loses_none_whatever_was_written_when() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path(), 40);
    for step in 0..30_i64 {
        for series in 0..3 {
            let (t, value) = (step * 1000, series as f64);
            assert_eq!(write(&engine, series, Some(t), &[exemplar(t, value), exemplar(t + 1, value)]), (vec![], 0));
        }
        match step % 10 {
            3 => engine.snapshot().unwrap(),
            5 | 8 => {
                let before = all(&engine);
                drop(engine);
                engine = open(dir.path(), 40);
                assert_eq!(all(&engine), before, "after step {step}");
            }
            _ => {}
        }
    }
    let before = all(&engine);
    assert_eq!(before.iter().map(|series| series.exemplars.len()).sum::<usize>(), 40);
    drop(engine);
    assert_eq!(open(dir.path(), 1000).open_report().counts.undecodable, 0);
    // With less room the last ones stay.
    let engine = open(dir.path(), 4);
    let kept: Vec<_> = all(&engine).iter().flat_map(|series| series.exemplars.clone()).collect();
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|e| e.timestamp_ms >= START_MS + 29_000), "{kept:?}");
    drop(engine);
    assert_eq!(all(&open(dir.path(), 0)), []);
}

#[test]
fn a_series_that_went_into_a_block_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), 10);
    write(&engine, 1, Some(0), &[exemplar(1, 1.0)]);
    for hours in 1..8_i64 {
        write(&engine, 2, Some(hours * 3_600_000), &[exemplar(hours * 3_600_000, 1.0)]);
    }
    let before = all(&engine);
    engine.maintain(&|_, _| true);
    assert_eq!(engine.reader(&tenant()).unwrap().stats().series, 1, "the other one is in a block only");
    engine.snapshot().unwrap();
    assert_eq!((all(&engine), before.len()), (before.clone(), 2));
    drop(engine);
    assert_eq!(all(&open(dir.path(), 10)), before);
}

#[test]
fn a_stock_head_has_them_and_gets_them() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(ours.path(), 10);
    for t in 0..12 {
        write(&engine, t % 3, Some(t as i64), &[exemplar(t as i64, t as f64)]);
    }
    let before = all(&engine);
    engine.export_stock_tenant(&tenant(), &theirs.path().join(tenant().as_str())).unwrap().unwrap();
    assert_eq!(all(&open(theirs.path(), 10)), before);
    // They are durable before the stock log goes.
    assert_eq!(all(&open(theirs.path(), 10)), before);
}

#[test]
fn those_of_a_killed_prometheus_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    golden::unpack("prometheus", &dir.path().join(tenant().as_str()));
    let answer: serde_json::Value = serde_json::from_slice(&golden::gunzip(
        &golden::shared().join("golden/datadirs/prometheus.after-takeover-exemplars.json.gz"),
    ))
    .unwrap();
    let text = |v: &serde_json::Value| v.as_str().unwrap().to_string();
    let pairs = |v: &serde_json::Value| Labels::from_pairs(v.as_object().unwrap().iter().map(|(n, v)| (n, text(v))));
    let exemplar = |v: &serde_json::Value| Exemplar {
        labels: pairs(&v["labels"]),
        timestamp_ms: (v["timestamp"].as_f64().unwrap() * 1000.0).round() as i64,
        value: text(&v["value"]).parse().unwrap(),
    };
    let series = |v: &serde_json::Value| SeriesExemplars {
        labels: pairs(&v["seriesLabels"]),
        exemplars: v["exemplars"].as_array().unwrap().iter().map(exemplar).collect(),
    };
    let want: Vec<_> = answer["data"].as_array().unwrap().iter().map(series).collect();
    assert!(want.iter().map(|series| series.exemplars.len()).sum::<usize>() > 100);
    for _ in 0..2 {
        let engine = open(dir.path(), 100_000);
        let sets = [vec![Matcher::equal("__name__", "load_total")]];
        // Stock forgets with a restart what is older than its head; we do not.
        let from_ms = want[0].exemplars[0].timestamp_ms;
        assert_eq!(engine.reader(&tenant()).unwrap().exemplars(&sets, from_ms, i64::MAX), want);
    }
}
