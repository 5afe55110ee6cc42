//! Numbers and durations: where they end, and their values.
//!
//! Go's literals are the model: `017` is octal, `_` separates digits. Whether a text that looks like a number is one
//! is only found when it is evaluated.

use thanoxide_model::labels::go_quote;

use super::token::TokenKind;
use super::{Found, Lexer, is_word_byte};

impl Lexer<'_> {
    pub(super) fn scan_number_or_duration(&mut self) -> Found {
        if self.scan_number() {
            return Ok(Some(TokenKind::Number));
        }
        if self.scan_rest_of_duration() {
            return Ok(Some(TokenKind::Duration));
        }
        let text = &self.input[self.start..self.pos];
        self.fail(format!("bad number or duration syntax: {}", go_quote(text.as_bytes())))
    }

    /// Reads `[.][d][d._eE]*`. On failure it stands where a duration's unit may follow.
    fn scan_number(&mut self) -> bool {
        let is_hex = self.accept(|b| b == b'0') && self.accept(|b| b == b'x' || b == b'X');
        if is_hex {
            self.accept(|b| b == b'_');
        }
        let is_digit = |b: u8| if is_hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        let is_exponent = |b: u8| b == b'e' || b == b'E';
        let is_break = |b: u8| b == b'.' || b == b'_' || is_exponent(b);
        let (mut seen_dot, mut seen_exponent) = (false, false);
        self.accept(|b| b == b'.');
        self.accept(is_digit);
        while self.peek_is(|b| is_digit(b) || is_break(b)) {
            if self.accept(|b| b == b'.') {
                // No second point, and none in hexadecimal numbers.
                if std::mem::replace(&mut seen_dot, true) || self.accept(|b| b == b'_' || b == b'.') || is_hex {
                    return false;
                }
            } else if self.accept(is_exponent) {
                if std::mem::replace(&mut seen_exponent, true) {
                    return false;
                }
                self.accept(|b| b == b'+' || b == b'-');
                if self.accept(is_break) || self.pos == self.input.len() {
                    return false;
                }
            } else if self.accept(|b| b == b'_') {
                if self.accept(is_break) || self.pos == self.input.len() {
                    return false;
                }
            } else {
                self.advance_while(is_digit);
            }
        }
        !self.peek_is(is_word_byte)
    }

    fn scan_rest_of_duration(&mut self) -> bool {
        if !self.accept(|b| b"smhdwy".contains(&b)) {
            return false;
        }
        self.accept(|b| b == b's');
        while self.accept(|b| b.is_ascii_digit()) {
            self.advance_while(|b| b.is_ascii_digit());
            // A year is always first.
            if !self.accept(|b| b"smhdw".contains(&b)) {
                return false;
            }
            self.accept(|b| b == b's');
        }
        // The error message shows the letter that should not be there.
        !self.accept(is_word_byte)
    }
}

/// The NaN that Prometheus means by NaN.
const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// The value of a number, or what Go says against it.
pub(crate) fn parse_number(text: &str) -> Result<f64, String> {
    if let Some(value) = parse_integer(text) {
        return Ok(value as f64);
    }
    let fail = |problem| {
        Err(format!("error parsing number: strconv.ParseFloat: parsing {}: {problem}", go_quote(text.as_bytes())))
    };
    // Hexadecimal floats need an exponent after p, which the lexer does not know.
    if !underscores_are_fine(text) || has_prefix(text, b'x') {
        return fail("invalid syntax");
    }
    match text.replace('_', "").parse::<f64>() {
        Err(_) => fail("invalid syntax"),
        Ok(value) if value.is_nan() => Ok(NORMAL_NAN),
        Ok(value) if value.is_infinite() && !text.eq_ignore_ascii_case("inf") => fail("value out of range"),
        Ok(value) => Ok(value),
    }
}

fn parse_integer(text: &str) -> Option<i64> {
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &text[2..]),
        [b'0'] => return Some(0),
        [b'0', ..] => (8, &text[1..]),
        [b'1'..=b'9', ..] => (10, text),
        _ => return None,
    };
    let digits = digits.replace('_', "");
    if !underscores_are_fine(text) || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    i64::from_str_radix(&digits, radix).ok()
}

fn has_prefix(text: &str, letter: u8) -> bool {
    matches!(text.as_bytes(), [b'0', second, ..] if second.eq_ignore_ascii_case(&letter))
}

/// Underscores stand between digits, or between the prefix `0x` and a digit.
fn underscores_are_fine(text: &str) -> bool {
    let is_hex = has_prefix(text, b'x');
    let mut previous = if is_hex { b'0' } else { b'^' };
    for &b in &text.as_bytes()[if is_hex { 2 } else { 0 }..] {
        let is_digit = b.is_ascii_digit() || (is_hex && b.is_ascii_hexdigit());
        match b {
            _ if is_digit => previous = b'0',
            b'_' if previous == b'0' => previous = b'_',
            _ if b == b'_' || previous == b'_' => return false,
            _ => previous = b'!',
        }
    }
    previous != b'_'
}

/// Units from the largest down, in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000_000_000),
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// The seconds of a duration, or what Prometheus says against it.
pub(crate) fn parse_duration(text: &str) -> Result<f64, String> {
    let quoted = || go_quote(text.as_bytes());
    let invalid = || format!("not a valid duration string: {}", quoted());
    let (mut rest, mut total_ns, mut next_unit) = (text, 0u64, 0);
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let (unit, after) = after.split_at(after.bytes().take_while(|b| !b.is_ascii_digit()).count());
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(invalid());
        }
        let index = UNITS.iter().position(|(name, _)| *name == unit);
        let index =
            index.ok_or_else(|| format!("unknown unit {} in duration {}", go_quote(unit.as_bytes()), quoted()))?;
        if index < next_unit {
            return Err(invalid());
        }
        let sum = count.checked_mul(UNITS[index].1).and_then(|ns| total_ns.checked_add(ns));
        total_ns = sum.filter(|ns| *ns <= i64::MAX as u64).ok_or("duration out of range")?;
        (rest, next_unit) = (after, index + 1);
    }
    Ok((total_ns / 1_000_000_000) as f64 + (total_ns % 1_000_000_000) as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_gos() {
        for (text, value) in [
            ("0", 0.0),
            ("017", 15.0),
            ("089", 89.0),
            ("0x1F", 31.0),
            ("0X_ff", 255.0),
            ("1_000", 1000.0),
            ("1_0.5", 10.5),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            ("Inf", f64::INFINITY),
        ] {
            assert_eq!(parse_number(text), Ok(value), "{text}");
        }
        for text in ["1e400", "0x", "1__0", "1_", "1e", "0xfffffffffffffffff"] {
            assert!(parse_number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_prometheus_s() {
        assert_eq!(parse_duration("1h30m"), Ok(5400.0));
        assert_eq!(parse_duration("1500ms"), Ok(1.5));
        assert_eq!(parse_duration("5m1h"), Err("not a valid duration string: \"5m1h\"".into()));
        assert_eq!(parse_duration("1.5h"), Err("unknown unit \".\" in duration \"1.5h\"".into()));
        assert_eq!(parse_duration("300y"), Err("duration out of range".into()));
    }
}
