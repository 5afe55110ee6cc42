//! Zero buckets of different width brought together.

use super::FloatHistogram;
use super::layout::Cells;
use crate::kahan;

/// What a histogram's zero bucket would hold with a larger threshold.
pub(super) struct WiderZeroBucket {
    /// Observations.
    pub(super) count: f64,
    /// What rounding took from `count`.
    pub(super) compensation: f64,
    /// The threshold, raised to the end of a bucket that it would have cut.
    pub(super) threshold: f64,
}

impl FloatHistogram {
    /// The zero bucket widened to `threshold` (not below the present one) or, where that lies within a populated bucket,
    /// to that bucket's end. `compensations` belong to the positive and the negative buckets.
    pub(super) fn wider_zero_bucket(&self, threshold: f64, compensation: Option<&FloatHistogram>) -> WiderZeroBucket {
        let mut wider = WiderZeroBucket {
            count: self.zero_count,
            compensation: compensation.map_or(0.0, |c| c.zero_count),
            threshold,
        };
        if threshold == self.zero_threshold {
            return wider;
        }
        loop {
            wider.count = self.zero_count;
            wider.swallow_positive(self, compensation);
            if !wider.swallow_negative(self, compensation) {
                return wider;
            }
        }
    }

    /// Empties and removes the buckets inside the zero bucket, whose threshold must be a bucket's bound.
    pub(super) fn drop_buckets_in_zero_bucket(&mut self, compensation: Option<&mut FloatHistogram>) {
        let threshold = self.zero_threshold;
        let positive = self.positive().take_while(|b| b.lower < threshold).count();
        let negative = self.negative().take_while(|b| b.upper > -threshold).count();
        self.positive_buckets[..positive].fill(0.0);
        self.negative_buckets[..negative].fill(0.0);
        match compensation {
            None => self.compact(0),
            Some(c) => {
                c.positive_buckets[..positive].fill(0.0);
                c.negative_buckets[..negative].fill(0.0);
                self.compact_with(c);
            }
        }
    }

    /// Compacts both; a bucket stays where its compensation is not zero.
    fn compact_with(&mut self, c: &mut FloatHistogram) {
        let pairs = |counts: &[f64], lost: &[f64]| counts.iter().copied().zip(lost.iter().copied()).collect::<Vec<_>>();
        let (spans, cells) = Cells::read(&self.positive_spans, &pairs(&self.positive_buckets, &c.positive_buckets))
            .compact(0)
            .into_layout();
        self.positive_spans = spans;
        (self.positive_buckets, c.positive_buckets) = cells.into_iter().unzip();
        let (spans, cells) = Cells::read(&self.negative_spans, &pairs(&self.negative_buckets, &c.negative_buckets))
            .compact(0)
            .into_layout();
        self.negative_spans = spans;
        (self.negative_buckets, c.negative_buckets) = cells.into_iter().unzip();
    }

    /// Widens this histogram's zero bucket until it can hold the other's and cuts no populated bucket of either.
    /// Returns what the other's zero bucket holds then (count, compensation).
    pub(super) fn reconcile_zero_buckets(
        &mut self,
        other: &FloatHistogram,
        mut compensation: Option<&mut FloatHistogram>,
    ) -> (f64, f64) {
        let mut theirs =
            WiderZeroBucket { count: other.zero_count, compensation: 0.0, threshold: other.zero_threshold };
        while theirs.threshold != self.zero_threshold {
            let before = (theirs.threshold, self.zero_threshold);
            if self.zero_threshold > theirs.threshold {
                theirs = other.wider_zero_bucket(self.zero_threshold, None);
            }
            if theirs.threshold > self.zero_threshold {
                let ours = self.wider_zero_bucket(theirs.threshold, compensation.as_deref());
                self.zero_count = ours.count;
                self.zero_threshold = ours.threshold;
                if let Some(c) = compensation.as_deref_mut() {
                    c.zero_count = ours.compensation;
                }
                self.drop_buckets_in_zero_bucket(compensation.as_deref_mut());
            }
            if before == (theirs.threshold, self.zero_threshold)
                || theirs.threshold.is_nan()
                || self.zero_threshold.is_nan()
            {
                break; // NaN thresholds never meet.
            }
        }
        (theirs.count, theirs.compensation)
    }
}

impl WiderZeroBucket {
    fn swallow_positive(&mut self, histogram: &FloatHistogram, c: Option<&FloatHistogram>) {
        for (i, bucket) in histogram.positive().enumerate() {
            if bucket.lower >= self.threshold {
                return;
            }
            self.add(bucket.count, c.and_then(|c| c.positive_buckets.get(i)));
            if bucket.upper > self.threshold {
                if bucket.count != 0.0 {
                    self.threshold = bucket.upper;
                }
                return;
            }
        }
    }

    /// True where the threshold was raised, so that the positive side has to be looked at again.
    fn swallow_negative(&mut self, histogram: &FloatHistogram, c: Option<&FloatHistogram>) -> bool {
        for (i, bucket) in histogram.negative().enumerate() {
            if bucket.upper <= -self.threshold {
                return false;
            }
            self.add(bucket.count, c.and_then(|c| c.negative_buckets.get(i)));
            if bucket.lower < -self.threshold {
                if bucket.count != 0.0 {
                    self.threshold = -bucket.lower;
                    return true;
                }
                return false;
            }
        }
        false
    }

    fn add(&mut self, count: f64, lost: Option<&f64>) {
        (self.count, self.compensation) = kahan::add(count, self.count, self.compensation);
        if let Some(lost) = lost {
            (self.count, self.compensation) = kahan::add(*lost, self.count, self.compensation);
        }
    }
}
