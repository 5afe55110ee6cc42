//! Sums of any stretch of a series in constant time, to the last bit as compensated summation gives them.
//!
//! Floats are multiples of a common unit, the lowest bit set in any of them. A compensated sum is a rounded sum and the
//! rounding errors, both multiples of that unit. As long as the errors together stay below 2^53 units they add up without
//! a further error, so that both parts together are the exact sum: whatever the order, the result is the exact sum, rounded
//! once. Exact sums of stretches are differences of running sums, kept here as integers.

/// Bits of the significand of a float.
const PRECISION: i32 = 53;

/// Running sums of a series, in units.
#[derive(Debug)]
pub(crate) struct FixedPoint {
    sums: Sums,
    /// A power of two.
    unit: f64,
    /// No sum of some of the values needs to be rounded.
    is_exact: bool,
}

/// The sum of the values before each index.
#[derive(Debug)]
enum Sums {
    Narrow(Vec<i64>),
    Wide(Vec<i128>),
}

/// Where the bits of the values are: each value is below `2^above` and a multiple of `2^lowest`.
struct Extent {
    lowest: i32,
    above: i32,
}

impl Extent {
    /// `None` where a value is not finite.
    fn of(values: &[f64]) -> Option<Self> {
        let (mut lowest, mut above) = (i32::MAX, i32::MIN);
        for value in values {
            let bits = value.to_bits();
            let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
            if exponent == 0x7ff {
                return None;
            }
            if bits << 1 != 0 {
                // Denormal numbers lack the implicit bit, and have the exponent of the smallest others.
                let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
                let exponent = exponent.max(1);
                lowest = lowest.min(exponent - 1075 + significand.trailing_zeros() as i32);
                above = above.max(exponent - 1022);
            }
        }
        Some(if lowest == i32::MAX { Extent { lowest: 0, above: 0 } } else { Extent { lowest, above } })
    }
}

impl FixedPoint {
    /// `None` where sums of these values would not be what compensated summation gives.
    pub(crate) fn new(values: &[f64]) -> Option<Self> {
        let Extent { lowest, above } = Extent::of(values)?;
        let count_bits = (usize::BITS - values.len().leading_zeros()) as i32;
        let (sum_above, normal) = (above + count_bits + 1, f64::MIN_EXP - 1..f64::MAX_EXP);
        let sum_bits = sum_above - lowest;
        if !normal.contains(&lowest) || !normal.contains(&sum_above) || count_bits + sum_bits > 2 * PRECISION {
            return None;
        }
        let to_units = power_of_two(-lowest)?;
        let sums = if sum_bits < 63 {
            Sums::Narrow(running(values, 0, |sum, value| sum + (value * to_units) as i64))
        } else {
            Sums::Wide(running(values, 0, |sum, value| sum + in_units(value, lowest)))
        };
        Some(FixedPoint { sums, unit: power_of_two(lowest)?, is_exact: sum_bits <= PRECISION })
    }

    /// The compensated sum of `low..high`.
    #[inline]
    pub(crate) fn sum(&self, low: usize, high: usize) -> f64 {
        self.unit
            * match &self.sums {
                Sums::Narrow(sums) => (sums[high] - sums[low]) as f64,
                Sums::Wide(sums) => (sums[high] - sums[low]) as f64,
            }
    }

    /// Whether plain sums have no rounding errors at all.
    pub(crate) fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// The rounding errors of a plain sum of `low..high`.
    #[inline]
    pub(crate) fn lost(&self, low: usize, high: usize, plain: f64) -> f64 {
        let plain = plain / self.unit;
        self.unit
            * match &self.sums {
                Sums::Narrow(sums) => (sums[high] - sums[low] - plain as i64) as f64,
                Sums::Wide(sums) => (sums[high] - sums[low] - plain as i128) as f64,
            }
    }
}

fn running<T: Copy>(values: &[f64], zero: T, add: impl Fn(T, f64) -> T) -> Vec<T> {
    let mut sum = zero;
    let mut sums = Vec::with_capacity(values.len() + 1);
    sums.push(sum);
    sums.extend(values.iter().map(|value| {
        sum = add(sum, *value);
        sum
    }));
    sums
}

/// A finite value as a multiple of `2^lowest`, which it is.
fn in_units(value: f64, lowest: i32) -> i128 {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, (bits & ((1 << 52) - 1)) as i128);
    let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    let shift = exponent.max(1) - 1075 - lowest;
    let magnitude = if significand == 0 {
        0
    } else if shift < 0 {
        significand >> -shift
    } else {
        significand << shift
    };
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

/// `None` where it is not a normal number.
fn power_of_two(exponent: i32) -> Option<f64> {
    let biased = u64::try_from(exponent + 1023).ok().filter(|biased| (1..0x7ff).contains(biased))?;
    Some(f64::from_bits(biased << 52))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thanoxide_model::kahan;

    use super::*;

    fn compensated(values: &[f64]) -> (f64, f64) {
        values.iter().fold((0.0, 0.0), |(s, c), v| kahan::add(*v, s, c))
    }

    fn value() -> impl Strategy<Value = f64> {
        let decimals = (-1_000_000_i64..1_000_000, 0..5).prop_map(|(v, digits)| v as f64 / 10f64.powi(digits));
        prop_oneof![4 => decimals, 1 => -1e9..1e9, 1 => -1.0..1.0, 1 => Just(-0.0), 1 => Just(0.0)]
    }

    proptest! {
        #[test]
        fn as_compensated(values in prop::collection::vec(value(), 1..200), a in 0..200_usize, b in 0..200_usize) {
            let fixed = FixedPoint::new(&values);
            let (low, high) = (a.min(b).min(values.len()), a.max(b).min(values.len()));
            let (sum, lost) = compensated(&values[low..high]);
            if let Some(fixed) = fixed {
                prop_assert_eq!(fixed.sum(low, high).to_bits(), (sum + lost).to_bits());
                prop_assert_eq!(fixed.lost(low, high, sum).to_bits(), lost.to_bits());
                prop_assert!(!fixed.is_exact() || lost == 0.0);
            }
        }

        #[test]
        fn takes_any(values in prop::collection::vec(any::<u64>().prop_map(f64::from_bits), 0..20)) {
            if let Some(fixed) = FixedPoint::new(&values) {
                let (sum, lost) = compensated(&values);
                prop_assert_eq!(fixed.sum(0, values.len()).to_bits(), (sum + lost).to_bits());
            }
        }
    }

    #[test]
    fn usual_values_fit() {
        let decimals: Vec<f64> = (1..720).map(|i| (i * 7919 % 1_000_000) as f64 / 1000.0).collect();
        assert!(FixedPoint::new(&decimals).is_some_and(|f| !f.is_exact()));
        let counts: Vec<f64> = (0..720).map(|i| (i * 1_000_003) as f64).collect();
        assert!(FixedPoint::new(&counts).is_some_and(|f| f.is_exact()));
        assert!(FixedPoint::new(&[1e300, 1e-300]).is_none());
        assert!(FixedPoint::new(&[f64::NAN]).is_none());
    }
}
