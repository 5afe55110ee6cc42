//! `sum_over_time` and `avg_over_time` of several windows at a time.
//!
//! A compensated sum is one long chain of dependent additions, in an order that must not change. Neighbouring windows are
//! independent of each other, though: summing eight of them in step keeps the processor busy. Once a sum is no longer
//! finite, other rules hold, and the window is left to [`super::over_time`].

/// How many windows go together.
pub(crate) const LANES: usize = 8;

/// A sum and what rounding took from it.
type Sums = [(f64, f64); LANES];

/// Adds without a look at infinities.
#[inline(always)]
fn add(value: f64, (sum, lost): (f64, f64)) -> (f64, f64) {
    let total = sum + value;
    let sum_is_larger = sum.abs() >= value.abs();
    let (large, small) = if sum_is_larger { (sum, value) } else { (value, sum) };
    (total, lost + ((large - total) + small))
}

/// The sums of `values[start..end]` for each window, begun at `start` with those of `begin`.
fn sums(values: &[f64], windows: &[(usize, usize); LANES], begin: Sums) -> Sums {
    let mut sums = begin;
    let shared = windows.iter().map(|(start, end)| end - start).min().unwrap_or(0);
    let slices = windows.map(|(start, _)| &values[start..start + shared]);
    for i in 0..shared {
        for (sum, slice) in sums.iter_mut().zip(&slices) {
            *sum = add(slice[i], *sum);
        }
    }
    for (sum, (start, end)) in sums.iter_mut().zip(windows) {
        for value in &values[start + shared..*end] {
            *sum = add(*value, *sum);
        }
    }
    sums
}

/// `sum_over_time` of each window; `None` where the sum is not finite.
pub(crate) fn sum(values: &[f64], windows: &[(usize, usize); LANES]) -> [Option<f64>; LANES] {
    sums(values, windows, [(0.0, 0.0); LANES]).map(|(sum, lost)| sum.is_finite().then_some(sum + lost))
}

/// `avg_over_time` of each window, none of them empty; `None` where the sum is not finite.
pub(crate) fn avg(values: &[f64], windows: &[(usize, usize); LANES]) -> [Option<f64>; LANES] {
    let rest = windows.map(|(start, end)| (start + 1, end));
    let sums = sums(values, &rest, windows.map(|(start, _)| (values[start], 0.0)));
    std::array::from_fn(|lane| {
        let ((sum, lost), (start, end)) = (sums[lane], windows[lane]);
        let count = (end - start) as f64;
        sum.is_finite().then(|| sum / count + lost / count)
    })
}

#[cfg(test)]
mod tests {
    use super::super::over_time::Mean;
    use super::*;
    use thanoxide_model::kahan;

    #[test]
    fn as_one_by_one() {
        let mut values: Vec<f64> = (0..200).map(|i| (i as f64 * 0.7).sin() * 10f64.powi(i % 40 - 20)).collect();
        values[77] = f64::INFINITY;
        let windows = std::array::from_fn(|lane| (lane * 9, lane * 9 + 5 + lane * 3));
        let (sums, means) = (sum(&values, &windows), avg(&values, &windows));
        for (lane, (start, end)) in windows.into_iter().enumerate() {
            let window = &values[start..end];
            let (total, lost) = window.iter().fold((0.0, 0.0), |(s, c), v| kahan::add(*v, s, c));
            let mut mean = Mean::new(window[0]);
            window[1..].iter().for_each(|v| mean.add(*v));
            assert_eq!(sums[lane].is_none(), total.is_infinite());
            assert!(sums[lane].is_none_or(|s| s.to_bits() == (total + lost).to_bits()));
            assert!(means[lane].is_none_or(|m| m.to_bits() == mean.value().to_bits()));
        }
    }
}
