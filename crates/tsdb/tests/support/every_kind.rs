//! A log that holds each kind of frame, what an engine shows of it, and what it may show once a part of the log is gone.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use thanoxide_env::SimDisk;
use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{Histogram, Labels, Matcher, MetricMetadata, STALE_NAN_BITS, Sample, WriteBatch};
use thanoxide_tsdb::chunk::{SampleValue, samples};
use thanoxide_tsdb::engine::{Engine, EngineOptions};
use thanoxide_tsdb::log::histograms::HistogramsReader;
use thanoxide_tsdb::log::{Frame, FrameKind};

use crate::crash::{HOUR_MS, ROOT, sim_env};
use crate::engine_support::{append, labels, options, tenant};
use crate::{START_MS, log_bytes};

/// The kinds of frames that a log has, by the table of `docs/format/log.md`.
pub(crate) const KINDS: Range<u8> = 1..15;

const MINUTE_MS: i64 = 60_000;

/// What one thing is that an engine shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Thing {
    Sample(usize),
    Exemplar(usize),
    Metadata(usize),
}

/// What a thing says at a time, hashed.
pub(crate) type Seen = BTreeMap<(Thing, i64), u64>;

/// The directory once something was acknowledged.
pub(crate) struct Moment {
    pub(crate) disk: SimDisk,
    /// Of the whole log.
    pub(crate) bytes: usize,
    pub(crate) seen: Seen,
    /// Whether what there was before is in a block now.
    flushed: bool,
}

pub(crate) fn open(disk: &SimDisk, store_start_times: bool) -> Engine {
    let options =
        EngineOptions { out_of_order_window_ms: 4 * HOUR_MS, max_exemplars: 1000, store_start_times, ..options() };
    Engine::open(Path::new(ROOT), options, sim_env(disk, 7 + u64::from(store_start_times))).unwrap()
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn number(text: &[u8]) -> usize {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

fn hash_of(start_ms: i64, value: &SampleValue) -> u64 {
    match value {
        SampleValue::Float(value) => hash((start_ms, value.to_bits())),
        SampleValue::Histogram(h) => {
            hash((start_ms, h.count, h.sum.to_bits(), &h.positive_buckets, h.custom_values.len()))
        }
        SampleValue::FloatHistogram(h) => {
            hash((start_ms, h.count.to_bits(), h.sum.to_bits(), h.positive_buckets.len(), h.custom_values.len()))
        }
    }
}

/// All that the engine shows. Each sample must come once.
pub(crate) fn look(engine: &Engine) -> Seen {
    let mut seen = Seen::new();
    let Some(reader) = engine.reader(&tenant()) else { return seen };
    for series in reader.select(&[], i64::MIN, i64::MAX).unwrap() {
        let thing = Thing::Sample(number(series.labels.value("i")));
        for chunk in &series.chunks {
            for sample in samples(chunk).unwrap() {
                let sample = sample.unwrap();
                let value = hash_of(sample.start_timestamp_ms, &sample.value);
                let known = seen.insert((thing, sample.timestamp_ms), value);
                assert_eq!(known, None, "{} has {} twice", series.labels, sample.timestamp_ms);
            }
        }
    }
    for series in reader.exemplars(&[vec![]], i64::MIN, i64::MAX) {
        let thing = Thing::Exemplar(number(series.labels.value("i")));
        for exemplar in &series.exemplars {
            let value = hash((exemplar.value.to_bits(), exemplar.labels.value("trace_id")));
            assert_eq!(seen.insert((thing, exemplar.timestamp_ms), value), None, "an exemplar comes once");
        }
    }
    for (family, known) in reader.metadata(None) {
        seen.insert((Thing::Metadata(number(family.trim_start_matches("metric_").as_bytes())), 0), hash(&known.help));
    }
    seen
}

fn int_histogram(n: i64, custom: bool) -> HistogramValue {
    let spans = vec![Span { offset: 0, length: 2 }];
    HistogramValue::Int(Arc::new(Histogram {
        schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { 1 },
        count: n as u64 + 3,
        sum: n as f64 / 8.0,
        positive_spans: spans,
        positive_buckets: vec![1, n + 1],
        custom_values: if custom { Arc::from([0.5, 1.0, 2.5]) } else { Arc::default() },
        ..Histogram::default()
    }))
}

fn float_histogram(n: i64, custom: bool) -> HistogramValue {
    match int_histogram(n, custom) {
        HistogramValue::Int(value) => HistogramValue::Float(Arc::new(value.to_float())),
        float => float,
    }
}

/// A value of each form that the log has for floats, in turn.
fn value(n: i64) -> f64 {
    match n % 6 {
        0 => n as f64,
        1 => -123_456_789.0 * n as f64,
        2 => n as f64 + 0.25,
        3 => f64::from_bits(STALE_NAN_BITS),
        4 => f64::from(1.1_f32) * 1e20 * n as f64,
        _ => (n as f64).sqrt(),
    }
}

fn start_ms(n: i64) -> i64 {
    START_MS - 777 - n % 5
}

/// Samples of each kind in order and late, exemplars, and a new word on a metric.
fn batch(n: i64) -> WriteBatch {
    let (mut builder, now_ms) = (WriteBatchBuilder::default(), START_MS + n * MINUTE_MS);
    // Between the two before.
    let late_ms = now_ms - 3 * MINUTE_MS / 2;
    let float = |builder: &mut WriteBatchBuilder, series, timestamp_ms, n| {
        builder.push(&labels(series), &[Sample { timestamp_ms, value: value(n) }]).set_sample_start(start_ms(n));
    };
    let histogram = |builder: &mut WriteBatchBuilder, series, timestamp_ms, value| {
        builder.push(&labels(series), &[]).push_histogram(HistogramSample { timestamp_ms, value });
        builder.set_histogram_start(start_ms(n));
    };
    // Two series of each round, too: definitions are anywhere.
    for series in [0, 1, 100 + n as usize, 101 + n as usize] {
        float(&mut builder, series, now_ms, n + series as i64);
        builder.push_exemplar(&Labels::from_pairs([("trace_id", format!("t{n}"))]), now_ms, n as f64);
    }
    histogram(&mut builder, 2, now_ms, int_histogram(n, false));
    histogram(&mut builder, 3, now_ms, float_histogram(n, false));
    histogram(&mut builder, 4, now_ms, if n % 2 == 0 { int_histogram(n, true) } else { float_histogram(n, true) });
    if n >= 2 {
        float(&mut builder, 1, late_ms, n + 50);
        histogram(&mut builder, 3, late_ms, float_histogram(n + 50, false));
    }
    let metadata = MetricMetadata { help: format!("said in round {n}"), ..MetricMetadata::default() };
    builder.push_metadata("metric_0", &metadata).push_metadata(&format!("metric_{}", n % 3 + 1), &metadata);
    builder.build()
}

/// A log of `bytes` or a little more over several segments, and all moments of it. The first one is before anything.
pub(crate) fn life(bytes: usize) -> Vec<Moment> {
    let disk = SimDisk::default();
    let mut engine = open(&disk, false);
    let nothing = Moment { disk: disk.fork(), bytes: 0, seen: Seen::new(), flushed: false };
    let mut moments = vec![nothing];
    let mut round = 0;
    while log_bytes(&disk) < bytes {
        let appended = append(&engine, &batch(round)).unwrap();
        assert!(appended.rejected.is_empty() && appended.dropped_exemplars == 0, "{appended:?}");
        appended.ticket.wait().unwrap();
        let mut note = |engine: &Engine, flushed| {
            moments.push(Moment { disk: disk.fork(), bytes: log_bytes(&disk), seen: look(engine), flushed });
        };
        note(&engine, false);
        match round {
            3 => {
                // The frames of a cut are part of the next commit, if of none before.
                engine.flush_tenant(&tenant()).unwrap();
                note(&engine, true);
            }
            5 => {
                // As a crash leaves it; from here on with start times.
                drop(engine);
                engine = open(&disk, true);
            }
            7 | 11 => {
                // In order and late.
                let (from_ms, to_ms) = (START_MS + (round - 2) * MINUTE_MS, START_MS + (round - 1) * MINUTE_MS);
                for series in ["1", "3"] {
                    engine.delete(&tenant(), &[Matcher::equal("i", series)], from_ms, to_ms).unwrap();
                    note(&engine, false);
                }
            }
            _ => {}
        }
        round += 1;
    }
    moments
}

/// What a log has that was torn at some place behind `before`, while `after` was being written: of each thing the one or the other.
pub(crate) fn is_between(have: &Seen, before: &Seen, after: &Seen) -> Result<(), String> {
    if have == before || have == after {
        return Ok(());
    }
    let keys: BTreeSet<_> = have.keys().chain(before.keys()).chain(after.keys()).collect();
    let wrong = keys.into_iter().find(|key| have.get(key) != before.get(key) && have.get(key) != after.get(key));
    match wrong {
        Some(key) => Err(format!("{key:?} is {:?}, not {:?} or {:?}", have.get(key), before.get(key), after.get(key))),
        None => Ok(()),
    }
}

/// What must be there, and what may, once the commits of some moments are gone in whole or in part.
pub(crate) struct Without {
    may: BTreeMap<(Thing, i64), Vec<Option<u64>>>,
}

impl Without {
    /// Of a life that lost the commits of these moments in the middle.
    pub(crate) fn new(moments: &[Moment], lost: &Range<usize>) -> Self {
        let end = &moments[moments.len() - 1].seen;
        let keys: BTreeSet<_> = moments.iter().flat_map(|moment| moment.seen.keys()).collect();
        let defined = definitions(moments);
        let flush = moments.iter().position(|moment| moment.flushed).unwrap_or(0);
        let mut may = BTreeMap::new();
        for key in keys {
            let value = |at: usize| moments[at].seen.get(key).copied();
            let touched: Vec<usize> = (1..moments.len()).filter(|at| value(*at) != value(at - 1)).collect();
            let kept = touched.iter().rev().find(|at| !lost.contains(at));
            let mut values = vec![kept.and_then(|at| value(*at))];
            if kept != touched.last() {
                values.extend(touched.iter().filter(|at| lost.contains(at)).map(|at| value(*at)));
                values.push(end.get(key).copied());
                values.push(None);
            }
            if let (Thing::Sample(series) | Thing::Exemplar(series), _) = key {
                // A series whose definitions are all gone takes nothing of what comes behind; what is in a block is there.
                let life = &defined[&(*series, touched[0] > flush)];
                if life.iter().all(|at| lost.contains(at)) {
                    values.push(None);
                }
            }
            may.insert(*key, values);
        }
        Without { may }
    }

    pub(crate) fn check(&self, have: &Seen) -> Result<(), String> {
        if let Some((key, _)) = have.iter().find(|(key, _)| !self.may.contains_key(key)) {
            return Err(format!("invented {key:?}"));
        }
        match self.may.iter().find(|(key, values)| !values.contains(&have.get(key).copied())) {
            Some((key, values)) => Err(format!("{key:?} is {:?}, none of {values:?}", have.get(key))),
            None => Ok(()),
        }
    }
}

/// The moments that define each series, before the head was flushed and behind: those of its first two samples.
fn definitions(moments: &[Moment]) -> BTreeMap<(usize, bool), Vec<usize>> {
    let flush = moments.iter().position(|moment| moment.flushed).unwrap_or(0);
    let mut defined: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
    for at in 1..moments.len() {
        let new = moments[at].seen.keys().filter(|key| !moments[at - 1].seen.contains_key(key));
        let series: BTreeSet<usize> = new.filter_map(|(thing, _)| as_sample(*thing)).collect();
        for series in series {
            let known = defined.entry((series, at > flush)).or_default();
            if known.len() < 2 {
                known.push(at);
            }
        }
    }
    defined
}

fn as_sample(thing: Thing) -> Option<usize> {
    match thing {
        Thing::Sample(series) => Some(series),
        _ => None,
    }
}

/// Which histograms a frame holds: whether they are of floats, and whether they have custom buckets.
pub(crate) fn histograms(frame: &Frame<'_>) -> BTreeSet<(bool, bool)> {
    let mut kinds = BTreeSet::new();
    if frame.kind == Some(FrameKind::Histograms) {
        let mut reader = HistogramsReader::new(frame.payload);
        while let Some(sample) = reader.next().unwrap() {
            kinds.insert(match sample.value {
                HistogramValue::Int(h) => (false, h.schema == CUSTOM_BUCKETS_SCHEMA),
                HistogramValue::Float(h) => (true, h.schema == CUSTOM_BUCKETS_SCHEMA),
            });
        }
    }
    kinds
}
