//! Counter resets between two samples of one series.

use super::bounds::exponential_bound;
use super::bucket::Buckets;
use super::layout::Cells;
use super::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Span};

impl FloatHistogram {
    /// Whether a counter was reset between `previous` and this sample: any count fell or went missing, the resolution
    /// rose, or the zero bucket shrank or cuts a bucket of `previous`. A hint of this sample decides alone.
    pub fn detect_reset(&self, previous: &FloatHistogram) -> bool {
        match self.counter_reset_hint {
            CounterResetHint::CounterReset => return true,
            CounterResetHint::NotCounterReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.uses_custom_buckets() {
            if !previous.uses_custom_buckets() {
                return true;
            }
            if self.custom_values != previous.custom_values {
                return self.common_buckets_fell(previous);
            }
        }
        self.schema > previous.schema
            || self.zero_bucket_was_reset(previous)
            || self.buckets_fell(previous, &self.positive_spans, &self.positive_buckets, true)
            || self.buckets_fell(previous, &self.negative_spans, &self.negative_buckets, false)
    }

    fn zero_bucket_was_reset(&self, previous: &FloatHistogram) -> bool {
        if self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let wider = previous.wider_zero_bucket(self.zero_threshold, None);
        wider.threshold != self.zero_threshold || self.zero_count < wider.count
    }

    /// Whether a bucket of one side is smaller than, or missing from, what it was before.
    fn buckets_fell(&self, previous: &FloatHistogram, spans: &[Span], counts: &[f64], positive: bool) -> bool {
        let (old_spans, old_counts) = match positive {
            true => (&previous.positive_spans, &previous.positive_buckets),
            false => (&previous.negative_spans, &previous.negative_buckets),
        };
        let nothing_to_reconcile = self.schema == previous.schema && self.zero_threshold == previous.zero_threshold;
        if nothing_to_reconcile && spans == old_spans && self.buckets_in_zero_bucket() == (0, 0) {
            return counts.iter().zip(old_counts).any(|(now, before)| now < before);
        }
        let mut now = self.outside_zero_bucket(Cells::read(spans, counts));
        let mut before = Cells::read(old_spans, old_counts);
        if self.schema != previous.schema {
            before = before.reduce(previous.schema, self.schema, |a, b| *a += b);
        }
        self.outside_zero_bucket(before).any(|(index, before)| {
            while now.next_if(|(i, _)| *i < index).is_some() {}
            match now.peek() {
                Some((i, count)) if *i == index => *count < before,
                _ => before != 0.0,
            }
        })
    }

    fn outside_zero_bucket(&self, cells: Cells<f64>) -> std::iter::Peekable<impl Iterator<Item = (i64, f64)>> {
        let (schema, threshold) = (self.schema, self.zero_threshold);
        let inside = move |(index, _): &(i64, f64)| {
            threshold != 0.0 && schema != CUSTOM_BUCKETS_SCHEMA && exponential_bound(*index, schema) <= threshold
        };
        cells.0.into_iter().skip_while(inside).peekable()
    }

    /// For custom buckets of different bounds: whether, between bounds that both have, observations went missing.
    fn common_buckets_fell(&self, previous: &FloatHistogram) -> bool {
        let (mut now, mut before) = (UpTo::new(self), UpTo::new(previous));
        let common = super::arithmetic::common_bounds(&self.custom_values, &previous.custom_values);
        common.iter().copied().chain([f64::INFINITY]).any(|bound| now.sum(bound) < before.sum(bound))
    }
}

/// Sums buckets up to bounds that only rise.
struct UpTo<'a> {
    buckets: std::iter::Peekable<Buckets<'a>>,
}

impl<'a> UpTo<'a> {
    fn new(histogram: &'a FloatHistogram) -> Self {
        UpTo { buckets: histogram.positive().peekable() }
    }

    fn sum(&mut self, bound: f64) -> f64 {
        let mut sum = 0.0;
        while let Some(bucket) = self.buckets.next_if(|b| b.upper <= bound) {
            sum += bucket.count;
        }
        sum
    }
}
