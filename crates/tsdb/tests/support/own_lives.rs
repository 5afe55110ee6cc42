//! What is done to engines whose files are golden. Nothing here may change: the files would.

use std::path::Path;
use std::sync::Arc;

use thanoxide_env::{Env, ManualClock, SeededRandom, SimDisk};
use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Span};
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{Histogram, Labels, Matcher, MetricMetadata, MetricType, STALE_NAN_BITS, Sample};
use thanoxide_tsdb::engine::{Engine, EngineOptions};

use crate::engine_support::{append, labels, options, tenant};
use crate::own_files::ROOT;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// Where a block of two hours begins.
const START_MS: i64 = 236_112 * 120 * MINUTE_MS;

/// An engine with some days to a block, so that a chunk may span more than a file of chunks takes.
pub(crate) fn open(disk: &SimDisk, store_start_times: bool, block_days: i64) -> Engine {
    let block_duration_ms = if block_days > 0 { block_days * DAY_MS } else { 120 * MINUTE_MS };
    let out_of_order_window_ms = 60 * MINUTE_MS;
    let options =
        EngineOptions { out_of_order_window_ms, max_exemplars: 10, store_start_times, block_duration_ms, ..options() };
    let (clock, random) = (ManualClock::at(START_MS), SeededRandom::new(1 + u64::from(store_start_times)));
    let env = Env { clock: Arc::new(clock), disk: Arc::new(disk.clone()), random: Arc::new(random) };
    Engine::open(Path::new(ROOT), options, env).unwrap()
}

/// One request.
#[derive(Default)]
struct Request(WriteBatchBuilder);

impl Request {
    fn float(mut self, series: usize, timestamp_ms: i64, value: f64, start_ms: i64) -> Self {
        self.0.push(&labels(series), &[Sample { timestamp_ms, value }]).set_sample_start(start_ms);
        self
    }

    fn histogram(mut self, series: usize, timestamp_ms: i64, value: HistogramValue, start_ms: i64) -> Self {
        self.0.push(&labels(series), &[]).push_histogram(HistogramSample { timestamp_ms, value });
        self.0.set_histogram_start(start_ms);
        self
    }

    /// An exemplar of the series before.
    fn exemplar(mut self, timestamp_ms: i64, value: f64) -> Self {
        self.0.push_exemplar(&Labels::from_pairs([("trace_id", "0af7651916cd43dd")]), timestamp_ms, value);
        self
    }

    fn metadata(mut self, family: &str, kind: MetricType) -> Self {
        let said = MetricMetadata { kind, help: format!("µs of {family}"), unit: "seconds".to_string() };
        self.0.push_metadata(family, &said);
        self
    }

    fn send(self, engine: &Engine) {
        let appended = append(engine, &self.0.build()).unwrap();
        assert_eq!((appended.rejected, appended.dropped_exemplars), (Vec::new(), 0));
        appended.ticket.wait().unwrap();
    }
}

fn histogram(n: i64, custom: bool) -> Histogram {
    Histogram {
        counter_reset_hint: if n % 4 == 3 { CounterResetHint::Gauge } else { CounterResetHint::Unknown },
        schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { 2 },
        zero_threshold: if custom { 0.0 } else { 1e-128 },
        zero_count: if custom { 0 } else { 2 },
        count: (n + 5) as u64 + if custom { 0 } else { 3 },
        sum: n as f64 / 3.0,
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![1, n + 1, -n],
        negative_spans: if custom { Vec::new() } else { vec![Span { offset: -2, length: 1 }] },
        negative_buckets: if custom { Vec::new() } else { vec![1] },
        custom_values: if custom { Arc::from([0.005, 0.01, 0.1, 1.0, 2.5]) } else { Arc::default() },
    }
}

fn int(n: i64, custom: bool) -> HistogramValue {
    HistogramValue::Int(Arc::new(histogram(n, custom)))
}

fn float(n: i64, custom: bool) -> HistogramValue {
    HistogramValue::Float(Arc::new(histogram(n, custom).to_float()))
}

/// A log with each kind of frame.
pub(crate) fn logged() -> SimDisk {
    let disk = SimDisk::default();
    let engine = open(&disk, false, 0);
    // What becomes blocks, in order and late.
    Request::default().float(0, START_MS, 1.5, 0).send(&engine);
    Request::default().float(0, START_MS - MINUTE_MS, 2.5, 0).send(&engine);
    engine.flush_tenant(&tenant()).unwrap();
    let at = |minutes: i64| START_MS + minutes * MINUTE_MS;
    let mut values = Request::default();
    let some = [0.0, -0.0, 7.0, -300.0, 0.1, 12.625, 1e300, f64::from_bits(STALE_NAN_BITS), f64::from(1.1f32)];
    for (series, value) in some.into_iter().enumerate() {
        values = values.float(series, at(10), value, 0);
    }
    values.exemplar(at(10), 0.25).metadata("metric", MetricType::Counter).send(&engine);
    let both = |minutes, n| {
        let request = Request::default().histogram(20, at(minutes), int(n, false), 0);
        request.histogram(21, at(minutes), float(n, false), 0).histogram(22, at(minutes), int(n, true), 0)
    };
    both(11, 1).histogram(23, at(11), float(2, true), 0).float(0, at(11), 1.0, 0).send(&engine);
    both(12, 3).float(0, at(12), 2.0, 0).send(&engine);
    let late = Request::default().float(0, at(9), 0.5, 0).float(1, at(9) + 1, 0.75, 0);
    late.histogram(20, at(9), int(5, false), 0).histogram(21, at(9), float(6, false), 0).send(&engine);
    // One of each of two series, in order and late.
    engine.delete(&tenant(), &[Matcher::equal("i", "0")], at(9), at(11)).unwrap();
    drop(engine);
    let engine = open(&disk, true, 0);
    let started = Request::default().float(0, at(13), 3.0, at(2)).float(30, at(13), 4.0, 0);
    started.histogram(20, at(13), int(7, false), at(3)).histogram(31, at(13), float(8, true), at(13)).send(&engine);
    let late = Request::default().float(30, at(12), 3.0, at(4)).histogram(31, at(12), float(9, true), at(5));
    late.send(&engine);
    engine.close().unwrap();
    disk
}

/// A snapshot with each kind of frame and of chunk, and a log behind it.
pub(crate) fn saved() -> SimDisk {
    let disk = SimDisk::default();
    let engine = open(&disk, false, 200);
    let at = |minutes: i64| START_MS + minutes * MINUTE_MS;
    // A chunk longer than a file of chunks takes, and one that begins the series anew.
    Request::default().float(9, at(0) - 60 * DAY_MS, 1.0, 0).send(&engine);
    Request::default().float(9, at(0), 2.0, 0).send(&engine);
    Request::default().histogram(9, at(1), int(1, false), 0).send(&engine);
    // A full chunk of few bytes, an open one of which a piece is full, and a full one with a piece.
    for minute in 0..140 {
        let (wide, mut request) = ((minute as f64 + 0.1).sqrt(), Request::default().float(0, at(minute), 1.0, 0));
        if minute >= 100 {
            request = request.float(1, at(minute), wide, 0).float(7, at(minute), -wide, 0);
        }
        request.send(&engine);
    }
    Request::default().histogram(7, at(140), int(0, false), 0).send(&engine);
    let at = |minutes: i64| at(minutes + 140);
    Request::default().float(2, at(0), 0.5, 0).exemplar(at(0), 0.25).metadata("b", MetricType::Gauge).send(&engine);
    Request::default().float(2, at(1), 0.25, 0).metadata("a", MetricType::Histogram).send(&engine);
    for (minute, n) in [(1, 3), (2, 4), (3, 5)] {
        let request = Request::default().histogram(3, at(minute), int(n, false), 0);
        let request = request.histogram(4, at(minute), float(n, false), 0);
        request.histogram(5, at(minute), int(n, true), 0).histogram(6, at(minute), float(n, true), 0).send(&engine);
    }
    let late = Request::default().float(2, at(-1), 0.75, 0).histogram(3, at(-1), int(2, false), 0);
    late.histogram(4, at(-1), float(2, false), 0).send(&engine);
    engine.delete(&tenant(), &[Matcher::equal("i", "2")], at(1), at(1)).unwrap();
    drop(engine);
    let engine = open(&disk, true, 200);
    for (minute, n) in [(4, 6), (5, 7)] {
        let request = Request::default().float(10, at(minute), n as f64, at(minute - 1));
        let request = request.histogram(11, at(minute), int(n, false), at(2));
        request.histogram(12, at(minute), float(n, true), at(minute)).send(&engine);
    }
    let late = Request::default().float(10, at(3), 0.75, at(1)).histogram(11, at(3), int(2, false), at(2));
    late.histogram(12, at(3), float(2, true), 0).send(&engine);
    engine.snapshot().unwrap();
    Request::default().float(10, at(6), 8.0, at(5)).float(13, at(6), 9.0, 0).send(&engine);
    engine.close().unwrap();
    disk
}
