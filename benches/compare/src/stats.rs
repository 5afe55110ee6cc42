//! The few statistics that reports need.

/// The middle value; the mean of the middle two if there are two. NaN of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile_of_sorted(&sorted(values), 0.5)
}

/// The smallest value. NaN of nothing.
pub(crate) fn min(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

/// The largest value. NaN of nothing.
pub(crate) fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}

/// The value at a rank between 0 and 1, interpolated. NaN of nothing.
pub(crate) fn quantile(values: &[f64], rank: f64) -> f64 {
    quantile_of_sorted(&sorted(values), rank)
}

/// The geometric mean of positive values; NaN of nothing.
pub(crate) fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// The exponent k of `cost = c * size^k` that fits best; `None` of fewer than two sizes.
pub(crate) fn growth(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.iter().map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) =
        (logs.iter().map(|p| p.0).sum::<f64>() / count, logs.iter().map(|p| p.1).sum::<f64>() / count);
    let spread: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    (logs.len() > 1 && slope.is_finite()).then_some(slope)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn quantile_of_sorted(values: &[f64], rank: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let position = rank.clamp(0.0, 1.0) * last as f64;
    let (below, part) = (position as usize, position.fract());
    values[below] + part * (values[(below + 1).min(last)] - values[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles_and_ranks() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(quantile(&[0.0, 10.0], 0.99), 9.9);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
        assert_eq!((min(&[2.0, 1.0]), max(&[2.0, 1.0])), (1.0, 2.0));
        assert!((geometric_mean(&[1.0, 4.0]) - 2.0).abs() < 1e-12);
        assert!(median(&[]).is_nan() && min(&[]).is_nan() && max(&[]).is_nan());
    }

    #[test]
    fn growth_is_the_slope_of_logarithms() {
        let linear = growth(&[(1e3, 5.0), (1e4, 50.0), (1e5, 500.0)]).unwrap();
        let square = growth(&[(10.0, 100.0), (20.0, 400.0)]).unwrap();
        assert!((linear - 1.0).abs() < 1e-9 && (square - 2.0).abs() < 1e-9);
        assert_eq!(growth(&[(1.0, 1.0)]), None);
        assert_eq!(growth(&[(5.0, 1.0), (5.0, 2.0)]), None);
    }
}
