//! Sums, differences and multiples of float histograms.

use std::sync::Arc;

use super::bounds::exponential_bound;
use super::layout::{Cells, Count, Indexes};
use super::{CounterResetHint, FloatHistogram, HistogramError, Span};
use crate::kahan;

/// What users should hear of when two histograms were combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Combined {
    /// One said "reset", the other "no reset"; the result says "unknown".
    pub reset_collision: bool,
    /// Their custom bounds differ; the result has the common ones.
    pub bounds_reconciled: bool,
}

/// A count and what rounding took from it.
type Compensated = (f64, f64);

impl FloatHistogram {
    /// Adds `other`. Schema and zero bucket become the coarser of both, custom bounds the common ones. Fails where one has
    /// custom buckets and the other has not; `self` is unchanged then. The result may hold empty buckets.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Combined, HistogramError> {
        self.combine(other, 1.0)
    }

    /// As [`Self::add`], subtracting. The hint is combined as in a sum; PromQL's `-` sets it to gauge afterwards.
    pub fn sub(&mut self, other: &FloatHistogram) -> Result<Combined, HistogramError> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &FloatHistogram, sign: f64) -> Result<Combined, HistogramError> {
        self.check_combinable(other)?;
        let reset_collision = self.combine_hints(other);
        let same_layout = self.same_layout(other);
        if !self.uses_custom_buckets() {
            self.zero_count += sign * self.reconcile_zero_buckets(other, None).0;
        }
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        let bounds_reconciled = self.uses_custom_buckets() && self.custom_values != other.custom_values;
        if same_layout {
            let (positive, negative) = self.buckets_in_zero_bucket();
            add_each(&mut self.positive_buckets[positive..], &other.positive_buckets[positive..], sign);
            add_each(&mut self.negative_buckets[negative..], &other.negative_buckets[negative..], sign);
        } else if bounds_reconciled {
            self.combine_on_common_bounds(other, sign, None);
        } else {
            self.combine_layouts(other, sign);
        }
        Ok(Combined { reset_collision, bounds_reconciled })
    }

    fn combine_layouts(&mut self, other: &FloatHistogram, sign: f64) {
        let add = |a: &mut f64, b: &f64| *a += b;
        let schema = self.schema.min(other.schema);
        let (ours, theirs, threshold) = (self.schema, other.schema, self.zero_threshold);
        let merge = |spans: &[Span], counts: &[f64], other_spans: &[Span], other_counts: &[f64]| {
            let other_counts: Vec<f64> = other_counts.iter().map(|c| sign * c).collect();
            let other_cells = Cells::read(other_spans, &other_counts).reduce(theirs, schema, add);
            let cells = Cells::read(spans, counts).reduce(ours, schema, add);
            cells.merge(without_zero_bucket(other_cells, schema, threshold), add).into_layout()
        };
        (self.positive_spans, self.positive_buckets) =
            merge(&self.positive_spans, &self.positive_buckets, &other.positive_spans, &other.positive_buckets);
        (self.negative_spans, self.negative_buckets) =
            merge(&self.negative_spans, &self.negative_buckets, &other.negative_spans, &other.negative_buckets);
        self.schema = schema;
    }

    /// Adds `other`, keeping what rounding takes away in `compensation`, which begins as `None` and afterwards has the
    /// layout of `self`. At the end the compensation is added like any other histogram.
    pub fn add_compensated(
        &mut self,
        other: &FloatHistogram,
        compensation: &mut Option<FloatHistogram>,
    ) -> Result<Combined, HistogramError> {
        self.check_combinable(other)?;
        let reset_collision = self.combine_hints(other);
        let same_layout = self.same_layout(other);
        let c = compensation.get_or_insert_with(|| self.empty_compensation());
        if !self.uses_custom_buckets() {
            let (zero_count, lost) = self.reconcile_zero_buckets(other, Some(c));
            (self.zero_count, c.zero_count) = kahan::add(zero_count, self.zero_count, c.zero_count);
            (self.zero_count, c.zero_count) = kahan::add(lost, self.zero_count, c.zero_count);
        }
        (self.count, c.count) = kahan::add(other.count, self.count, c.count);
        (self.sum, c.sum) = kahan::add(other.sum, self.sum, c.sum);
        let bounds_reconciled = self.uses_custom_buckets() && self.custom_values != other.custom_values;
        if same_layout {
            let (positive, negative) = self.buckets_in_zero_bucket();
            let sides = [
                (positive, &mut self.positive_buckets, &mut c.positive_buckets, &other.positive_buckets),
                (negative, &mut self.negative_buckets, &mut c.negative_buckets, &other.negative_buckets),
            ];
            for (inside, counts, lost, others) in sides {
                add_each_compensated(&mut counts[inside..], &mut lost[inside..], &others[inside..]);
            }
        } else if bounds_reconciled {
            self.combine_on_common_bounds(other, 1.0, Some(c));
        } else {
            self.combine_layouts_compensated(other, c);
        }
        Ok(Combined { reset_collision, bounds_reconciled })
    }

    fn combine_layouts_compensated(&mut self, other: &FloatHistogram, c: &mut FloatHistogram) {
        let schema = self.schema.min(other.schema);
        let (ours, theirs, threshold) = (self.schema, other.schema, self.zero_threshold);
        let merge = |spans: &[Span], counts: &[f64], lost: &[f64], other_spans: &[Span], other_counts: &[f64]| {
            let counts: Vec<Compensated> = counts.iter().copied().zip(lost.iter().copied()).collect();
            let other_counts: Vec<Compensated> = other_counts.iter().map(|count| (*count, 0.0)).collect();
            let other_cells = Cells::read(other_spans, &other_counts).reduce(theirs, schema, add_pair);
            let cells = Cells::read(spans, &counts).reduce(ours, schema, add_pair);
            let (spans, cells) =
                cells.merge(without_zero_bucket(other_cells, schema, threshold), add_pair).into_layout();
            let (counts, lost): (Vec<f64>, Vec<f64>) = cells.into_iter().unzip();
            (spans, counts, lost)
        };
        let (spans, counts, lost) = (&self.positive_spans, &self.positive_buckets, &c.positive_buckets);
        (self.positive_spans, self.positive_buckets, c.positive_buckets) =
            merge(spans, counts, lost, &other.positive_spans, &other.positive_buckets);
        let (spans, counts, lost) = (&self.negative_spans, &self.negative_buckets, &c.negative_buckets);
        (self.negative_spans, self.negative_buckets, c.negative_buckets) =
            merge(spans, counts, lost, &other.negative_spans, &other.negative_buckets);
        self.schema = schema;
        self.give_layout_to(c);
    }

    /// Maps both to the bounds they share. Sums are compensated throughout, as Prometheus's are.
    fn combine_on_common_bounds(&mut self, other: &FloatHistogram, sign: f64, c: Option<&mut FloatHistogram>) {
        let bounds = common_bounds(&self.custom_values, &other.custom_values);
        let mut target = vec![(0.0, 0.0); bounds.len() + 1];
        let lost = c.as_ref().map_or(&[][..], |c| &c.positive_buckets);
        map_to_bounds(self, lost, 1.0, &bounds, &mut target);
        map_to_bounds(other, &[], sign, &bounds, &mut target);
        let filled = target.into_iter().enumerate().filter(|(_, cell)| !cell.is_empty());
        let (spans, cells) = Cells(filled.map(|(i, cell)| (i as i64, cell)).collect()).into_layout();
        let (counts, lost): (Vec<f64>, Vec<f64>) = cells.into_iter().unzip();
        (self.positive_spans, self.positive_buckets, self.custom_values) = (spans, counts, bounds);
        if let Some(c) = c {
            c.positive_buckets = lost;
            self.give_layout_to(c);
        }
    }

    /// Multiplies all counts and the sum; a negative factor makes a gauge.
    pub fn mul(&mut self, factor: f64) {
        self.scale(|v| v * factor);
        if factor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
    }

    /// Divides all counts and the sum; a negative divisor makes a gauge, zero leaves no buckets.
    pub fn div(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive_spans.clear();
            self.positive_buckets.clear();
            self.negative_spans.clear();
            self.negative_buckets.clear();
        }
        self.scale(|v| v / divisor);
        if divisor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
    }

    fn scale(&mut self, by: impl Fn(f64) -> f64) {
        let totals = [&mut self.zero_count, &mut self.count, &mut self.sum];
        for value in totals.into_iter().chain(&mut self.positive_buckets).chain(&mut self.negative_buckets) {
            *value = by(*value);
        }
    }

    fn check_combinable(&self, other: &FloatHistogram) -> Result<(), HistogramError> {
        match self.uses_custom_buckets() == other.uses_custom_buckets() {
            true => Ok(()),
            false => Err(HistogramError::IncompatibleSchema),
        }
    }

    /// Equal hints stay, a gauge makes a gauge, all else is unknown. True where "reset" met "no reset".
    fn combine_hints(&mut self, other: &FloatHistogram) -> bool {
        use CounterResetHint::{Gauge, Unknown};
        let (ours, theirs) = (self.counter_reset_hint, other.counter_reset_hint);
        self.counter_reset_hint = match (ours, theirs) {
            _ if ours == theirs => ours,
            (Gauge, _) | (_, Gauge) => Gauge,
            _ => Unknown,
        };
        ours != theirs && [ours, theirs].iter().all(|hint| !matches!(hint, Unknown | Gauge))
    }

    /// How many buckets of each side lie inside the zero bucket, which they should not; sums leave them out.
    pub(super) fn buckets_in_zero_bucket(&self) -> (usize, usize) {
        if self.uses_custom_buckets() {
            return (0, 0);
        }
        let inside = |index: &i64| exponential_bound(*index, self.schema) <= self.zero_threshold;
        let count = |spans: &[Span], counts: &[f64]| Indexes::new(spans).take(counts.len()).take_while(inside).count();
        (count(&self.positive_spans, &self.positive_buckets), count(&self.negative_spans, &self.negative_buckets))
    }

    fn empty_compensation(&self) -> FloatHistogram {
        let mut empty = FloatHistogram {
            counter_reset_hint: self.counter_reset_hint,
            positive_buckets: vec![0.0; self.positive_buckets.len()],
            negative_buckets: vec![0.0; self.negative_buckets.len()],
            ..FloatHistogram::default()
        };
        self.give_layout_to(&mut empty);
        empty
    }

    fn give_layout_to(&self, c: &mut FloatHistogram) {
        c.schema = self.schema;
        c.zero_threshold = self.zero_threshold;
        c.positive_spans.clone_from(&self.positive_spans);
        c.negative_spans.clone_from(&self.negative_spans);
        c.custom_values = Arc::clone(&self.custom_values);
    }
}

fn add_each(to: &mut [f64], counts: &[f64], sign: f64) {
    for (to, count) in to.iter_mut().zip(counts) {
        *to += sign * count;
    }
}

fn add_each_compensated(to: &mut [f64], lost: &mut [f64], counts: &[f64]) {
    for ((to, lost), count) in to.iter_mut().zip(lost).zip(counts) {
        (*to, *lost) = kahan::add(*count, *to, *lost);
    }
}

fn add_pair(to: &mut Compensated, from: &Compensated) {
    *to = kahan::add(from.0, to.0, to.1);
    if from.1 != 0.0 {
        *to = kahan::add(from.1, to.0, to.1);
    }
}

/// Without the leading buckets that lie inside the zero bucket and are counted there already.
fn without_zero_bucket<T: Count>(mut cells: Cells<T>, schema: i32, threshold: f64) -> Cells<T> {
    if schema != super::CUSTOM_BUCKETS_SCHEMA {
        let inside = cells.0.iter().take_while(|(index, _)| exponential_bound(*index, schema) <= threshold).count();
        cells.0.drain(..inside);
    }
    cells
}

/// The bounds that both sorted lists have.
pub(super) fn common_bounds(left: &[f64], right: &[f64]) -> Arc<[f64]> {
    let mut right = right.iter().copied().peekable();
    let shared = |bound: &f64| {
        while right.next_if(|r| r < bound).is_some() {}
        right.next_if_eq(bound).is_some()
    };
    left.iter().copied().filter(shared).collect()
}

/// Adds the custom buckets to those of coarser bounds; what lies above the last bound goes to the last bucket.
fn map_to_bounds(histogram: &FloatHistogram, lost: &[f64], sign: f64, bounds: &[f64], target: &mut [Compensated]) {
    let mut at = 0;
    for (i, (count, index)) in
        histogram.positive_buckets.iter().zip(Indexes::new(&histogram.positive_spans)).enumerate()
    {
        let upper = usize::try_from(index).ok().and_then(|index| histogram.custom_values.get(index));
        while at < bounds.len() && upper.is_none_or(|upper| bounds[at] < *upper) {
            at += 1;
        }
        let cell = &mut target[at];
        *cell = kahan::add(sign * count, cell.0, cell.1);
        if let Some(lost) = lost.get(i) {
            *cell = kahan::add(*lost, cell.0, cell.1);
        }
    }
}
