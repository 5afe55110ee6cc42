//! Compensated summation, as Prometheus sums.

/// Adds `increment` to `sum`, whose lost low bits are in `compensation` (Kahan's algorithm with Neumaier's improvement).
/// Returns both anew; `sum + compensation` is the result. Once a sum is infinite there is nothing to compensate.
pub fn add(increment: f64, sum: f64, mut compensation: f64) -> (f64, f64) {
    let total = sum + increment;
    if total.is_infinite() {
        compensation = 0.0;
    } else if sum.abs() >= increment.abs() {
        compensation += (sum - total) + increment;
    } else {
        compensation += (increment - total) + sum;
    }
    (total, compensation)
}

#[cfg(test)]
mod tests {
    #[test]
    fn small_parts_survive() {
        let (sum, lost) = [1.0, 1e100, 1.0, -1e100].iter().fold((0.0, 0.0), |(s, c), x| super::add(*x, s, c));
        assert_eq!(sum + lost, 2.0);
    }
}
