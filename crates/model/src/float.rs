//! Floats as Go prints them: shortest text that reads back to the same bits.

/// Go's `strconv.FormatFloat(v, 'f', -1, 64)`: never an exponent. PromQL's own texts use it.
pub fn format_f(value: f64) -> String {
    let mut out = String::new();
    push_f(&mut out, value);
    out
}

/// As [`format_f`], appended.
pub fn push_f(out: &mut String, value: f64) {
    use std::fmt::Write;
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        // Rust's Display is the shortest decimal without an exponent, as Go's 'f' is.
        write!(out, "{value}").expect("writing to a String cannot fail");
    }
}

/// Go's `'e'` form: one digit before the point, an exponent of at least two digits. Alert values use it.
pub fn format_e(value: f64) -> String {
    if !value.is_finite() {
        return format_f(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').expect("Rust's {:e} always has an exponent");
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// The form of Prometheus's JSON: as [`format_f`], but with an exponent below 1e-6 and from 1e21 on.
pub fn format_json(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && magnitude.is_finite() && !(1e-6..1e21).contains(&magnitude) {
        format_e(value)
    } else {
        format_f(value)
    }
}

/// Go's `%g` (and `'g'`, -1): an exponent when it is below -4 or at least 6.
pub fn format_g(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && magnitude.is_finite() && !(1e-4..1e6).contains(&magnitude) {
        format_e(value)
    } else {
        format_f(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_gos() {
        assert_eq!(format_f(1e21), "1000000000000000000000");
        assert_eq!(format_json(1e21), "1e+21");
        assert_eq!(format_json(1e-7), "1e-07");
        assert_eq!(format_json(0.000001), "0.000001");
        assert_eq!(format_json(-0.0), "-0");
        assert_eq!(format_json(f64::NEG_INFINITY), "-Inf");
        assert_eq!(format_e(1.0), "1e+00");
        assert_eq!(format_g(0.00001), "1e-05");
        assert_eq!(format_g(123456.75), "123456.75");
        assert_eq!(format_g(16777216.0), "1.6777216e+07");
        assert_eq!(format_g(1e6), "1e+06");
    }
}
