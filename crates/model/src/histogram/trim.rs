//! PromQL's `</` and `>/`: the observations on one side of a value.
//!
//! The bucket that the value cuts keeps an interpolated part. The sum is estimated anew from the middles of what stays.

use super::{Bucket, FloatHistogram};

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those below the value: `</`.
    Below,
    /// Those above the value: `>/`.
    Above,
}

/// How one side's buckets spread their observations.
#[derive(Clone, Copy)]
struct Spread {
    positive: bool,
    linear: bool,
}

/// What is left, and whether that is less than before.
#[derive(Default)]
struct Kept {
    count: f64,
    sum: f64,
    trimmed: bool,
}

impl FloatHistogram {
    /// Keeps the observations on one side of `value`. Where nothing is cut, nothing changes, the sum included.
    pub fn trim(&mut self, value: f64, keep: Keep) {
        let linear = self.uses_custom_buckets();
        let mut kept = Kept::default();
        let (positive, has_positive) =
            kept.side(self.positive(), &self.positive_buckets, value, keep, Spread { positive: true, linear });
        let (negative, has_negative) =
            kept.side(self.negative(), &self.negative_buckets, value, keep, Spread { positive: false, linear });
        if self.zero_count > 0.0 {
            let (count, middle) = cut_zero_bucket(&self.zero_bucket(), value, keep, has_negative, has_positive);
            kept.trimmed |= count != self.zero_count;
            self.zero_count = count;
            kept.sum += middle * count;
            kept.count += count;
        }
        if kept.trimmed {
            (self.positive_buckets, self.negative_buckets) = (positive, negative);
            (self.count, self.sum) = (kept.count, kept.sum);
            self.compact(0);
        }
    }
}

impl Kept {
    /// The new counts of one side, and whether it counts anything.
    fn side(
        &mut self,
        buckets: impl Iterator<Item = Bucket>,
        counts: &[f64],
        value: f64,
        keep: Keep,
        spread: Spread,
    ) -> (Vec<f64>, bool) {
        let mut counts = counts.to_vec();
        let mut filled = false;
        for (count, bucket) in counts.iter_mut().zip(buckets).filter(|(_, bucket)| bucket.count != 0.0) {
            filled = true;
            let (inside, cut) = match keep {
                Keep::Below => (bucket.upper <= value, bucket.lower < value),
                Keep::Above => (bucket.lower >= value, bucket.upper > value),
            };
            if inside {
                self.count += bucket.count;
                self.sum += middle(bucket.lower, bucket.upper, spread) * bucket.count;
            } else if cut {
                let (part, middle) = cut_bucket(&bucket, value, keep, spread);
                self.count += part;
                self.sum += middle * part;
                self.trimmed |= *count != part;
                *count = part;
            } else {
                *count = 0.0;
                self.trimmed = true;
            }
        }
        (counts, filled)
    }
}

/// What stays of a bucket that holds the value, and the middle of that part.
fn cut_bucket(bucket: &Bucket, value: f64, keep: Keep, spread: Spread) -> (f64, f64) {
    if bucket.lower == f64::NEG_INFINITY {
        return cut_lowest_bucket(bucket, value, keep);
    }
    if bucket.upper == f64::INFINITY {
        return cut_highest_bucket(bucket, value, keep);
    }
    let below = if value <= bucket.lower {
        0.0
    } else if value >= bucket.upper {
        bucket.count
    } else {
        bucket.count * bucket.fraction_below(value, spread.linear)
    };
    match keep {
        Keep::Below => (below, middle(bucket.lower, value, spread)),
        Keep::Above => (bucket.count - below, middle(value, bucket.upper, spread)),
    }
}

/// A bucket without a lower bound counts as beginning at 0 where it ends above; otherwise nothing is known of it.
fn cut_lowest_bucket(bucket: &Bucket, value: f64, keep: Keep) -> (f64, f64) {
    let ends_above_zero = bucket.upper > 0.0 && bucket.upper.is_finite();
    match keep {
        Keep::Below if value >= bucket.upper => (bucket.count, 0.0),
        Keep::Below if value > 0.0 && ends_above_zero => (bucket.count * value / bucket.upper, value / 2.0),
        Keep::Below if bucket.upper <= 0.0 => (bucket.count, value),
        Keep::Above if value <= bucket.lower => (bucket.count, 0.0),
        Keep::Above if value >= 0.0 && bucket.upper > value && ends_above_zero => {
            (bucket.count * (1.0 - value / bucket.upper), (value + bucket.upper) / 2.0)
        }
        _ => (0.0, finite_or_zero(bucket.upper)),
    }
}

fn cut_highest_bucket(bucket: &Bucket, value: f64, keep: Keep) -> (f64, f64) {
    match keep {
        Keep::Above if value >= bucket.lower => (bucket.count, value),
        _ => (0.0, finite_or_zero(bucket.lower)),
    }
}

/// The zero bucket reaches to the side only where there are observations on that side.
fn cut_zero_bucket(bucket: &Bucket, value: f64, keep: Keep, negative: bool, positive: bool) -> (f64, f64) {
    let lower = if positive && !negative { 0.0 } else { bucket.lower };
    let upper = if negative && !positive { 0.0 } else { bucket.upper };
    let whole = (bucket.count, (lower + upper) / 2.0);
    match keep {
        Keep::Below if value <= lower => (0.0, 0.0),
        Keep::Below if value >= upper => whole,
        Keep::Below => (bucket.count * ((value - lower) / (upper - lower)), (lower + value) / 2.0),
        Keep::Above if value <= lower => whole,
        Keep::Above if value >= upper => (0.0, 0.0),
        Keep::Above => (bucket.count * ((upper - value) / (upper - lower)), (value + upper) / 2.0),
    }
}

/// The middle of an interval: arithmetic where observations spread linearly, else geometric.
fn middle(lower: f64, upper: f64, spread: Spread) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if spread.linear => (lower + upper) / 2.0,
        (false, false) => {
            let middle = (lower * upper).abs().sqrt();
            if spread.positive { middle } else { -middle }
        }
    }
}

fn finite_or_zero(value: f64) -> f64 {
    if value.is_infinite() { 0.0 } else { value }
}
