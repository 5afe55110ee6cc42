//! Chunks of each encoding give back what was put in, to the bit, whatever that is.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Span};
use thanoxide_model::series::Columns;
use thanoxide_model::{FloatHistogram, Histogram, STALE_NAN_BITS};
use thanoxide_tsdb::chunk::histogram::{Appended, HistogramAppender, HistogramIter, NativeHistogram};
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::xor2::Xor2Appender;
use thanoxide_tsdb::chunk::{self, Chunk, Encoding, SampleValue};

/// Start time, time, and the bits of a value.
type Float = (i64, i64, u64);

/// Any number of milliseconds, those near zero and near the ends as likely as others: each width of each prefix has its turn.
fn any_ms() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        Just(i64::MIN),
        Just(i64::MAX),
        (any::<i64>(), 0u32..64).prop_map(|(n, shift)| n >> shift),
        // Around where prefixes change.
        (0u32..63, -2i64..=2, any::<bool>()).prop_map(|(bit, off, down)| {
            let edge = (1i64 << bit).wrapping_add(off);
            if down { edge.wrapping_neg() } else { edge }
        }),
    ]
}

fn any_bits() -> impl Strategy<Value = u64> {
    let special = [0.0, -0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::NAN];
    prop_oneof![
        2 => any::<u64>(),
        1 => Just(STALE_NAN_BITS),
        // Other payloads of NaN, quiet and signaling.
        1 => any::<u64>().prop_map(|bits| bits | 0x7ff0_0000_0000_0001),
        2 => prop::sample::select(special.map(f64::to_bits).to_vec()),
        2 => (0i64..2000).prop_map(|n| (n as f64 / 8.0).to_bits()),
    ]
}

/// Samples at any times, or each some time behind the one before; each value any, or near the one before.
fn floats() -> impl Strategy<Value = Vec<Float>> {
    let sample = (any_ms(), any_ms(), any_bits(), any::<bool>(), (0u32..64, 0u64..256));
    (vec(sample, 1..150), any::<bool>(), 0u8..4).prop_map(|(samples, steps, starts)| {
        let (mut before, mut all) = ((0i64, 0i64, 0u64), Vec::new());
        for (start_ms, ms, bits, near, (shift, mask)) in samples {
            let t = if steps { before.1.wrapping_add(ms) } else { ms };
            let start_ms = match starts {
                0 => 0,
                1 => start_ms,
                // As senders do it: it stays for some time, or is the time of the sample before.
                2 if all.len() % 20 > 0 => before.0,
                2 => t.wrapping_sub(60_000),
                _ => before.1,
            };
            before = (start_ms, t, if near { before.2 ^ mask << shift } else { bits });
            all.push(before);
        }
        all
    })
}

/// What a chunk of floats gives, read in both ways.
fn read(encoding: Encoding, data: Vec<u8>) -> Vec<Float> {
    let chunk = Chunk { min_time_ms: 0, max_time_ms: 0, encoding, data: Bytes::from(data) };
    let samples: Vec<Float> = chunk::samples(&chunk)
        .unwrap()
        .map(|sample| {
            let sample = sample.unwrap();
            let SampleValue::Float(value) = sample.value else { panic!("a float") };
            (sample.start_timestamp_ms, sample.timestamp_ms, value.to_bits())
        })
        .collect();
    let mut columns = Columns::default();
    chunk::decode(&chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
    let values = columns.values.iter().map(|value| value.to_bits());
    let both: Vec<_> = columns.timestamps_ms.iter().copied().zip(values).collect();
    assert_eq!(both, samples.iter().map(|(_, t, bits)| (*t, *bits)).collect::<Vec<_>>());
    samples
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    vec((0i32..4, 1u32..4), 0..4)
        .prop_map(|spans| spans.into_iter().map(|(offset, length)| Span { offset, length }).collect())
}

/// So many numbers as spans have buckets.
fn buckets<T: Copy>(spans: &[Span], from: &[T]) -> Vec<T> {
    let count: u32 = spans.iter().map(|span| span.length).sum();
    from.iter().copied().cycle().take(count as usize).collect()
}

fn hint() -> impl Strategy<Value = CounterResetHint> {
    use CounterResetHint::*;
    prop::sample::select(vec![Unknown, CounterReset, NotCounterReset, Gauge])
}

/// A bound. Stock's encoding of bounds and thresholds knows one zero, and so does ours.
fn bound() -> impl Strategy<Value = f64> {
    any_bits().prop_map(|bits| if bits == (-0.0f64).to_bits() { 0.0 } else { f64::from_bits(bits) })
}

/// Of a resolution, or with custom bounds.
fn resolution() -> impl Strategy<Value = (i32, f64, Vec<f64>)> {
    let bounds = vec(bound(), 0..14);
    prop_oneof![
        3 => (-4i32..=8, bound()).prop_map(|(schema, threshold)| (schema, threshold, Vec::new())),
        2 => bounds.prop_map(|bounds| (CUSTOM_BUCKETS_SCHEMA, 0.0, bounds)),
        // Bounds as clients have them.
        1 => (1usize..9).prop_map(|n| (CUSTOM_BUCKETS_SCHEMA, 0.0, (1..=n).map(|i| i as f64 / 4.0).collect())),
    ]
}

/// A histogram of some layout; its counts mean nothing.
fn ints() -> impl Strategy<Value = Histogram> {
    let count = || (any::<u64>(), 0u32..64).prop_map(|(n, shift)| n >> shift);
    let deltas = || vec(any_ms(), 1..12);
    (resolution(), hint(), spans(), spans(), (deltas(), deltas()), count(), count(), any_bits()).prop_map(
        |((schema, threshold, bounds), hint, positive_spans, negative_spans, deltas, count, zero_count, sum)| {
            let custom = schema == CUSTOM_BUCKETS_SCHEMA;
            let negative_spans = if custom { Vec::new() } else { negative_spans };
            if sum == STALE_NAN_BITS {
                // A stale marker is nothing else.
                return Histogram { sum: f64::from_bits(sum), ..Histogram::default() };
            }
            Histogram {
                counter_reset_hint: hint,
                schema,
                zero_threshold: threshold,
                zero_count: if custom { 0 } else { zero_count },
                count,
                sum: f64::from_bits(sum),
                positive_buckets: buckets(&positive_spans, &deltas.0),
                negative_buckets: buckets(&negative_spans, &deltas.1),
                positive_spans,
                negative_spans,
                custom_values: bounds.into(),
            }
        },
    )
}

/// The same with counts of any bits.
fn float_histograms() -> impl Strategy<Value = FloatHistogram> {
    let counts = || vec(any_bits().prop_map(f64::from_bits), 1..12);
    (ints(), counts(), counts()).prop_map(|(h, positive, negative)| {
        if h.sum.to_bits() == STALE_NAN_BITS {
            return h.to_float();
        }
        FloatHistogram {
            count: positive[0],
            zero_count: if h.schema == CUSTOM_BUCKETS_SCHEMA { 0.0 } else { negative[0] },
            positive_buckets: buckets(&h.positive_spans, &positive),
            negative_buckets: buckets(&h.negative_spans, &negative),
            counter_reset_hint: h.counter_reset_hint,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            sum: h.sum,
            positive_spans: h.positive_spans,
            negative_spans: h.negative_spans,
            custom_values: h.custom_values,
        }
    })
}

/// A histogram whose buckets can be looked at alone.
trait Counted: NativeHistogram + Clone {
    /// The bits of all that is no bucket.
    fn rest(&self) -> (i32, [u64; 4], Vec<u64>);
    /// The buckets of both sides, absolute.
    fn sides(&self) -> [(&[Span], Vec<u64>); 2];
    fn is_gauge(&self) -> bool;
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn absolute(deltas: &[i64]) -> Vec<u64> {
    deltas
        .iter()
        .scan(0i64, |sum, delta| {
            *sum = sum.wrapping_add(*delta);
            Some(*sum as u64)
        })
        .collect()
}

impl Counted for Histogram {
    fn rest(&self) -> (i32, [u64; 4], Vec<u64>) {
        let numbers = [self.zero_threshold.to_bits(), self.zero_count, self.count, self.sum.to_bits()];
        (self.schema, numbers, bits(&self.custom_values))
    }

    fn sides(&self) -> [(&[Span], Vec<u64>); 2] {
        let positive = (self.positive_spans.as_slice(), absolute(&self.positive_buckets));
        [positive, (&self.negative_spans, absolute(&self.negative_buckets))]
    }

    fn is_gauge(&self) -> bool {
        self.counter_reset_hint == CounterResetHint::Gauge
    }
}

impl Counted for FloatHistogram {
    fn rest(&self) -> (i32, [u64; 4], Vec<u64>) {
        let numbers = [self.zero_threshold, self.zero_count, self.count, self.sum].map(f64::to_bits);
        (self.schema, numbers, bits(&self.custom_values))
    }

    fn sides(&self) -> [(&[Span], Vec<u64>); 2] {
        let positive = (self.positive_spans.as_slice(), bits(&self.positive_buckets));
        [positive, (&self.negative_spans, bits(&self.negative_buckets))]
    }

    fn is_gauge(&self) -> bool {
        self.counter_reset_hint == CounterResetHint::Gauge
    }
}

/// The counts by bucket index, empty ones left out: chunks may add empty buckets.
fn counts((spans, buckets): (&[Span], Vec<u64>)) -> Vec<(i64, u64)> {
    let (mut index, mut indexes) = (0i64, Vec::new());
    for span in spans {
        index += i64::from(span.offset);
        indexes.extend(index..index + i64::from(span.length));
        index += i64::from(span.length);
    }
    assert_eq!(indexes.len(), buckets.len());
    indexes.into_iter().zip(buckets).filter(|(_, count)| *count != 0).collect()
}

fn round_trip<H: Counted>(samples: &[(H, i64, i64)], with_start_times: bool) {
    let (mut chunks, mut appender) = (Vec::new(), HistogramAppender::<H>::new(with_start_times));
    for (histogram, start_ms, timestamp_ms) in samples {
        if let Appended::NewChunk(next) = appender.append(None, *start_ms, *timestamp_ms, histogram) {
            chunks.push(std::mem::replace(&mut appender, *next).into_bytes());
        }
    }
    chunks.push(appender.into_bytes());
    let mut left = samples.iter();
    for data in &chunks {
        let mut iter = HistogramIter::<H>::new(data, with_start_times).unwrap();
        while iter.advance().unwrap() {
            let (histogram, start_ms, timestamp_ms) = left.next().unwrap();
            let read = iter.histogram().unwrap();
            let start_ms = if with_start_times { *start_ms } else { 0 };
            assert_eq!((iter.start_ms(), iter.timestamp_ms()), (start_ms, *timestamp_ms));
            assert_eq!((read.rest(), read.is_gauge()), (histogram.rest(), histogram.is_gauge()));
            assert_eq!(read.sides().map(counts), histogram.sides().map(counts));
        }
    }
    assert_eq!(left.count(), 0);
}

/// Histograms of few kinds, so that several go into one chunk.
fn mixed<H: Clone + std::fmt::Debug>(of: impl Strategy<Value = H>) -> impl Strategy<Value = Vec<H>> {
    let which = vec(any::<prop::sample::Index>(), 1..16);
    (vec(of, 1..6), which).prop_map(|(kinds, which)| which.iter().map(|one| one.get(&kinds).clone()).collect())
}

/// Buckets by their places, as spans and what is between neighbors.
fn layout(side: &BTreeMap<i32, i64>) -> (Vec<Span>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<Span>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut end, mut before) = (0, 0);
    for (place, count) in side {
        match spans.last_mut() {
            Some(span) if *place == end => span.length += 1,
            _ => spans.push(Span { offset: *place - end, length: 1 }),
        }
        deltas.push(count.wrapping_sub(before));
        (end, before) = (*place + 1, *count);
    }
    (spans, deltas)
}

/// Counts for a bucket: whether of the negative side, its place, a number and by how much that is shifted.
type Added = (bool, i32, (i64, u32));

/// A histogram that grows, bucket by bucket: its chunk is written again and again.
fn growing() -> impl Strategy<Value = Vec<Histogram>> {
    let gauge = prop::sample::select(vec![CounterResetHint::Unknown, CounterResetHint::Gauge]);
    let added = vec((any::<bool>(), 0i32..30, (0i64..1 << 40, 0u32..41)), 0..4);
    (resolution(), gauge, vec((added, any_bits()), 1..40)).prop_map(
        |((schema, zero_threshold, bounds), hint, steps)| {
            let (custom, mut sides) = (schema == CUSTOM_BUCKETS_SCHEMA, [BTreeMap::new(), BTreeMap::new()]);
            let step = |(added, sum): (Vec<Added>, u64)| {
                for (negative, place, (count, shift)) in added {
                    *sides[usize::from(negative && !custom)].entry(place).or_insert(0i64) += count >> shift;
                }
                if sum == STALE_NAN_BITS {
                    return Histogram { sum: f64::from_bits(sum), ..Histogram::default() };
                }
                let [(positive_spans, positive_buckets), (negative_spans, negative_buckets)] =
                    [0, 1].map(|n| layout(&sides[n]));
                let count = sides.iter().flat_map(BTreeMap::values).sum::<i64>() as u64;
                Histogram {
                    counter_reset_hint: hint,
                    schema,
                    zero_threshold,
                    count,
                    sum: f64::from_bits(sum),
                    positive_spans,
                    negative_spans,
                    positive_buckets,
                    negative_buckets,
                    custom_values: bounds.clone().into(),
                    ..Histogram::default()
                }
            };
            steps.into_iter().map(step).collect()
        },
    )
}

/// With start times and times.
fn timed<H: std::fmt::Debug>(all: impl Strategy<Value = Vec<H>>) -> impl Strategy<Value = Vec<(H, i64, i64)>> {
    (all, vec((any_ms(), any_ms()), 40))
        .prop_map(|(all, times)| all.into_iter().zip(times).map(|(h, (start_ms, t))| (h, start_ms, t)).collect())
}

proptest! {
    #[test]
    fn floats_come_back(samples in floats(), reopened in any::<prop::sample::Index>()) {
        let mut appender = XorAppender::new();
        for (number, (_, t, bits)) in samples.iter().enumerate() {
            if number == reopened.index(samples.len()) {
                appender = XorAppender::from_bytes(appender.into_bytes()).unwrap();
            }
            appender.append(*t, f64::from_bits(*bits));
        }
        let wanted: Vec<Float> = samples.iter().map(|(_, t, bits)| (0, *t, *bits)).collect();
        prop_assert_eq!(read(Encoding::Xor, appender.into_bytes()), wanted);
    }

    #[test]
    fn floats_with_start_times_come_back(samples in floats(), reopened in any::<prop::sample::Index>()) {
        let mut appender = Xor2Appender::new();
        for (number, (start_ms, t, bits)) in samples.iter().enumerate() {
            if number == reopened.index(samples.len()) {
                appender = Xor2Appender::from_bytes(appender.into_bytes()).unwrap();
            }
            appender.append(*start_ms, *t, f64::from_bits(*bits));
        }
        prop_assert_eq!(read(Encoding::Xor2, appender.into_bytes()), samples);
    }

    #[test]
    fn histograms_come_back(samples in timed(mixed(ints())), with_start_times: bool) {
        round_trip(&samples, with_start_times);
    }

    #[test]
    fn float_histograms_come_back(samples in timed(mixed(float_histograms())), with_start_times: bool) {
        round_trip(&samples, with_start_times);
    }

    #[test]
    fn histograms_that_grow_come_back(samples in timed(growing()), with_start_times: bool) {
        round_trip(&samples, with_start_times);
        let floats: Vec<_> = samples.into_iter().map(|(h, start_ms, t)| (h.to_float(), start_ms, t)).collect();
        round_trip(&floats, with_start_times);
    }
}
