//! Small numeric functions where Go and Rust differ.

/// Go's `math.Max`: NaN if either is, but +Inf wins; +0 above -0.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// Go's `math.Min`: NaN if either is, but -Inf wins; -0 below +0.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { a } else { b }
    } else if a < b {
        a
    } else {
        b
    }
}

/// Rounds half up to a multiple.
pub(crate) fn round_to(value: f64, nearest: f64) -> f64 {
    // Multiplying by the inverse loses less than dividing.
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

/// -1, 0 or 1; NaN and both zeros stay themselves.
pub(crate) fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}
