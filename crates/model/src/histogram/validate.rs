//! What makes a histogram from outside acceptable, in Prometheus's words.

use thiserror::Error;

use super::{
    CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, MAX_READABLE_SCHEMA, MAX_SCHEMA, MIN_READABLE_SCHEMA, MIN_SCHEMA,
    Span,
};
use crate::float::{format_f, format_g};

/// Why a histogram cannot be used, or not together with another.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the texts say what each field is")]
pub enum HistogramError {
    /// One side of an exponential histogram is wrong.
    #[error("{side} side: {error}")]
    Side { side: &'static str, error: Box<HistogramError> },
    /// The layout of custom buckets is wrong.
    #[error("custom buckets: {0}")]
    Custom(Box<HistogramError>),
    /// Only the first span may begin below the one before.
    #[error("span number {number} with offset {offset}: histogram has a span whose offset is negative")]
    NegativeOffset { number: usize, offset: i32 },
    /// Spans and buckets do not agree.
    #[error(
        "spans need {needed} buckets, have {given} buckets: histogram spans specify different number of buckets than provided"
    )]
    SpansMismatch { needed: u64, given: usize },
    /// A bucket counts less than nothing.
    #[error(
        "bucket number {number} has observation count of {count}: histogram has a bucket whose observation count is negative"
    )]
    NegativeBucket { number: usize, count: String },
    /// The zero bucket counts less than nothing.
    #[error("zero bucket has observation count of {0}: histogram has a bucket whose observation count is negative")]
    NegativeZeroBucket(String),
    /// The count is below zero.
    #[error("observation count is  {0}: histogram's observation count is negative")]
    NegativeCount(String),
    /// Count and buckets do not agree.
    #[error(
        "{found} observations found in buckets, but the Count field is {count}: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)"
    )]
    CountMismatch { found: u64, count: u64 },
    /// The count is below the sum of the buckets.
    #[error(
        "{found} observations found in buckets, but the Count field is {count}: histogram's observation count should be at least the number of observations found in the buckets"
    )]
    CountTooSmall { found: u64, count: u64 },
    /// A custom bound is no number.
    #[error("histogram custom bounds must not be NaN")]
    CustomBoundNan,
    /// Custom bounds are not sorted.
    #[error(
        "previous bound is {previous} and current is {current}: histogram custom bounds must be in strictly increasing order"
    )]
    CustomBoundsOrder { previous: String, current: String },
    /// The last bucket has no bound of its own.
    #[error("last +Inf bound must not be explicitly defined: histogram custom bounds must be finite")]
    CustomBoundInfinite,
    /// More buckets than custom bounds.
    #[error(
        "only {bounds} custom bounds defined which is insufficient to cover total span length of {needed}: histogram custom bounds are too few"
    )]
    CustomBoundsTooFew { bounds: usize, needed: i64 },
    /// Custom buckets have no zero bucket.
    #[error("custom buckets: must have zero count of 0")]
    CustomZeroCount,
    /// Custom buckets have no zero bucket.
    #[error("custom buckets: must have zero threshold of 0")]
    CustomZeroThreshold,
    /// Custom buckets have one side.
    #[error("custom buckets: must not have negative spans")]
    CustomNegativeSpans,
    /// Custom buckets have one side.
    #[error("custom buckets: must not have negative buckets")]
    CustomNegativeBuckets,
    /// Exponential buckets have no bounds of their own.
    #[error("histogram with exponential schema must not have custom bounds")]
    ExponentialWithCustomBounds,
    /// A schema that cannot be computed with.
    #[error(
        "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets, got schema {0}"
    )]
    InvalidSchema(i32),
    /// A schema that cannot even be read.
    #[error(
        "histogram has an unknown schema, which must be between -9 and 52 for exponential buckets, or -53 for custom buckets, got schema {0}"
    )]
    UnknownSchema(i32),
    /// Custom bounds cannot become coarser.
    #[error("cannot reduce resolution when there are custom buckets")]
    ReduceCustom,
    /// Exponential buckets cannot become custom ones.
    #[error("cannot reduce resolution to custom buckets schema")]
    ReduceToCustom,
    /// Resolution can only be reduced.
    #[error("cannot reduce resolution from schema {from} to {to}")]
    ReduceToFiner { from: i32, to: i32 },
    /// An operation over both kinds of buckets.
    #[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
    IncompatibleSchema,
}

impl Histogram {
    /// Checks spans, buckets, bounds and that the count is what the buckets add up to.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let mut found = self.zero_count;
        if self.uses_custom_buckets() {
            check_custom(&self.custom_values, &self.positive_spans, self.positive_buckets.len())?;
            check_no_zero_bucket(self.zero_count != 0, self.zero_threshold)?;
            check_no_negative(&self.negative_spans, self.negative_buckets.len())?;
        } else {
            check_exponential(self.schema)?;
            side("positive", check_spans(&self.positive_spans, self.positive_buckets.len()))?;
            side("negative", check_spans(&self.negative_spans, self.negative_buckets.len()))?;
            found = found.wrapping_add(side("negative", sum_deltas(&self.negative_buckets))?);
            check_no_custom_bounds(&self.custom_values)?;
        }
        found = found.wrapping_add(side("positive", sum_deltas(&self.positive_buckets))?);
        let count = self.count;
        match self.sum.is_nan() {
            true if found > count => Err(HistogramError::CountTooSmall { found, count }),
            false if found != count => Err(HistogramError::CountMismatch { found, count }),
            _ => Ok(()),
        }
    }
}

impl FloatHistogram {
    /// Checks spans, buckets and bounds. The count is not compared with the buckets: floats round.
    pub fn validate(&self) -> Result<(), HistogramError> {
        if self.uses_custom_buckets() {
            check_custom(&self.custom_values, &self.positive_spans, self.positive_buckets.len())?;
            check_no_zero_bucket(self.zero_count != 0.0, self.zero_threshold)?;
            check_no_negative(&self.negative_spans, self.negative_buckets.len())?;
        } else {
            check_exponential(self.schema)?;
            side("positive", check_spans(&self.positive_spans, self.positive_buckets.len()))?;
            side("negative", check_spans(&self.negative_spans, self.negative_buckets.len()))?;
            side("negative", check_counts(&self.negative_buckets))?;
            if self.zero_count < 0.0 {
                return Err(HistogramError::NegativeZeroBucket(format_g(self.zero_count)));
            }
            check_no_custom_bounds(&self.custom_values)?;
        }
        if self.count < 0.0 {
            return Err(HistogramError::NegativeCount(format_g(self.count)));
        }
        side("positive", check_counts(&self.positive_buckets))
    }
}

fn side<T>(side: &'static str, checked: Result<T, HistogramError>) -> Result<T, HistogramError> {
    checked.map_err(|error| HistogramError::Side { side, error: Box::new(error) })
}

fn check_exponential(schema: i32) -> Result<(), HistogramError> {
    match schema {
        MIN_SCHEMA..=MAX_SCHEMA => Ok(()),
        _ => Err(HistogramError::InvalidSchema(schema)),
    }
}

/// The schema to bring a histogram to that was read with `schema`.
pub(super) fn supported_schema(schema: i32) -> Result<i32, HistogramError> {
    match schema {
        CUSTOM_BUCKETS_SCHEMA | MIN_READABLE_SCHEMA..=MAX_SCHEMA => Ok(schema),
        ..=MAX_READABLE_SCHEMA if schema > MAX_SCHEMA => Ok(MAX_SCHEMA),
        _ => Err(HistogramError::UnknownSchema(schema)),
    }
}

pub(super) fn check_reducible(from: i32, to: i32) -> Result<(), HistogramError> {
    match (from, to) {
        (CUSTOM_BUCKETS_SCHEMA, _) => Err(HistogramError::ReduceCustom),
        (_, CUSTOM_BUCKETS_SCHEMA) => Err(HistogramError::ReduceToCustom),
        _ if to > from => Err(HistogramError::ReduceToFiner { from, to }),
        _ => Ok(()),
    }
}

pub(super) fn check_spans(spans: &[Span], buckets: usize) -> Result<(), HistogramError> {
    check_offsets(spans.iter().enumerate().skip(1))?;
    check_length(spans, buckets)
}

fn check_offsets<'a>(mut spans: impl Iterator<Item = (usize, &'a Span)>) -> Result<(), HistogramError> {
    match spans.find(|(_, span)| span.offset < 0) {
        Some((i, span)) => Err(HistogramError::NegativeOffset { number: i + 1, offset: span.offset }),
        None => Ok(()),
    }
}

fn check_length(spans: &[Span], given: usize) -> Result<(), HistogramError> {
    let needed = spans.iter().map(|span| u64::from(span.length)).sum();
    if needed == given as u64 { Ok(()) } else { Err(HistogramError::SpansMismatch { needed, given }) }
}

fn check_counts(counts: &[f64]) -> Result<(), HistogramError> {
    match counts.iter().enumerate().find(|(_, count)| **count < 0.0) {
        Some((i, count)) => Err(HistogramError::NegativeBucket { number: i + 1, count: format_g(*count) }),
        None => Ok(()),
    }
}

fn sum_deltas(deltas: &[i64]) -> Result<u64, HistogramError> {
    let (mut count, mut sum) = (0i64, 0u64);
    for (i, delta) in deltas.iter().enumerate() {
        count = count.wrapping_add(*delta);
        let observations = u64::try_from(count)
            .map_err(|_| HistogramError::NegativeBucket { number: i + 1, count: count.to_string() })?;
        sum = sum.wrapping_add(observations);
    }
    Ok(sum)
}

fn check_custom(bounds: &[f64], spans: &[Span], buckets: usize) -> Result<(), HistogramError> {
    let checked = check_bounds(bounds)
        .and_then(|()| check_offsets(spans.iter().enumerate()))
        .and_then(|()| check_length(spans, buckets))
        .and_then(|()| check_enough_bounds(bounds, spans));
    checked.map_err(|error| HistogramError::Custom(Box::new(error)))
}

fn check_bounds(bounds: &[f64]) -> Result<(), HistogramError> {
    let mut previous = f64::NEG_INFINITY;
    for (i, current) in bounds.iter().copied().enumerate() {
        if current.is_nan() {
            return Err(HistogramError::CustomBoundNan);
        }
        if i > 0 && current <= previous {
            let (previous, current) = (six_decimals(previous), six_decimals(current));
            return Err(HistogramError::CustomBoundsOrder { previous, current });
        }
        previous = current;
    }
    if previous == f64::INFINITY { Err(HistogramError::CustomBoundInfinite) } else { Ok(()) }
}

fn check_enough_bounds(bounds: &[f64], spans: &[Span]) -> Result<(), HistogramError> {
    let needed = spans.iter().map(|span| i64::from(span.length) + i64::from(span.offset)).sum();
    match bounds.len() as i64 + 1 < needed {
        true => Err(HistogramError::CustomBoundsTooFew { bounds: bounds.len(), needed }),
        false => Ok(()),
    }
}

fn check_no_zero_bucket(counted: bool, threshold: f64) -> Result<(), HistogramError> {
    if counted {
        return Err(HistogramError::CustomZeroCount);
    }
    if threshold != 0.0 { Err(HistogramError::CustomZeroThreshold) } else { Ok(()) }
}

fn check_no_negative(spans: &[Span], buckets: usize) -> Result<(), HistogramError> {
    if !spans.is_empty() {
        return Err(HistogramError::CustomNegativeSpans);
    }
    if buckets > 0 { Err(HistogramError::CustomNegativeBuckets) } else { Ok(()) }
}

fn check_no_custom_bounds(bounds: &[f64]) -> Result<(), HistogramError> {
    if bounds.is_empty() { Ok(()) } else { Err(HistogramError::ExponentialWithCustomBounds) }
}

/// Go's `%f`.
fn six_decimals(value: f64) -> String {
    if value.is_finite() { format!("{value:.6}") } else { format_f(value) }
}
