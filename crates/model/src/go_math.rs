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
    if value >= f64::MIN_POSITIVE {
        return split_normal(value);
    }
    let (fraction, exponent) = split_normal(value * (1u64 << 54) as f64);
    (fraction, exponent - 54)
}

/// As [`frexp`], but wrong for subnormal numbers, as Go's `math.Log` on x86-64 is: it gives them the leading bit of others.
fn split_normal(value: f64) -> (f64, i64) {
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
    let (mut fraction, mut exponent) = split_normal(value);
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

/// Go's `math.Log1p`, the logarithm of `1 + x`, which follows FreeBSD's `s_log1p.c`: `1 + x` is `2^k (1 + f)`, and a
/// correction makes up for what the addition lost.
pub fn ln_1p(x: f64) -> f64 {
    if x.is_nan() || x < -1.0 || x == -1.0 || x == f64::INFINITY {
        return if x == -1.0 {
            f64::NEG_INFINITY
        } else if x > 0.0 {
            x
        } else {
            f64::NAN
        };
    }
    let magnitude = x.abs();
    // The root of 2, less 1, and half of it.
    if magnitude < 0.414_213_562_373_095_05 {
        if magnitude < 1.0 / (1u64 << 29) as f64 {
            return if magnitude < 1.0 / (1u64 << 54) as f64 { x } else { x - x * x * 0.5 };
        }
        if x > -0.2928932188134525 {
            return ln_of_parts(x, 0.0, 0.0, false);
        }
    }
    let whole = if magnitude < (1u64 << 53) as f64 { 1.0 + x } else { x };
    let exponent = ((whole.to_bits() >> 52) & 0x7ff) as i64 - 1023;
    let lost = if whole == x {
        0.0
    } else if exponent > 0 {
        1.0 - (whole - x)
    } else {
        x - (whole - 1.0)
    };
    let digits = whole.to_bits() & !(0xfff << 52);
    // Above the root of 2 the next power is nearer.
    if digits < 0x6_a09e_667f_3bcd {
        return ln_of_parts(f64::from_bits(digits | (1023 << 52)) - 1.0, exponent as f64, lost / whole, digits == 0);
    }
    let near = ((1u64 << 52) - digits) >> 2 == 0;
    ln_of_parts(f64::from_bits(digits | (1022 << 52)) - 1.0, (exponent + 1) as f64, lost / whole, near)
}

/// The logarithm of `2^k (1 + f)` with a correction; `near` where f is too small for the polynomial.
fn ln_of_parts(f: f64, k: f64, correction: f64, near: bool) -> f64 {
    let half_square = 0.5 * f * f;
    if near {
        let rest = half_square * (1.0 - 0.666_666_666_666_666_6 * f);
        return match (f == 0.0, k == 0.0) {
            (true, true) => 0.0,
            (true, false) => k * LN_2_HIGH + (correction + k * LN_2_LOW),
            (false, true) => f - rest,
            (false, false) => k * LN_2_HIGH - ((rest - (k * LN_2_LOW + correction)) - f),
        };
    }
    let s = f / (2.0 + f);
    let z = s * s;
    let polynomial = COEFFICIENTS.iter().rev().fold(0.0, |sum, c| (sum + c) * z);
    let product = s * (half_square + polynomial);
    if k == 0.0 {
        return f - (half_square - product);
    }
    k * LN_2_HIGH - ((half_square - (product + (k * LN_2_LOW + correction))) - f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_truth() {
        for value in [f64::MIN_POSITIVE, 0.1, 0.7, 1.0, 1.5, 2.0, 3.0, 1e300, f64::MAX] {
            assert!((ln(value) - value.ln()).abs() <= value.ln().abs() * 1e-15, "{value}");
            assert!((log2(value) - value.log2()).abs() <= value.log2().abs() * 1e-15, "{value}");
        }
        assert_eq!((ln(5e-324), log2(5e-324)), (-709.0895657128241, -1074.0));
        for value in [-0.999, -0.5, -0.29, -1e-9, 1e-300, 1e-17, 1e-9, 0.1, 0.414, 0.5, 1.0, 3.0, 1e10, 1e17, f64::MAX]
        {
            assert!((ln_1p(value) - value.ln_1p()).abs() <= value.ln_1p().abs() * 1e-15, "{value}");
        }
        assert_eq!((ln_1p(-1.0), ln_1p(f64::INFINITY)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(ln_1p(-1.1).is_nan() && ln_1p(f64::NAN).is_nan());
        assert_eq!((log2(8.0), log2(0.25)), (3.0, -2.0));
        assert!(ln(-1.0).is_nan() && ln(0.0) == f64::NEG_INFINITY && log2(f64::INFINITY).is_infinite());
    }
}
