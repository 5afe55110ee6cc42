//! Native histograms of OpenTelemetry's exponential and explicit ones.

use thanoxide_model::STALE_NAN_BITS;
use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};
use thanoxide_proto::opentelemetry as otlp;
use thanoxide_proto::opentelemetry::exponential_histogram_data_point::Buckets;

/// Bit of flags: there is no value.
pub(super) const NO_VALUE: u32 = 1;
/// What Prometheus takes for zero in histograms of OpenTelemetry.
const ZERO_THRESHOLD: f64 = 1e-128;
const MIN_SCALE: i32 = -4;
const MAX_SCALE: i32 = 8;
/// Wider gaps of empty buckets begin a new span.
const MAX_GAP: i32 = 2;

/// Whether what grows is told as a gauge: there are no resets to find between deltas.
fn hint(is_delta: bool) -> CounterResetHint {
    if is_delta { CounterResetHint::Gauge } else { CounterResetHint::Unknown }
}

/// Count and sum; those of a point without a value are stale markers.
fn totals(flags: u32, count: u64, sum: Option<f64>) -> (u64, f64) {
    match flags & NO_VALUE {
        0 => (count, sum.unwrap_or(0.0)),
        _ => (STALE_NAN_BITS, f64::from_bits(STALE_NAN_BITS)),
    }
}

/// An exponential histogram. The error is stock's.
pub(super) fn exponential(point: &otlp::ExponentialHistogramDataPoint, is_delta: bool) -> Result<Histogram, String> {
    if point.scale < MIN_SCALE {
        let scale = point.scale;
        return Err(format!("cannot convert exponential to native histogram. Scale must be >= -4, was {scale}"));
    }
    let scale_down = (point.scale - MAX_SCALE).clamp(0, 31) as u32;
    let merged = |buckets: Option<&Buckets>| buckets.map(|buckets| merged(buckets, scale_down)).unwrap_or_default();
    let (positive_spans, positive_buckets) = layout(merged(point.positive.as_ref()));
    let (negative_spans, negative_buckets) = layout(merged(point.negative.as_ref()));
    let (count, sum) = totals(point.flags, point.count, point.sum);
    Ok(Histogram {
        counter_reset_hint: hint(is_delta),
        schema: point.scale.min(MAX_SCALE),
        zero_threshold: ZERO_THRESHOLD,
        zero_count: point.zero_count,
        count,
        sum,
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        custom_values: [].into(),
    })
}

/// An explicit histogram with its bounds as custom buckets.
pub(super) fn custom_buckets(point: &otlp::HistogramDataPoint, is_delta: bool) -> Histogram {
    let buckets = point.bucket_counts.iter().enumerate().map(|(place, count)| (place as i32, *count as i64));
    let (positive_spans, positive_buckets) = layout(buckets.skip_while(|(_, count)| *count == 0).collect());
    let (count, sum) = totals(point.flags, point.count, point.sum);
    Histogram {
        counter_reset_hint: hint(is_delta),
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum,
        positive_spans,
        positive_buckets,
        custom_values: point.explicit_bounds.as_slice().into(),
        ..Histogram::default()
    }
}

/// Indexes and counts as spans and deltas. As in stock, the first span begins where the buckets begin and the last bucket is
/// always there, empty or not.
fn layout(merged: Vec<(i32, i64)>) -> (Vec<Span>, Vec<i64>) {
    let Some((first, _)) = merged.first() else { return (Vec::new(), Vec::new()) };
    let (mut spans, mut deltas) = (vec![Span { offset: *first, length: 0 }], Vec::new());
    let (mut next, mut last_count) = (*first, 0i64);
    for (place, (index, count)) in merged.iter().enumerate() {
        if *count == 0 && place + 1 < merged.len() {
            continue;
        }
        let gap = index.wrapping_sub(next);
        let filled = if gap > MAX_GAP {
            spans.push(Span { offset: gap, length: 0 });
            0
        } else {
            gap
        };
        for _ in 0..filled {
            deltas.push(-std::mem::take(&mut last_count));
        }
        deltas.push(count.wrapping_sub(last_count));
        if let Some(span) = spans.last_mut() {
            span.length += filled as u32 + 1;
        }
        (next, last_count) = (index.wrapping_add(1), *count);
    }
    (spans, deltas)
}

/// Indexes and counts, those added up that become one at the lower resolution. An index of OpenTelemetry is the lower bound, one
/// of Prometheus the upper.
fn merged(buckets: &Buckets, scale_down: u32) -> Vec<(i32, i64)> {
    let mut merged: Vec<(i32, i64)> = Vec::new();
    for (place, count) in buckets.bucket_counts.iter().enumerate() {
        let index = ((i64::from(buckets.offset) + place as i64) >> scale_down) + 1;
        let Ok(index) = i32::try_from(index) else { break };
        match merged.last_mut() {
            Some((last, sum)) if *last == index => *sum = sum.wrapping_add(*count as i64),
            _ => merged.push((index, *count as i64)),
        }
    }
    merged
}
