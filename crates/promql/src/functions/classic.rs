//! Quantiles and fractions of classic histograms: cumulative counts by upper bound.

use crate::annotations::MonotonicityFix;

/// A cumulative bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ClassicBucket {
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// Differences between neighbours below this part of them are noise of floating point.
const TOLERANCE: f64 = 1e-12;

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// Adds up sorted buckets of the same bound.
fn coalesce(buckets: &mut Vec<ClassicBucket>) {
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Sorts and coalesces; `None` where the histogram does not end in +Inf.
fn tidy(buckets: &mut Vec<ClassicBucket>) -> Option<()> {
    buckets.sort_by(|a, b| a.upper.partial_cmp(&b.upper).unwrap_or(std::cmp::Ordering::Equal));
    if buckets.last()?.upper != f64::INFINITY {
        return None;
    }
    coalesce(buckets);
    Some(())
}

/// Makes counts rise; tells what that took.
fn force_monotonic(buckets: &mut [ClassicBucket]) -> Option<MonotonicityFix> {
    let mut fix: Option<MonotonicityFix> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if almost_equal(before, count) {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            let known = fix.get_or_insert(MonotonicityFix {
                min_bucket: f64::INFINITY,
                max_bucket: f64::NEG_INFINITY,
                max_diff: 0.0,
            });
            known.min_bucket = known.min_bucket.min(bucket.upper);
            known.max_bucket = known.max_bucket.max(bucket.upper);
            known.max_diff = known.max_diff.max(before - count);
        } else {
            before = count;
        }
    }
    fix
}

/// `histogram_quantile` of at least one bucket; linear inside of buckets.
pub(crate) fn quantile(q: f64, buckets: &mut Vec<ClassicBucket>) -> (f64, Option<MonotonicityFix>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, None);
    }
    if tidy(buckets).is_none() {
        return (f64::NAN, None);
    }
    let fix = force_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last < 1 || observations == 0.0 {
        return (f64::NAN, fix);
    }
    let rank = q * observations;
    // Comparing this way round sends NaN counts upwards.
    let found = search(last, |i| buckets[i].count >= rank);
    (interpolate(buckets, found, rank), fix)
}

/// The first index below `end` for which it holds, by bisection; `end` if none.
fn search(end: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = (low + high) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

fn interpolate(buckets: &[ClassicBucket], found: usize, rank: f64) -> f64 {
    let last = buckets.len() - 1;
    if found == last {
        return buckets[last - 1].upper;
    }
    if found == 0 && buckets[0].upper <= 0.0 {
        return buckets[0].upper;
    }
    let ClassicBucket { upper, mut count } = buckets[found];
    let (mut lower, mut rank) = (0.0, rank);
    if found > 0 {
        let below = buckets[found - 1];
        lower = below.upper;
        count -= below.count;
        rank -= below.count;
    }
    lower + (upper - lower) * (rank / count)
}

/// `histogram_fraction` of at least one bucket.
pub(crate) fn fraction(low: f64, high: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if tidy(buckets).is_none() {
        return f64::NAN;
    }
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || low.is_nan() || high.is_nan() {
        return f64::NAN;
    }
    if low >= high {
        return 0.0;
    }
    let below = |value: f64| capped(below(value, buckets), count);
    (below(high) - below(low)) / count
}

/// A rank, or all observations where it is beyond them.
pub(super) fn capped(rank: Option<f64>, all: f64) -> f64 {
    match rank {
        Some(rank) if rank > all => all,
        Some(rank) => rank,
        None => all,
    }
}

/// How many observations are below a value; `None` above all bounds.
fn below(value: f64, buckets: &[ClassicBucket]) -> Option<f64> {
    let mut lower = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut rank = 0.0;
    for (i, bucket) in buckets.iter().enumerate() {
        if i > 0 {
            lower = buckets[i - 1].upper;
        }
        if lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            // An infinitely wide bucket cannot be interpolated.
            if lower == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            return Some(rank + (bucket.count - rank) * (value - lower) / (bucket.upper - lower));
        }
        rank = bucket.count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(of: &[(f64, f64)]) -> Vec<ClassicBucket> {
        of.iter().map(|(upper, count)| ClassicBucket { upper: *upper, count: *count }).collect()
    }

    #[test]
    fn interpolates_linearly() {
        let mut histogram = buckets(&[(f64::INFINITY, 4.0), (1.0, 2.0), (2.0, 4.0)]);
        assert_eq!(quantile(0.75, &mut histogram), (1.5, None));
        assert_eq!(fraction(0.5, 1.5, &mut histogram), 0.5);
        let (value, fix) = quantile(0.5, &mut buckets(&[(1.0, 4.0), (2.0, 2.0), (f64::INFINITY, 4.0)]));
        assert_eq!(value, 0.5);
        assert_eq!(fix, Some(MonotonicityFix { min_bucket: 2.0, max_bucket: 2.0, max_diff: 2.0 }));
        assert!(quantile(0.5, &mut buckets(&[(1.0, 4.0)])).0.is_nan());
    }
}
