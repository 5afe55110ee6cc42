//! Functions whose last bit depends on who computes them, in Go's roundings, so that answers are Prometheus's to the bit.

use std::f64::consts::{FRAC_1_SQRT_2, LOG2_E};

/// `ln 2` in two parts: the first one has room for an exact product with any exponent.
const LN_2_HIGH: f64 = 0.6931471803691238;
const LN_2_LOW: f64 = 1.9082149292705877e-10;
/// Coefficients of the remainder's polynomial in FreeBSD's `e_log.c`, which Go follows.
const COEFFICIENTS: [f64; 7] = [
    0.6666666666666735,
    0.3999999999940942,
    0.2857142874366239,
    0.22222198432149784,
    0.1818357216161805,
    0.15313837699209373,
    0.14798198605116586,
];

/// Go's `math.Frexp` for positive, finite values: a fraction in `[0.5, 1)` and the power of two it is multiplied with.
fn frexp(value: f64) -> (f64, i64) {
    if value < f64::MIN_POSITIVE {
        let (fraction, exponent) = frexp(value * (1u64 << 54) as f64);
        return (fraction, exponent - 54);
    }
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i64 - 1022;
    (f64::from_bits((value.to_bits() & !(0x7ff << 52)) | (1022 << 52)), exponent)
}

fn is_ordinary(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

/// Go's `math.Log`.
pub fn ln(value: f64) -> f64 {
    if !is_ordinary(value) {
        return value.ln();
    }
    let (mut fraction, mut exponent) = frexp(value);
    if fraction < FRAC_1_SQRT_2 {
        fraction *= 2.0;
        exponent -= 1;
    }
    let (f, k) = (fraction - 1.0, exponent as f64);
    let s = f / (2.0 + f);
    let (s2, [l1, l2, l3, l4, l5, l6, l7]) = (s * s, COEFFICIENTS);
    let s4 = s2 * s2;
    let odd = s2 * (l1 + s4 * (l3 + s4 * (l5 + s4 * l7)));
    let even = s4 * (l2 + s4 * (l4 + s4 * l6));
    let half_square = 0.5 * f * f;
    k * LN_2_HIGH - ((half_square - (s * (half_square + (odd + even)) + k * LN_2_LOW)) - f)
}

/// Go's `math.Log2`: exact for powers of two.
pub fn log2(value: f64) -> f64 {
    if !is_ordinary(value) {
        return value.log2();
    }
    match frexp(value) {
        (0.5, exponent) => (exponent - 1) as f64,
        (fraction, exponent) => ln(fraction) * LOG2_E + exponent as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_truth() {
        for value in [5e-324, 1e-310, 0.1, 0.7, 1.0, 1.5, 2.0, 3.0, 1e300, f64::MAX] {
            assert!((ln(value) - value.ln()).abs() <= value.ln().abs() * 1e-15, "{value}");
            assert!((log2(value) - value.log2()).abs() <= value.log2().abs() * 1e-15, "{value}");
        }
        assert_eq!((log2(8.0), log2(0.25)), (3.0, -2.0));
        assert!(ln(-1.0).is_nan() && ln(0.0) == f64::NEG_INFINITY && log2(f64::INFINITY).is_infinite());
    }
}
