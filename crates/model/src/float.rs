//! Floats as Go prints them: shortest text that reads back to the same bits.

/// Go's `strconv.FormatFloat(v, 'f', -1, 64)`: never an exponent. PromQL's own texts use it.
pub fn format_f(value: f64) -> String {
    let mut out = String::new();
    push_f(&mut out, value);
    out
}

/// As [`format_f`], appended.
pub fn push_f(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    let Decimal { negative, digits, point } = Decimal::shortest(value);
    if negative {
        out.push('-');
    }
    match usize::try_from(point) {
        Err(_) | Ok(0) => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
            out.push_str(&digits);
        }
        Ok(whole) if whole >= digits.len() => {
            out.push_str(&digits);
            out.extend(std::iter::repeat_n('0', whole - digits.len()));
        }
        Ok(whole) => {
            out.push_str(&digits[..whole]);
            out.push('.');
            out.push_str(&digits[whole..]);
        }
    }
}

/// `0.digits × 10^point`, without zeros at the end; zero is the digit `0` with the point after it.
struct Decimal {
    negative: bool,
    digits: String,
    point: i32,
}

impl Decimal {
    /// The fewest digits that read back to the same bits, the nearest of these, of two as near the even one: as Go
    /// chooses, and not as Rust's own `Display` does in the last case.
    fn shortest(value: f64) -> Self {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().expect("zmij writes a whole exponent");
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let leading = (all.len() - significant.len()) as i32;
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return Decimal { negative, digits: "0".to_string(), point: 1 };
        }
        Decimal { negative, digits: digits.to_string(), point: whole.len() as i32 - leading + exponent }
    }
}

/// Go's `'e'` form: one digit before the point, an exponent of at least two digits. Alert values use it.
pub fn format_e(value: f64) -> String {
    if !value.is_finite() {
        return format_f(value);
    }
    let Decimal { negative, digits, point } = Decimal::shortest(value);
    let exponent = if value == 0.0 { 0 } else { point - 1 };
    let (first, rest) = digits.split_at(1);
    let (minus, dot) = (if negative { "-" } else { "" }, if rest.is_empty() { "" } else { "." });
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{minus}{first}{dot}{rest}e{sign}{:02}", exponent.unsigned_abs())
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
    fn of_two_nearest_the_even_one() {
        assert_eq!(format_f(667_082_108_456_853.0 + 0.25), "667082108456853.2");
    }

    #[test]
    fn texts_read_back() {
        let mut bits = 1u64;
        for _ in 0..100_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                for text in [format_f(value), format_e(value), format_json(value)] {
                    assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(bits), "{text}");
                }
                assert_eq!(format_f(value).len(), value.to_string().len(), "{value}");
            }
        }
    }

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
