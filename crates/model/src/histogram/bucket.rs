//! Buckets one by one: walking, printing, JSON.

use std::fmt;

use super::bounds::bound;
use super::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, Span};
use crate::float::{format_g, format_json};
use crate::go_math::log2;

/// One bucket, bounds written out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Whether `lower` itself is in the bucket.
    pub lower_inclusive: bool,
    /// Whether `upper` itself is in the bucket.
    pub upper_inclusive: bool,
    /// Observations.
    pub count: f64,
    /// Index in its side's schema; 0 for the zero bucket.
    pub index: i64,
}

impl Bucket {
    /// The part of the bucket at or below `value`, which must lie strictly inside the finite bounds: linear, or on a
    /// logarithmic scale as exponential buckets want it.
    pub fn fraction_below(&self, value: f64, linear: bool) -> f64 {
        if linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let (lower, upper) = (log2(self.lower.abs()), log2(self.upper.abs()));
        let at = log2(value.abs());
        if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - ((at - upper) / (lower - upper)) }
    }

    /// How the HTTP API numbers the kinds of intervals: 0 `(]`, 1 `[)`, 2 `()`, 3 `[]`.
    pub fn boundaries(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }
}

impl fmt::Display for Bucket {
    /// `(0.5,1]:3`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        write!(f, "{open}{},{}{close}:{}", format_g(self.lower), format_g(self.upper), format_g(self.count))
    }
}

/// Indexes and counts of one side's buckets, away from zero; backwards towards it.
#[derive(Clone, Debug)]
pub struct Counts<'a> {
    spans: &'a [Span],
    counts: &'a [f64],
    front: Cursor,
    back: Cursor,
}

/// A place in the spans. At the front `left` buckets of the span are still to come from `index` on; at the back
/// `left` of them lie before `index`.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    span: usize,
    left: u32,
    index: i64,
}

impl<'a> Counts<'a> {
    fn new(spans: &'a [Span], counts: &'a [f64]) -> Self {
        let (first, last) = (spans.first().copied().unwrap_or_default(), spans.last().copied().unwrap_or_default());
        let end = spans.iter().map(|s| i64::from(s.offset) + i64::from(s.length)).sum();
        Counts {
            spans,
            counts,
            front: Cursor { span: 0, left: first.length, index: i64::from(first.offset) },
            back: Cursor { span: spans.len().saturating_sub(1), left: last.length, index: end },
        }
    }
}

impl Iterator for Counts<'_> {
    type Item = (i64, f64);

    fn next(&mut self) -> Option<(i64, f64)> {
        let (count, rest) = self.counts.split_first()?;
        while self.front.left == 0 {
            self.front.span += 1;
            let span = self.spans.get(self.front.span)?;
            self.front.index += i64::from(span.offset);
            self.front.left = span.length;
        }
        self.counts = rest;
        self.front.left -= 1;
        self.front.index += 1;
        Some((self.front.index - 1, *count))
    }
}

impl DoubleEndedIterator for Counts<'_> {
    fn next_back(&mut self) -> Option<(i64, f64)> {
        let (count, rest) = self.counts.split_last()?;
        while self.back.left == 0 {
            self.back.index -= i64::from(self.spans.get(self.back.span)?.offset);
            self.back.span = self.back.span.checked_sub(1)?;
            self.back.left = self.spans[self.back.span].length;
        }
        self.counts = rest;
        self.back.left -= 1;
        self.back.index -= 1;
        Some((self.back.index, *count))
    }
}

/// The buckets of one side, away from zero; backwards towards it.
#[derive(Clone, Debug)]
pub struct Buckets<'a> {
    histogram: &'a FloatHistogram,
    positive: bool,
    counts: Counts<'a>,
}

impl Iterator for Buckets<'_> {
    type Item = Bucket;

    fn next(&mut self) -> Option<Bucket> {
        let (index, count) = self.counts.next()?;
        Some(self.histogram.bucket(self.positive, index, count))
    }
}

impl DoubleEndedIterator for Buckets<'_> {
    fn next_back(&mut self) -> Option<Bucket> {
        let (index, count) = self.counts.next_back()?;
        Some(self.histogram.bucket(self.positive, index, count))
    }
}

impl FloatHistogram {
    /// The positive buckets, ascending; reversible.
    pub fn positive(&self) -> Buckets<'_> {
        Buckets { histogram: self, positive: true, counts: self.positive_counts() }
    }

    /// The negative buckets from the zero bucket down; reversible.
    pub fn negative(&self) -> Buckets<'_> {
        Buckets { histogram: self, positive: false, counts: self.negative_counts() }
    }

    /// Indexes and counts of the positive buckets.
    pub fn positive_counts(&self) -> Counts<'_> {
        Counts::new(&self.positive_spans, &self.positive_buckets)
    }

    /// Indexes and counts of the negative buckets.
    pub fn negative_counts(&self) -> Counts<'_> {
        Counts::new(&self.negative_spans, &self.negative_buckets)
    }

    fn bucket(&self, positive: bool, index: i64, count: f64) -> Bucket {
        let near = bound(index - 1, self.schema, &self.custom_values);
        let far = bound(index, self.schema, &self.custom_values);
        let (lower, upper) = if positive { (near, far) } else { (-far, -near) };
        let custom = self.schema == CUSTOM_BUCKETS_SCHEMA;
        Bucket {
            lower,
            upper,
            lower_inclusive: if custom { index == 0 } else { lower < 0.0 },
            upper_inclusive: custom || upper > 0.0,
            count,
            index,
        }
    }

    /// The bucket of an index, ending or beginning at the zero bucket where that overlaps it. It counts nothing.
    pub fn bucket_at(&self, positive: bool, index: i64) -> Bucket {
        self.clip_at_zero_bucket(self.bucket(positive, index, 0.0))
    }

    /// The zero bucket.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        }
    }

    /// All buckets ascending: the negative ones, the zero bucket where it counts anything, the positive ones. Buckets
    /// that the zero bucket overlaps end or begin at its threshold.
    pub fn all_buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        let clip = |b| self.clip_at_zero_bucket(b);
        self.negative().rev().map(clip).chain(self.counted_zero_bucket()).chain(self.positive().map(clip))
    }

    /// As [`Self::all_buckets`], descending.
    pub fn all_buckets_reversed(&self) -> impl Iterator<Item = Bucket> + '_ {
        let clip = |b| self.clip_at_zero_bucket(b);
        self.positive().rev().map(clip).chain(self.counted_zero_bucket()).chain(self.negative().map(clip))
    }

    fn counted_zero_bucket(&self) -> Option<Bucket> {
        (self.zero_count > 0.0).then(|| self.zero_bucket())
    }

    fn clip_at_zero_bucket(&self, mut bucket: Bucket) -> Bucket {
        if bucket.upper < 0.0 && bucket.upper > -self.zero_threshold {
            bucket.upper = -self.zero_threshold;
        } else if bucket.lower > 0.0 && bucket.lower < self.zero_threshold {
            bucket.lower = self.zero_threshold;
        }
        bucket
    }

    /// Appends the form of the HTTP API: `{"count":"…","sum":"…","buckets":[[b,"lo","hi","n"],…]}`.
    pub fn push_json(&self, out: &mut String) {
        out.push_str(&format!(r#"{{"count":"{}","sum":"{}""#, format_json(self.count), format_json(self.sum)));
        let mut separator = r#","buckets":["#;
        for bucket in self.all_buckets().filter(|b| b.count != 0.0) {
            let (lower, upper) = (format_json(bucket.lower), format_json(bucket.upper));
            let (kind, count) = (bucket.boundaries(), format_json(bucket.count));
            out.push_str(&format!(r#"{separator}[{kind},"{lower}","{upper}","{count}"]"#));
            separator = ",";
        }
        out.push_str(if separator == "," { "]}" } else { "}" });
    }
}

impl fmt::Display for FloatHistogram {
    /// `{count:12, sum:3.5, [-0.001,0.001]:2, (0.5,1]:10}`: ascending, empty buckets left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", format_g(self.count), format_g(self.sum))?;
        let zero = (self.zero_count != 0.0).then(|| self.zero_bucket());
        for bucket in self.negative().rev().chain(zero).chain(self.positive()).filter(|b| b.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Display for Histogram {
    /// As the float histogram of the same counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_float(), f)
    }
}
