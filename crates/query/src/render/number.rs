//! Numbers as Prometheus's API gives them, as text in a buffer.

use thanoxide_model::float;

/// No number's text is longer.
pub(super) const NUMBER_BYTES: usize = 32;
/// Whole numbers below this have no exponent, and an `f64` tells them all apart.
const WHOLE: f64 = 1e15;

/// Writes a value as Prometheus gives it, without quotes; how long it is.
pub(super) fn put_value(into: &mut [u8], value: f64) -> usize {
    // Whole numbers are what counters hold: no search for the shortest text is needed.
    let whole = value as i64;
    if value.abs() < WHOLE && whole as f64 == value && (whole != 0 || value.is_sign_positive()) {
        return put_integer(into, whole);
    }
    if !value.is_finite() {
        return put(into, &float::format_json(value));
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    // Texts with an exponent, which are rare, are put into Go's form. Values of usual size have none.
    let is_usual = (1e-4..WHOLE).contains(&value.abs());
    match !is_usual && text.as_bytes().contains(&b'e') {
        true => put(into, &float::format_json(value)),
        false => put(into, text.strip_suffix(".0").unwrap_or(text)),
    }
}

fn put(into: &mut [u8], text: &str) -> usize {
    into[..text.len()].copy_from_slice(text.as_bytes());
    text.len()
}

/// The numbers from 00 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

fn put_integer(into: &mut [u8], value: i64) -> usize {
    let is_negative = value < 0;
    into[0] = b'-';
    let at = usize::from(is_negative);
    let mut rest = value.unsigned_abs();
    let digits = rest.checked_ilog10().map_or(1, |log| log as usize + 1);
    let number = &mut into[at..at + digits];
    let mut end = digits;
    while end >= 2 {
        number[end - 2..end].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
        end -= 2;
    }
    if end == 1 {
        number[0] = b'0' + rest as u8;
    }
    at + digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(value: f64) -> String {
        let mut into = [0; NUMBER_BYTES];
        let length = put_value(&mut into, value);
        String::from_utf8(into[..length].to_vec()).unwrap()
    }

    #[test]
    fn floats_are_the_shortest_texts() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for n in 0..200_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = if n % 2 == 0 { f64::from_bits(bits) } else { (bits >> 40) as f64 / 1000.0 };
            let text = text_of(value);
            let slow = float::format_json(value);
            // Of two shortest texts equally near, Go takes the even one, the slow way the greater.
            assert!(text == slow || text.len() == slow.len() && text.parse() == Ok(value), "{text} {slow}");
        }
        assert_eq!(text_of(2_668_328_433_827_413.0 / 4.0), "667082108456853.2");
    }

    #[test]
    fn values_are_the_texts_of_go() {
        let mut values =
            vec![0.0, -0.0, 1e15, -1e15, 1e15 - 1.0, 1e21, 1e-7, 0.25, f64::NAN, f64::INFINITY, -5.0, 99.0];
        values.extend((0..18).flat_map(|n| [10f64.powi(n), 10f64.powi(n) - 1.0, -(10f64.powi(n)) / 3.0]));
        for value in values {
            assert_eq!(text_of(value), float::format_json(value), "{value:e}");
        }
    }
}
