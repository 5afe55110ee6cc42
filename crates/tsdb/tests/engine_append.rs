//! What the engine takes, what it refuses, and that it is all there after a restart.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::sync::Arc;

use engine_support::*;
use proptest::prelude::*;
use thanoxide_env::{FaultDisk, SystemDisk};
use thanoxide_model::histogram::{CounterResetHint, Span};
use thanoxide_model::sample::stale_nan;
use thanoxide_model::write_batch::{
    HistogramSample, HistogramValue, LabelSpan, SeriesSpan, TextSpan, WriteBatchBuilder,
};
use thanoxide_model::{Histogram, Labels, MatchKind, Matcher, STALE_NAN_BITS, Sample, TenantId, Verdict, WriteBatch};
use thanoxide_tsdb::chunk::{self, SampleValue};
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineError, EngineOptions, Rejected};

const HOUR_MS: i64 = 3_600_000;

fn verdicts(engine: &Engine, series: &[(Labels, Vec<(i64, f64)>)]) -> (u64, Vec<(u32, Verdict, u32)>) {
    let appended = append(engine, &batch(series)).unwrap();
    appended.ticket.wait().unwrap();
    (appended.accepted, appended.rejected.iter().map(|r| (r.series, r.verdict, r.samples)).collect())
}

#[test]
fn samples_are_judged_as_prometheus_does() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let (a, b) = (labels(1), labels(2));
    let base = 10 * HOUR_MS;
    assert_eq!(verdicts(&engine, &[(a.clone(), vec![(base, 1.0), (base + 10, 2.0)])]), (2, vec![]));
    // Equal to the newest: known. Another value: refused. Older: refused, wherever it is.
    assert_eq!(verdicts(&engine, &[(a.clone(), vec![(base + 10, 2.0)])]), (1, vec![]));
    assert_eq!(
        verdicts(&engine, &[(a.clone(), vec![(base + 10, 3.0), (base, 1.0), (base + 5, 1.0)])]),
        (0, vec![(0, Verdict::DuplicateForTimestamp, 1), (0, Verdict::OutOfOrder, 2)])
    );
    // Bits decide, not values.
    assert_eq!(verdicts(&engine, &[(b.clone(), vec![(base, f64::NAN)])]), (1, vec![]));
    assert_eq!(verdicts(&engine, &[(b.clone(), vec![(base, f64::NAN)])]), (1, vec![]));
    let other = verdicts(&engine, &[(b.clone(), vec![(base, stale_nan())])]);
    assert_eq!(other, (0, vec![(0, Verdict::DuplicateForTimestamp, 1)]));
    // Half a block behind the newest sample of all is the limit, fixed when the batch begins.
    let limit = base + 10 - HOUR_MS;
    let late =
        verdicts(&engine, &[(labels(3), vec![(limit - 1, 1.0), (limit, 1.0)]), (labels(4), vec![(limit - 1, 0.0)])]);
    assert_eq!(late, (1, vec![(0, Verdict::OutOfBounds, 1), (1, Verdict::OutOfBounds, 1)]));
    let jump = verdicts(&engine, &[(a.clone(), vec![(base + 5 * HOUR_MS, 1.0)]), (labels(3), vec![(base, 2.0)])]);
    assert_eq!(jump, (2, vec![]));
    assert_eq!(engine.reader(&tenant()).unwrap().stats().series, 3, "a series without a sample is not made");
}

#[test]
fn the_future_rejects_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions { too_far_in_future_ms: Some(600_000), ..options() };
    let engine = Engine::open(dir.path(), options, env(Arc::new(SystemDisk))).unwrap();
    // The clock stands at 0.
    let year = 365 * 24 * HOUR_MS;
    let poisoned = verdicts(&engine, &[(labels(1), vec![(year, 1.0)]), (labels(2), vec![(1000, 1.0), (600_001, 1.0)])]);
    assert_eq!(poisoned, (1, vec![(0, Verdict::TooFarInFuture, 1), (1, Verdict::TooFarInFuture, 1)]));
    assert_eq!(verdicts(&engine, &[(labels(1), vec![(600_000, 1.0)])]), (1, vec![]));
}

fn raw(label_sets: &[&[(&str, &str)]]) -> WriteBatch {
    let mut text = Vec::new();
    let mut batch = WriteBatch::default();
    for set in label_sets {
        let first = batch.labels.len() as u32;
        for (name, value) in *set {
            let mut span = |s: &str| {
                text.extend_from_slice(s.as_bytes());
                TextSpan { start: (text.len() - s.len()) as u32, len: s.len() as u32 }
            };
            let label = LabelSpan { name: span(name), value: span(value) };
            batch.labels.push(label);
        }
        let sample = batch.samples.len() as u32;
        batch.samples.push(Sample { timestamp_ms: 1000, value: 1.0 });
        let labels = first..batch.labels.len() as u32;
        batch.series.push(SeriesSpan {
            labels,
            samples: sample..sample + 1,
            histograms: 0..0,
            exemplars: 0..0,
            ..SeriesSpan::default()
        });
    }
    batch.text = text.into();
    batch
}

#[test]
fn labels_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let batch = raw(&[
        &[],
        &[("a", "")],
        &[("", "x")],
        &[("a", "1"), ("a", "2")],
        &[("b", "1"), ("a", "2")],
        &[("a", "1"), ("b", ""), ("c", "3")],
    ]);
    let appended = append(&engine, &batch).unwrap();
    let verdicts: Vec<_> = appended.rejected.iter().map(|r| r.verdict).collect();
    assert_eq!(appended.accepted, 1);
    use Verdict::*;
    assert_eq!(verdicts, [EmptyLabels, EmptyLabels, EmptyLabelName, DuplicateLabel, UnsortedLabels]);
    let kept = Labels::from_pairs([("a", "1"), ("c", "3")]);
    assert_eq!(read(&engine).into_keys().collect::<Vec<_>>(), [kept]);
}

#[test]
fn a_series_limit_spares_the_old_series() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let series = |t| (0..4).map(|i| (labels(i), vec![(t, 1.0)])).collect::<Vec<_>>();
    let limited = |t| {
        engine
            .append(&tenant(), &batch(&series(t)), AppendOptions { max_series: Some(3), ..AppendOptions::default() })
            .unwrap()
    };
    for t in [1, 2] {
        let appended = limited(t);
        assert_eq!(appended.accepted, 3);
        assert_eq!(appended.rejected, [Rejected { series: 3, verdict: Verdict::SeriesLimit, samples: 1 }]);
    }
}

#[test]
fn matchers_choose_series() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut model = Samples::new();
    let sets = [("a", "1", ""), ("b", "1", "x"), ("b", "2", ""), ("c", "2", "y")];
    let series: Vec<_> = sets
        .iter()
        .map(|(n, i, o)| (Labels::from_pairs([("__name__", *n), ("i", i), ("o", o)]), vec![(1000, 1.0)]))
        .collect();
    write(&engine, &series, &mut model).unwrap();
    let reader = engine.reader(&tenant()).unwrap();
    type Conditions = &'static [(MatchKind, &'static str, &'static str)];
    let cases: [(Conditions, &[usize]); 8] = [
        (&[(MatchKind::Equal, "__name__", "b")], &[1, 2]),
        (&[(MatchKind::Equal, "o", "")], &[0, 2]),
        (&[(MatchKind::NotEqual, "o", "")], &[1, 3]),
        (&[(MatchKind::NotEqual, "o", "x")], &[0, 2, 3]),
        (&[(MatchKind::Regexp, "__name__", "a|c")], &[0, 3]),
        (&[(MatchKind::NotRegexp, "__name__", "a|c"), (MatchKind::Equal, "i", "2")], &[2]),
        (&[(MatchKind::Regexp, "o", "x|")], &[0, 1, 2]),
        (&[(MatchKind::Equal, "missing", "x")], &[]),
    ];
    for (matchers, expected) in cases {
        let matchers: Vec<_> = matchers.iter().map(|(k, n, v)| Matcher::new(*k, n, v).unwrap()).collect();
        let selected = reader.select(&matchers, 0, 2000).unwrap();
        let found: Vec<_> = selected.into_iter().map(|s| s.labels).collect();
        let expected: Vec<_> = expected.iter().map(|i| series[*i].0.clone()).collect();
        assert_eq!(found, expected, "{matchers:?}");
    }
    let b = [Matcher::equal("__name__", "b")];
    assert_eq!(reader.label_values(b"i", &b, 0, 2000).unwrap(), [b"1".to_vec(), b"2".to_vec()]);
    assert_eq!(reader.label_values(b"i", &[], 3000, 4000).unwrap(), Vec::<Vec<u8>>::new());
    let a = [Matcher::equal("__name__", "a")];
    assert_eq!(reader.label_names(&a, 0, 2000).unwrap(), [b"__name__".to_vec(), b"i".to_vec()]);
}

#[test]
fn a_second_engine_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let second = Engine::open(dir.path(), options(), env(Arc::new(SystemDisk)));
    assert!(matches!(second, Err(EngineError::AlreadyLocked { .. })));
    drop(engine);
    open(dir.path());
}

#[test]
fn what_is_not_a_tenant_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("lost+found")).unwrap();
    std::fs::create_dir(dir.path().join("tenant-b")).unwrap();
    std::fs::write(dir.path().join("file"), b"x").unwrap();
    let engine = open(dir.path());
    assert_eq!(engine.tenants(), [TenantId::new("tenant-b").unwrap()]);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in [
        EngineOptions { out_of_order_window_ms: -1, ..options() },
        EngineOptions { out_of_order_chunk_samples: 256, ..options() },
    ] {
        let refused = Engine::open(dir.path(), wrong, env(Arc::new(SystemDisk)));
        assert!(matches!(refused, Err(EngineError::InvalidOption(_))));
    }
}

#[test]
fn a_batch_is_seen_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    // More than a reader takes under one lock.
    let series: Vec<_> = (0..5000).map(labels).collect();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for t in 0..60 {
                let batch: Vec<_> = series.iter().map(|labels| (labels.clone(), vec![(t, t as f64)])).collect();
                append(&engine, &engine_support::batch(&batch)).unwrap();
            }
        });
        while !writer.is_finished() {
            let mut counts: Vec<_> = read(&engine).values().map(|samples| samples.len()).collect();
            counts.dedup();
            assert!(counts.len() <= 1, "{counts:?}");
        }
    });
}

#[test]
fn a_repeated_sample_is_acknowledged_only_once_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(Arc::new(SystemDisk));
    let engine = Engine::open(dir.path(), options(), env(Arc::new(disk.clone()))).unwrap();
    let series = [(labels(1), vec![(1000, 1.0)])];
    let first = append(&engine, &batch(&series)).unwrap();
    disk.set_full(true);
    assert!(matches!(first.ticket.wait(), Err(EngineError::DiskFull { .. })));
    // Nothing is taken while the disk fails, and reads go on.
    assert!(matches!(append(&engine, &batch(&series)), Err(EngineError::DiskFull { .. })));
    assert_eq!(read(&engine).len(), 1);
    disk.set_full(false);
    let mut model = Samples::new();
    write(&engine, &series, &mut model).unwrap();
    drop(engine);
    assert_eq!(read(&open(dir.path())), model);
}

fn histogram(count: i64, hint: CounterResetHint) -> HistogramValue {
    HistogramValue::Int(Arc::new(Histogram {
        counter_reset_hint: hint,
        schema: 1,
        count: count as u64,
        sum: count as f64,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![count],
        ..Histogram::default()
    }))
}

/// Time and value of each sample of a series, histograms by their sums.
fn observed(engine: &Engine, labels: &Labels) -> Vec<(i64, &'static str, u64)> {
    let selected = engine.reader(&tenant()).unwrap().select(&[], i64::MIN, i64::MAX).unwrap();
    let series = selected.iter().find(|series| series.labels == *labels).unwrap();
    let samples = series.chunks.iter().flat_map(|chunk| chunk::samples(chunk).unwrap());
    let of = |sample: chunk::ChunkSample| match sample.value {
        SampleValue::Float(v) => (sample.timestamp_ms, "float", v.to_bits()),
        SampleValue::Histogram(h) => (sample.timestamp_ms, "int", h.sum.to_bits()),
        SampleValue::FloatHistogram(h) => (sample.timestamp_ms, "float histogram", h.sum.to_bits()),
    };
    samples.map(|sample| of(sample.unwrap())).collect()
}

#[test]
fn histograms_and_floats_of_one_series_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let (a, b) = (labels(1), labels(2));
    let float = |timestamp_ms, value| Sample { timestamp_ms, value };
    let int =
        |timestamp_ms, count| HistogramSample { timestamp_ms, value: histogram(count, CounterResetHint::Unknown) };
    let mut builder = WriteBatchBuilder::default();
    builder.push(&a, &[float(1, 1.0)]).push_histogram(int(2, 5));
    builder.push(&b, &[]).push_histogram(int(2, 7));
    builder.push(&a, &[float(3, 3.0)]).push_histogram(int(4, 6));
    // A stale marker takes the kind of the sample before.
    builder.push(&a, &[float(5, stale_nan())]);
    let batch = builder.build();
    let appended = append(&engine, &batch).unwrap();
    appended.ticket.wait().unwrap();
    assert_eq!((appended.accepted, appended.rejected.len()), (6, 0));
    let expected = [
        (1, "float", 1f64.to_bits()),
        (2, "int", 5f64.to_bits()),
        (3, "float", 3f64.to_bits()),
        (4, "int", 6f64.to_bits()),
        (5, "int", STALE_NAN_BITS),
    ];
    assert_eq!(observed(&engine, &a), expected);
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(observed(&engine, &a), expected);
    assert_eq!(observed(&engine, &b), [(2, "int", 7f64.to_bits())]);
    engine.flush_all();
    assert_eq!(observed(&engine, &a), expected);
}

#[test]
fn histograms_are_judged() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let push = |timestamp_ms, value: HistogramValue| {
        let mut builder = WriteBatchBuilder::default();
        builder.push(&labels(1), &[]).push_histogram(HistogramSample { timestamp_ms, value });
        let appended = append(&engine, &builder.build()).unwrap();
        appended.rejected.first().map_or(Verdict::Accepted, |rejected| rejected.verdict)
    };
    let unknown = CounterResetHint::Unknown;
    assert_eq!(push(10, histogram(5, unknown)), Verdict::Accepted);
    assert_eq!(push(10, histogram(5, CounterResetHint::NotCounterReset)), Verdict::Accepted);
    assert_eq!(push(10, histogram(6, unknown)), Verdict::DuplicateForTimestamp);
    assert_eq!(push(9, histogram(5, unknown)), Verdict::OutOfOrder);
    let contradiction = Histogram { count: 3, ..Histogram::default() };
    assert_eq!(push(11, HistogramValue::Int(Arc::new(contradiction))), Verdict::InvalidHistogram);
}

#[test]
fn a_removed_tenant_is_gone_and_may_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut model = Samples::new();
    write(&engine, &[(labels(1), vec![(1000, 1.0)])], &mut model).unwrap();
    let reader = engine.reader(&tenant()).unwrap();
    assert!(!engine.remove_tenant(&tenant()).unwrap(), "its head is not empty");
    engine.flush_all();
    assert!(engine.remove_tenant(&tenant()).unwrap());
    assert!(engine.tenants().is_empty());
    assert!(!dir.path().join("tenant-a").exists());
    // Who read before may end reading.
    assert_eq!(reader.select(&[], 0, 2000).unwrap().len(), 1);
    let mut model = Samples::new();
    write(&engine, &[(labels(2), vec![(500, 1.0)])], &mut model).unwrap();
    assert_eq!(read(&engine), model);
    drop(engine);
    assert_eq!(read(&open(dir.path())), model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn restarts_lose_nothing(
        steps in proptest::collection::vec(
            (proptest::collection::vec((0usize..6, 1i64..90_000, any::<u64>()), 1..12), 0u8..10), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = open(dir.path());
        let mut model = Samples::new();
        let mut now_ms = 0;
        for (samples, event) in steps {
            let mut series: Vec<(Labels, Vec<(i64, f64)>)> = Vec::new();
            for (i, step_ms, bits) in samples {
                now_ms += step_ms;
                series.push((labels(i), vec![(now_ms, f64::from_bits(bits))]));
            }
            write(&engine, &series, &mut model).unwrap();
            if event == 0 {
                drop(engine);
                engine = open(dir.path());
            }
            if event < 3 {
                prop_assert_eq!(read(&engine), model.clone());
            }
        }
        drop(engine);
        prop_assert_eq!(read(&open(dir.path())), model);
    }
}
