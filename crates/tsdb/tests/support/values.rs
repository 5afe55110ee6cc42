//! What a sample says, as one number: a float's bits, a hash of a histogram. And samples of each kind, to be written.
#![allow(dead_code, reason = "each test uses a part")]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{FloatHistogram, Histogram, Labels, STALE_NAN_BITS, Sample, WriteBatch};
use thanoxide_tsdb::chunk::{Chunk, ChunkSample, Encoding, SampleValue, samples};

/// Samples of series.
pub(crate) type Batch = Vec<(Labels, Vec<(i64, SampleValue)>)>;

/// The same number for the same sample, however its buckets are laid out and whatever is known of resets.
pub(crate) fn bits(value: &SampleValue) -> u64 {
    match value {
        SampleValue::Float(value) => value.to_bits(),
        // A mark behind a histogram becomes one of the histogram's kind, as in Prometheus.
        SampleValue::Histogram(h) if h.is_stale() => STALE_NAN_BITS,
        SampleValue::FloatHistogram(h) if h.is_stale() => STALE_NAN_BITS,
        SampleValue::Histogram(h) => hash((1, h.count, of_histogram(&h.to_float()))),
        SampleValue::FloatHistogram(h) => hash((2, h.count.to_bits(), of_histogram(h))),
    }
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn of_histogram(h: &FloatHistogram) -> u64 {
    let zero = (h.zero_threshold.to_bits(), h.zero_count.to_bits());
    let bounds: Vec<u64> = h.custom_values.iter().map(|bound| bound.to_bits()).collect();
    let positive = cells(&h.positive_spans, &h.positive_buckets);
    hash((h.schema, zero, h.sum.to_bits(), positive, cells(&h.negative_spans, &h.negative_buckets), bounds))
}

/// The buckets that count something, by their indexes.
fn cells(spans: &[Span], counts: &[f64]) -> Vec<(i32, u64)> {
    let (mut indexes, mut next) = (Vec::new(), 0);
    for span in spans {
        next += span.offset;
        indexes.extend(next..next + span.length as i32);
        next += span.length as i32;
    }
    assert_eq!(indexes.len(), counts.len(), "as many buckets as the spans say");
    let counted = indexes.into_iter().zip(counts).filter(|(_, count)| **count != 0.0);
    counted.map(|(index, count)| (index, count.to_bits())).collect()
}

/// Adds the samples of a chunk by their times. Each must come once.
pub(crate) fn add_chunk(chunk: &Chunk, into: &mut BTreeMap<i64, u64>) -> Result<(), String> {
    for (t, value) in read_chunk(chunk)?.iter() {
        if into.insert(*t, *value).is_some() {
            return Err(format!("{t} comes twice"));
        }
    }
    Ok(())
}

/// Samples by their times.
type Read = Rc<[(i64, u64)]>;

/// The samples of a chunk. Thousands of states have the same chunks: what was read once is known.
fn read_chunk(chunk: &Chunk) -> Result<Read, String> {
    let key = (chunk.encoding, chunk.data.clone());
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).cloned()) {
        return Ok(known);
    }
    let read = |sample: ChunkSample| (sample.timestamp_ms, bits(&sample.value));
    let all: Result<Read, _> = samples(chunk).and_then(|all| all.map(|sample| sample.map(read)).collect());
    let all = all.map_err(|e| e.to_string())?;
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        // A copy, so that what lies beside it need not stay in memory.
        known.insert((key.0, Bytes::copy_from_slice(&key.1)), Rc::clone(&all));
    });
    Ok(all)
}

const MOST_KNOWN: usize = 10_000;

thread_local! {
    static KNOWN: RefCell<HashMap<(Encoding, Bytes), Read>> = RefCell::default();
}

/// Samples of one kind come together: of a series of a batch all floats are taken before its histograms.
pub(crate) fn batch(series: &Batch) -> WriteBatch {
    let mut builder = WriteBatchBuilder::default();
    for (labels, samples) in series {
        for run in samples.chunk_by(|a, b| discriminant(&a.1) == discriminant(&b.1)) {
            builder.push(labels, &[]);
            run.iter().for_each(|(timestamp_ms, value)| push(&mut builder, *timestamp_ms, value));
        }
    }
    builder.build()
}

fn push(builder: &mut WriteBatchBuilder, timestamp_ms: i64, value: &SampleValue) {
    let value = match value {
        SampleValue::Float(value) => {
            builder.push_sample(Sample { timestamp_ms, value: *value });
            return;
        }
        SampleValue::Histogram(h) => HistogramValue::Int(Arc::new((**h).clone())),
        SampleValue::FloatHistogram(h) => HistogramValue::Float(Arc::new((**h).clone())),
    };
    builder.push_histogram(HistogramSample { timestamp_ms, value });
}

/// A series of floats only.
pub(crate) const FLOATS: usize = 0;

/// What a series says at its n-th minute: two of four are floats, in one of which there are histograms now and then; of the
/// others one has integer histograms, the other each kind in turn. Each ends now and then.
pub(crate) fn value(series: usize, minute: i64, float: f64) -> SampleValue {
    let (n, is_end) = (minute.unsigned_abs(), minute % 11 == 7);
    match (series % 4, n / 20 % 4) {
        (1, _) => int(n, false, is_end),
        (2, 0) => int(n, true, is_end),
        (2, 1) => to_float(int(n, false, is_end)),
        (2, 2) => to_float(int(n, true, is_end)),
        (2, _) | (3, 2) => int(n, false, false),
        _ if is_end => SampleValue::Float(f64::from_bits(STALE_NAN_BITS)),
        _ => SampleValue::Float(float),
    }
}

fn to_float(value: SampleValue) -> SampleValue {
    match value {
        SampleValue::Histogram(h) => SampleValue::FloatHistogram(Box::new(h.to_float())),
        other => other,
    }
}

/// Buckets come and go, counters begin anew.
fn int(n: u64, custom: bool, is_stale: bool) -> SampleValue {
    if is_stale {
        return SampleValue::Histogram(Box::new(Histogram {
            sum: f64::from_bits(STALE_NAN_BITS),
            ..Histogram::default()
        }));
    }
    let (count, zeros) = (n % 37 + 1, if custom { 0 } else { n % 5 });
    let gap = (n / 6 % 3) as i32;
    let spans = vec![Span { offset: 0, length: 2 }, Span { offset: gap, length: 1 }];
    let negative = if custom { 0 } else { 1 };
    SampleValue::Histogram(Box::new(Histogram {
        schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { 1 + (n / 50 % 2) as i32 },
        zero_threshold: if custom { 0.0 } else { 0.001 },
        zero_count: zeros,
        // Deltas: `count`, twice that, and one.
        count: zeros + 3 * count + 1 + 2 * negative,
        sum: n as f64 / 8.0,
        positive_spans: spans,
        positive_buckets: vec![count as i64, count as i64, 1 - 2 * count as i64],
        negative_spans: vec![Span { offset: 1, length: 1 }; negative as usize],
        negative_buckets: vec![2; negative as usize],
        custom_values: if custom { Arc::from([0.5, 1.0, 2.5, 5.0, 10.0]) } else { Arc::default() },
        ..Histogram::default()
    }))
}
