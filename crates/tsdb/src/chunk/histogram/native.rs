//! What integer and float histograms have in common, for their chunks.

use std::sync::Arc;

use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, HistogramError, Span};
use thanoxide_model::{FloatHistogram, Histogram, is_stale_nan};

use super::layout::Layout;
use super::number::Number;

/// A histogram that a chunk can hold: [`Histogram`] or [`FloatHistogram`].
pub trait NativeHistogram: Clone + Default + std::fmt::Debug + Send + Sync {
    /// How it counts.
    type Number: Number;
    /// Whether the appender tells "no reset" and "unknown" apart when it goes on after another chunk.
    const EXACT_HEADER: bool;
    /// Whether what custom buckets do not use is left out where it becomes a float histogram.
    const TRIMS_CUSTOM: bool;

    /// All observations.
    fn count(&self) -> Self::Number;
    /// Observations in the zero bucket.
    fn zero_count(&self) -> Self::Number;
    /// Sum of the observations.
    fn sum(&self) -> f64;
    /// What the sample's writer knows of a reset.
    fn hint(&self) -> CounterResetHint;
    /// Resolution, zero bucket, spans and bounds.
    fn layout(&self) -> LayoutRef<'_>;
    /// Positive and negative buckets, as stored.
    fn buckets(&self) -> [&[Self::Number]; 2];
    /// Puts the parts together.
    fn assemble(parts: Parts<'_, Self::Number>) -> Self;
    /// As PromQL computes with it.
    fn into_float(self) -> FloatHistogram;
    /// Lowers a resolution that only readers know.
    fn reduce_to_supported(&mut self) -> Result<(), HistogramError>;

    /// Whether this is a stale marker.
    fn is_stale(&self) -> bool {
        is_stale_nan(self.sum())
    }
}

/// The layout of a histogram in memory.
#[derive(Clone, Copy, Debug)]
pub struct LayoutRef<'a> {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) spans: [&'a [Span]; 2],
    pub(super) custom_values: &'a Arc<[f64]>,
}

impl LayoutRef<'_> {
    pub(super) fn is_custom(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }
}

/// Everything a histogram is made of.
#[derive(Debug)]
pub struct Parts<'a, N> {
    pub(super) hint: CounterResetHint,
    pub(super) layout: &'a Layout,
    pub(super) count: N,
    pub(super) zero_count: N,
    pub(super) sum: f64,
    pub(super) buckets: [Vec<N>; 2],
}

impl NativeHistogram for Histogram {
    type Number = i64;
    const EXACT_HEADER: bool = true;
    const TRIMS_CUSTOM: bool = true;

    fn count(&self) -> i64 {
        self.count as i64
    }

    fn zero_count(&self) -> i64 {
        self.zero_count as i64
    }

    fn sum(&self) -> f64 {
        self.sum
    }

    fn hint(&self) -> CounterResetHint {
        self.counter_reset_hint
    }

    fn layout(&self) -> LayoutRef<'_> {
        LayoutRef {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            spans: [&self.positive_spans, &self.negative_spans],
            custom_values: &self.custom_values,
        }
    }

    fn buckets(&self) -> [&[i64]; 2] {
        [&self.positive_buckets, &self.negative_buckets]
    }

    fn assemble(parts: Parts<'_, i64>) -> Self {
        let [positive_buckets, negative_buckets] = parts.buckets;
        Histogram {
            counter_reset_hint: parts.hint,
            schema: parts.layout.schema,
            zero_threshold: parts.layout.zero_threshold,
            zero_count: parts.zero_count as u64,
            count: parts.count as u64,
            sum: parts.sum,
            positive_spans: parts.layout.spans[0].clone(),
            negative_spans: parts.layout.spans[1].clone(),
            positive_buckets,
            negative_buckets,
            custom_values: Arc::clone(&parts.layout.custom_values),
        }
    }

    fn into_float(self) -> FloatHistogram {
        self.to_float()
    }

    fn reduce_to_supported(&mut self) -> Result<(), HistogramError> {
        self.reduce_to_supported()
    }
}

impl NativeHistogram for FloatHistogram {
    type Number = f64;
    const EXACT_HEADER: bool = false;
    const TRIMS_CUSTOM: bool = false;

    fn count(&self) -> f64 {
        self.count
    }

    fn zero_count(&self) -> f64 {
        self.zero_count
    }

    fn sum(&self) -> f64 {
        self.sum
    }

    fn hint(&self) -> CounterResetHint {
        self.counter_reset_hint
    }

    fn layout(&self) -> LayoutRef<'_> {
        LayoutRef {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            spans: [&self.positive_spans, &self.negative_spans],
            custom_values: &self.custom_values,
        }
    }

    fn buckets(&self) -> [&[f64]; 2] {
        [&self.positive_buckets, &self.negative_buckets]
    }

    fn assemble(parts: Parts<'_, f64>) -> Self {
        let [positive_buckets, negative_buckets] = parts.buckets;
        FloatHistogram {
            counter_reset_hint: parts.hint,
            schema: parts.layout.schema,
            zero_threshold: parts.layout.zero_threshold,
            zero_count: parts.zero_count,
            count: parts.count,
            sum: parts.sum,
            positive_spans: parts.layout.spans[0].clone(),
            negative_spans: parts.layout.spans[1].clone(),
            positive_buckets,
            negative_buckets,
            custom_values: Arc::clone(&parts.layout.custom_values),
        }
    }

    fn into_float(self) -> FloatHistogram {
        self
    }

    fn reduce_to_supported(&mut self) -> Result<(), HistogramError> {
        self.reduce_to_supported()
    }
}
