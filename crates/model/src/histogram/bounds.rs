//! Where buckets begin and end.
//!
//! Bucket `i` of an exponential schema `s` ends at `2^(i / 2^s)`. Every program must come to the same bits, so the powers
//! are not computed by `exp2`: they are those of Prometheus's table, which follows from the eight factors below.

use std::sync::LazyLock;

use super::CUSTOM_BUCKETS_SCHEMA;

/// `2^(2^-s)` for the schemas 1 to 8, in the roundings of Prometheus's table.
#[expect(clippy::approx_constant, reason = "the first one is an ulp below the square root of two, and must be")]
const FACTORS: [f64; 8] = [
    1.414213562373095,
    1.189207115002721,
    1.0905077326652577,
    1.0442737824274138,
    1.0218971486541166,
    1.0108892860517005,
    1.0054299011128027,
    1.0027112750502025,
];

/// The bounds of schema 8 in `[0.5, 1)`; every coarser schema's are among them.
static FRACTIONS: LazyLock<[f64; 256]> = LazyLock::new(|| {
    let mut fractions = [0.5; 256];
    for (bits, factor) in FACTORS.iter().enumerate() {
        let step = 128 >> bits;
        for i in (step..256).step_by(2 * step) {
            fractions[i] = fractions[i - step] * factor;
        }
    }
    fractions
});

/// The upper bound of a bucket on the positive side; the bound before is that of the bucket before.
pub(super) fn bound(index: i64, schema: i32, custom_values: &[f64]) -> f64 {
    if schema != CUSTOM_BUCKETS_SCHEMA {
        return exponential_bound(index, schema);
    }
    match usize::try_from(index) {
        Ok(index) => custom_values.get(index).copied().unwrap_or(f64::INFINITY),
        Err(_) => f64::NEG_INFINITY,
    }
}

/// The upper bound of a bucket of an exponential schema. The last bucket of finite values ends at the largest float
/// instead of at infinity, where the bucket of the infinities ends.
pub(super) fn exponential_bound(index: i64, schema: i32) -> f64 {
    if schema < 0 {
        let exponent = index.saturating_mul(1 << schema.saturating_neg().min(32));
        return if exponent == 1024 { f64::MAX } else { ldexp(1.0, exponent) };
    }
    // Readers reduce finer schemas; this only keeps the arithmetic defined for the others.
    let (index, schema) = if schema > 8 { (index >> (schema - 8).min(62), 8) } else { (index, schema) };
    let fraction = FRACTIONS[((index & ((1 << schema) - 1)) << (8 - schema)) as usize];
    let exponent = (index >> schema) + 1;
    if fraction == 0.5 && exponent == 1025 { f64::MAX } else { ldexp(fraction, exponent) }
}

/// `fraction * 2^exponent`, rounded once.
fn ldexp(fraction: f64, exponent: i64) -> f64 {
    let power = |e: i64| f64::from_bits(((e + 1023) as u64) << 52);
    match exponent {
        1025.. => f64::INFINITY,
        1024 => fraction * power(1023) * 2.0,
        -1021..=1023 => fraction * power(exponent),
        -1080..=-1022 => fraction * power(exponent + 200) * power(-200),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_prometheus_bounds() {
        assert_eq!(exponential_bound(0, 2), 1.0);
        assert_eq!(exponential_bound(-2, 2), 0.7071067811865475);
        assert_eq!(exponential_bound(-1, 2), 0.8408964152537144);
        assert_eq!(exponential_bound(1, 8) / 2.0, 0.5013556375251013);
        assert_eq!(exponential_bound(255, 8) / 2.0, 0.9972960560854698);
        assert_eq!(exponential_bound(1024, 0), f64::MAX);
        assert_eq!(exponential_bound(1025, 0), f64::INFINITY);
        assert_eq!(exponential_bound(64, -4), f64::MAX);
        assert_eq!(exponential_bound(65, -4), f64::INFINITY);
        assert_eq!(exponential_bound(-1074, 0), 5e-324);
        assert_eq!(exponential_bound(i64::MIN / 4, -4), 0.0);
    }
}
