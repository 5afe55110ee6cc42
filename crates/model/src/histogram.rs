//! Native histograms: integer (as scraped) and float (as PromQL computes).
//!
//! The sparse layout is Prometheus's: `spans` say which bucket indexes exist, `buckets` hold their counts in that order;
//! integer buckets are deltas to the bucket before, float buckets are absolute.

//!
//! The operations live in the modules below: [`bucket`] walks and prints buckets, [`validate`] checks what comes from
//! outside, `arithmetic` adds and scales, `reset` compares two samples of a counter, `trim` cuts at a value.

mod arithmetic;
mod bounds;
pub mod bucket;
mod layout;
mod reset;
pub mod trim;
pub mod validate;
mod zero_bucket;

use std::sync::Arc;

use crate::is_stale_nan;
use layout::Cells;

pub use arithmetic::Combined;
pub use bucket::{Bucket, Buckets, Counts};
pub use trim::Keep;
pub use validate::HistogramError;

/// The schema of histograms with custom bucket bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;
/// The finest resolution computed with.
pub const MAX_SCHEMA: i32 = 8;
/// The coarsest resolution computed with.
pub const MIN_SCHEMA: i32 = -4;
/// The finest resolution that may be read; it is reduced to [`MAX_SCHEMA`] then.
pub const MAX_READABLE_SCHEMA: i32 = 52;
/// The coarsest resolution that may be read.
pub const MIN_READABLE_SCHEMA: i32 = -9;

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Gap to the end of the span before; for the first span the index of its first bucket.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

/// What is known about a counter reset before a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum CounterResetHint {
    /// Nothing is known; compare with the sample before.
    #[default]
    Unknown,
    /// There was a reset.
    CounterReset,
    /// There was none.
    NotCounterReset,
    /// The histogram is a gauge.
    Gauge,
}

/// An integer histogram. Equality is of the layout, bits of floats included.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// What is known about a reset before this sample.
    pub counter_reset_hint: CounterResetHint,
    /// Resolution (-4..=8, larger ones are reduced on read), or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// All observations.
    pub count: u64,
    /// Sum of the observations; the stale marker makes the sample stale.
    pub sum: f64,
    /// Layout of the positive buckets.
    pub positive_spans: Vec<Span>,
    /// Layout of the negative buckets.
    pub negative_spans: Vec<Span>,
    /// Positive counts, as deltas.
    pub positive_buckets: Vec<i64>,
    /// Negative counts, as deltas.
    pub negative_buckets: Vec<i64>,
    /// Upper bounds of custom buckets.
    pub custom_values: Arc<[f64]>,
}

/// A float histogram; counts are absolute.
#[derive(Clone, Debug, Default)]
pub struct FloatHistogram {
    /// What is known about a reset before this sample.
    pub counter_reset_hint: CounterResetHint,
    /// Resolution (-4..=8), or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of the observations; the stale marker makes the sample stale.
    pub sum: f64,
    /// Layout of the positive buckets.
    pub positive_spans: Vec<Span>,
    /// Layout of the negative buckets.
    pub negative_spans: Vec<Span>,
    /// Positive counts.
    pub positive_buckets: Vec<f64>,
    /// Negative counts.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets.
    pub custom_values: Arc<[f64]>,
}

impl Histogram {
    /// Whether the bounds of the buckets are given one by one.
    pub fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Whether the sample is a stale marker.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// The same with absolute float counts. What custom buckets do not use is left out.
    pub fn to_float(&self) -> FloatHistogram {
        let mut float = FloatHistogram {
            counter_reset_hint: self.counter_reset_hint,
            schema: self.schema,
            count: self.count as f64,
            sum: self.sum,
            positive_spans: self.positive_spans.clone(),
            positive_buckets: absolute_floats(&self.positive_buckets),
            ..FloatHistogram::default()
        };
        if self.uses_custom_buckets() {
            float.custom_values = Arc::clone(&self.custom_values);
        } else {
            float.zero_threshold = self.zero_threshold;
            float.zero_count = self.zero_count as f64;
            float.negative_spans = self.negative_spans.clone();
            float.negative_buckets = absolute_floats(&self.negative_buckets);
        }
        float
    }

    /// Removes empty buckets, keeping gaps of up to `max_empty` of them inside a span.
    pub fn compact(&mut self, max_empty: usize) {
        for (spans, deltas) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            let counts;
            (*spans, counts) = Cells::read(spans, &layout::absolute(deltas)).compact(max_empty).into_layout();
            *deltas = layout::deltas(&counts);
        }
    }

    /// Merges buckets until the schema is `schema`, which must not be finer than the present one.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), HistogramError> {
        validate::check_reducible(self.schema, schema)?;
        for (spans, deltas) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            validate::check_spans(spans, deltas.len())?;
            let cells = Cells::read(spans, &layout::absolute(deltas));
            let counts;
            (*spans, counts) = cells.reduce(self.schema, schema, |a, b| *a = a.wrapping_add(*b)).into_layout();
            *deltas = layout::deltas(&counts);
        }
        self.schema = schema;
        Ok(())
    }

    /// Reduces a resolution that is readable but finer than what is computed with; refuses unknown ones.
    pub fn reduce_to_supported(&mut self) -> Result<(), HistogramError> {
        match validate::supported_schema(self.schema)? {
            schema if schema == self.schema => Ok(()),
            schema => self.reduce_resolution(schema),
        }
    }
}

impl FloatHistogram {
    /// Whether the bounds of the buckets are given one by one.
    pub fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Whether the sample is a stale marker.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// Whether schema, zero threshold, spans and custom bounds are the same, so that buckets correspond one by one.
    pub fn same_layout(&self, other: &FloatHistogram) -> bool {
        self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && self.positive_buckets.len() == other.positive_buckets.len()
            && self.negative_buckets.len() == other.negative_buckets.len()
            && (!self.uses_custom_buckets() || self.custom_values == other.custom_values)
    }

    /// Removes empty buckets, keeping gaps of up to `max_empty` of them inside a span.
    pub fn compact(&mut self, max_empty: usize) {
        for (spans, counts) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            if layout::is_compact(spans, counts, max_empty) {
                continue;
            }
            match max_empty {
                0 => layout::drop_empty(spans, counts),
                _ => (*spans, *counts) = Cells::read(spans, counts).compact(max_empty).into_layout(),
            }
        }
    }

    /// Merges buckets until the schema is `schema`, which must not be finer than the present one.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), HistogramError> {
        validate::check_reducible(self.schema, schema)?;
        for (spans, counts) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            validate::check_spans(spans, counts.len())?;
            let cells = Cells::read(spans, counts).reduce(self.schema, schema, |a, b| *a += b);
            (*spans, *counts) = cells.into_layout();
        }
        self.schema = schema;
        Ok(())
    }

    /// A copy of a coarser (or the same) resolution.
    pub fn copy_to_schema(&self, schema: i32) -> Result<FloatHistogram, HistogramError> {
        let mut copy = self.clone();
        if schema != self.schema {
            copy.counter_reset_hint = CounterResetHint::Unknown;
            copy.reduce_resolution(schema)?;
        }
        Ok(copy)
    }

    /// Reduces a resolution that is readable but finer than what is computed with; refuses unknown ones.
    pub fn reduce_to_supported(&mut self) -> Result<(), HistogramError> {
        match validate::supported_schema(self.schema)? {
            schema if schema == self.schema => Ok(()),
            schema => self.reduce_resolution(schema),
        }
    }

    /// The memory that Prometheus counts for one, bytes; its sample limits are in terms of it.
    pub fn accounted_bytes(&self) -> usize {
        let items = self.positive_spans.len() + self.negative_spans.len() + self.custom_values.len();
        168 + 8 * (items + self.positive_buckets.len() + self.negative_buckets.len())
    }

    /// Whether a count, the sum or a bound is infinite.
    pub fn has_overflow(&self) -> bool {
        [self.zero_count, self.count, self.sum]
            .iter()
            .chain(&self.positive_buckets)
            .chain(&self.negative_buckets)
            .chain(self.custom_values.iter())
            .any(|v| v.is_infinite())
    }
}

impl PartialEq for Histogram {
    /// Prometheus's `Equals`: same buckets (empty spans aside), same counts, same bits of the sum; hints do not count.
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.count == other.count
            && self.sum.to_bits() == other.sum.to_bits()
            && (!self.uses_custom_buckets() || self.custom_values == other.custom_values)
            && self.zero_threshold == other.zero_threshold
            && self.zero_count == other.zero_count
            && layout::spans_match(&self.negative_spans, &other.negative_spans)
            && self.negative_buckets == other.negative_buckets
            && layout::spans_match(&self.positive_spans, &other.positive_spans)
            && self.positive_buckets == other.positive_buckets
    }
}

impl PartialEq for FloatHistogram {
    /// Prometheus's `Equals`: same buckets (empty spans aside), same bits of all counts; hints do not count.
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && (!self.uses_custom_buckets() || self.custom_values == other.custom_values)
            && self.zero_threshold == other.zero_threshold
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && layout::spans_match(&self.negative_spans, &other.negative_spans)
            && same_bits(&self.negative_buckets, &other.negative_buckets)
            && layout::spans_match(&self.positive_spans, &other.positive_spans)
            && same_bits(&self.positive_buckets, &other.positive_buckets)
    }
}

fn same_bits(left: &[f64], right: &[f64]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(l, r)| l.to_bits() == r.to_bits())
}

/// Deltas to absolute counts, summed as floats as Prometheus does.
fn absolute_floats(deltas: &[i64]) -> Vec<f64> {
    let mut count = 0.0;
    deltas
        .iter()
        .map(|delta| {
            count += *delta as f64;
            count
        })
        .collect()
}

#[cfg(test)]
mod tests;
