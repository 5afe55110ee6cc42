//! Quantiles, fractions and moments of native histograms.

use thanoxide_model::histogram::Bucket;
use thanoxide_model::{FloatHistogram, kahan};

use super::classic::capped;
use super::go_math;
use crate::annotations::{Note, Place};

/// What is worth telling about a quantile or fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remark {
    /// The quantile lies among NaN observations.
    ResultIsNan,
    /// NaN observations push the quantile up.
    Skewed,
    /// NaN observations are in no fraction.
    NanExcluded,
}

impl Remark {
    pub(crate) fn note(self, name: &[u8], position: Place) -> Note {
        match self {
            Remark::ResultIsNan => Note::quantile_is_nan(name, position),
            Remark::Skewed => Note::quantile_is_skewed(name, position),
            Remark::NanExcluded => Note::fraction_excludes_nan(name, position),
        }
    }
}

/// `histogram_quantile`: linear in the zero bucket and in custom buckets, else on a logarithmic scale.
pub(crate) fn quantile(q: f64, histogram: &FloatHistogram) -> (f64, Option<Remark>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    // NaN observations are counted but in no bucket; then only counting from below finds the right one.
    let upwards = histogram.sum.is_nan() || q < 0.5;
    let rank = if upwards { q * histogram.count } else { (1.0 - q) * histogram.count };
    if upwards {
        locate(histogram, &mut histogram.all_buckets(), rank, true)
    } else {
        locate(histogram, &mut histogram.all_buckets_reversed(), rank, false)
    }
}

fn locate(
    histogram: &FloatHistogram,
    buckets: &mut dyn Iterator<Item = Bucket>,
    rank: f64,
    upwards: bool,
) -> (f64, Option<Remark>) {
    let custom = histogram.uses_custom_buckets();
    let mut count = 0.0;
    let mut bucket =
        Bucket { lower: 0.0, upper: 0.0, lower_inclusive: false, upper_inclusive: false, count: 0.0, index: 0 };
    for next in &mut *buckets {
        bucket = next;
        count += bucket.count;
        if bucket.count != 0.0 && count >= rank {
            break;
        }
    }
    if custom && bucket.lower == f64::NEG_INFINITY {
        if bucket.upper <= 0.0 {
            return (bucket.upper, None);
        }
        bucket.lower = 0.0;
    } else if custom && bucket.upper == f64::INFINITY {
        return (bucket.lower, None);
    } else if !custom && bucket.lower < 0.0 && bucket.upper > 0.0 {
        bound_by_zero(histogram, &mut bucket);
    }
    count = if count > histogram.count { histogram.count } else { count };
    if count < rank {
        let nan = histogram.sum.is_nan();
        return if nan { (f64::NAN, Some(Remark::ResultIsNan)) } else { (bucket.upper, None) };
    }
    let rank = if upwards { rank - (count - bucket.count) } else { count - rank };
    let mut remark = None;
    let mut divisor = bucket.count;
    if histogram.sum.is_nan() {
        for rest in buckets {
            count += rest.count;
            // Prometheus goes on with the last bucket seen.
            bucket = rest;
            divisor = rest.count;
        }
        remark = (count < histogram.count).then_some(Remark::Skewed);
    }
    (inside(&bucket, rank / divisor, custom), remark)
}

/// Where all observations are on one side, zero bounds the zero bucket.
fn bound_by_zero(histogram: &FloatHistogram, bucket: &mut Bucket) {
    if histogram.negative_buckets.is_empty() && !histogram.positive_buckets.is_empty() {
        bucket.lower = 0.0;
    } else if histogram.positive_buckets.is_empty() && !histogram.negative_buckets.is_empty() {
        bucket.upper = 0.0;
    }
}

fn inside(bucket: &Bucket, fraction: f64, custom: bool) -> f64 {
    if custom || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (lower, upper) = (go_math::log2(bucket.lower.abs()), go_math::log2(bucket.upper.abs()));
    if bucket.lower > 0.0 {
        go_math::exp2(lower + (upper - lower) * fraction)
    } else {
        -go_math::exp2(upper + (lower - upper) * (1.0 - fraction))
    }
}

/// `histogram_fraction`
pub(crate) fn fraction(low: f64, high: f64, histogram: &FloatHistogram) -> (f64, Option<Remark>) {
    if histogram.count == 0.0 || low.is_nan() || high.is_nan() {
        return (f64::NAN, None);
    }
    if low >= high {
        return (0.0, None);
    }
    let (mut total, mut remark) = (histogram.count, None);
    if histogram.sum.is_nan() {
        total = histogram.all_buckets().fold(0.0, |sum, b| sum + b.count);
        remark = (total < histogram.count).then_some(Remark::NanExcluded);
    }
    let below = |value: f64| capped(below(value, histogram), total);
    ((below(high) - below(low)) / histogram.count, remark)
}

/// How many observations are below a value; `None` above all buckets.
fn below(value: f64, histogram: &FloatHistogram) -> Option<f64> {
    let custom = histogram.uses_custom_buckets();
    let mut rank = 0.0;
    for mut bucket in histogram.all_buckets() {
        let is_zero_bucket = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if is_zero_bucket {
            bound_by_zero(histogram, &mut bucket);
        }
        if bucket.lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            let linear = custom || is_zero_bucket;
            // An infinitely wide bucket cannot be interpolated.
            if linear && bucket.lower == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            return Some(rank + bucket.count * bucket.fraction_below(value, linear));
        }
        rank += bucket.count;
    }
    None
}

/// `histogram_stdvar`: from the middles of the buckets.
pub(crate) fn variance(histogram: &FloatHistogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let (mut variance, mut lost) = (0.0, 0.0);
    for bucket in histogram.all_buckets().filter(|b| b.count != 0.0) {
        let delta = middle(&bucket, histogram.uses_custom_buckets()) - mean;
        (variance, lost) = kahan::add(bucket.count * delta * delta, variance, lost);
    }
    (variance + lost) / histogram.count
}

/// Arithmetic for custom buckets, geometric for exponential ones, 0 for the zero bucket.
fn middle(bucket: &Bucket, custom: bool) -> f64 {
    if custom {
        return (bucket.upper + bucket.lower) / 2.0;
    }
    if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
        return 0.0;
    }
    let middle = (bucket.upper * bucket.lower).sqrt();
    if bucket.upper < 0.0 { -middle } else { middle }
}

/// `histogram_stddev`
pub(crate) fn deviation(histogram: &FloatHistogram) -> f64 {
    variance(histogram).sqrt()
}
