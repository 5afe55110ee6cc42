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

/// Eight digits fit a word.
const WORD: u64 = 100_000_000;
/// `00000000`
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// The eight decimal digits of a number below 10^8, the first in the lowest byte: halves are parted in all pairs, then in
/// all digits at once, by multiplication with the reciprocals of 100 and 10.
fn digits(number: u64) -> u64 {
    let fours = (number / 10_000) | (number % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - tens * 10) << 8
}

/// The magnitude is below [`WHOLE`]; writes up to a word more than it needs.
fn put_integer(into: &mut [u8], value: i64) -> usize {
    into[0] = b'-';
    let at = usize::from(value < 0);
    let magnitude = value.unsigned_abs();
    if magnitude < WORD {
        return at + put_leading(&mut into[at..], magnitude);
    }
    let at = at + put_leading(&mut into[at..], magnitude / WORD);
    into[at..at + 8].copy_from_slice(&(digits(magnitude % WORD) | ZEROS).to_le_bytes());
    at + 8
}

/// A number below 10^8 without leading zeros.
fn put_leading(into: &mut [u8], number: u64) -> usize {
    let digits = digits(number);
    let zeros = (digits.trailing_zeros() / 8).min(7);
    into[..8].copy_from_slice(&((digits | ZEROS) >> (zeros * 8)).to_le_bytes());
    8 - zeros as usize
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
    fn whole_numbers_are_their_digits() {
        let near = |n: i64| [n - 1, n, n + 1, -n];
        let powers = (0..15).flat_map(|n| near(10i64.pow(n)));
        let some = (0..1_000_000).map(|n| n * 999_999_937 % 1_000_000_000_000_000);
        for value in (0..20_000).chain(powers).chain(some).filter(|n| n.abs() < WHOLE as i64) {
            assert_eq!(text_of(value as f64), value.to_string());
        }
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
