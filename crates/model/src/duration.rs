//! Prometheus durations: `1h30m`, `15d`, `1y`, `100ms`, `0`.

use thiserror::Error;

/// Units from the largest down, with their length in milliseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A text that is no duration.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum DurationError {
    /// The empty text.
    #[error("empty duration string")]
    Empty,
    /// Not of the grammar.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// Longer than 2^63 ns.
    #[error("duration out of range")]
    OutOfRange,
}

/// Parses runs of a number and a unit, units in descending order and each once. `0` needs no unit.
pub fn parse_duration_ms(text: &str) -> Result<i64, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || DurationError::Invalid(text.to_string());
    let (mut rest, mut total_ms, mut next_unit) = (text, 0i64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[digits..digits + letters];
        let index = UNITS.iter().position(|(u, _)| *u == unit).ok_or_else(invalid)?;
        if digits == 0 || index < next_unit {
            return Err(invalid());
        }
        let count: i64 = rest[..digits].parse().map_err(|_| DurationError::OutOfRange)?;
        let part_ms = count.checked_mul(UNITS[index].1).ok_or(DurationError::OutOfRange)?;
        total_ms = total_ms.checked_add(part_ms).ok_or(DurationError::OutOfRange)?;
        next_unit = index + 1;
        rest = &rest[digits + letters..];
    }
    if total_ms > i64::MAX / 1_000_000 { Err(DurationError::OutOfRange) } else { Ok(total_ms) }
}

/// Prints as Prometheus does: years and weeks only where they divide the whole.
pub fn format_duration_ms(duration_ms: i64) -> String {
    if duration_ms == 0 {
        return "0s".to_string();
    }
    let (mut out, mut rest) = (String::new(), duration_ms.unsigned_abs() as i64);
    if duration_ms < 0 {
        out.push('-');
    }
    for (i, (unit, unit_ms)) in UNITS.iter().enumerate() {
        let exact_only = i < 2;
        let count = rest / unit_ms;
        if count > 0 && !(exact_only && rest % unit_ms != 0) {
            out.push_str(&format!("{count}{unit}"));
            rest -= count * unit_ms;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for (text, ms, printed) in [
            ("1h30m", 5_400_000, "1h30m"),
            ("15d", 1_296_000_000, "15d"),
            ("1y", 31_536_000_000, "1y"),
            ("90m", 5_400_000, "1h30m"),
            ("0", 0, "0s"),
            ("36h", 129_600_000, "1d12h"),
            ("1d12h", 129_600_000, "1d12h"),
            ("100ms", 100, "100ms"),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
            assert_eq!(format_duration_ms(ms), printed, "{text}");
        }
    }

    #[test]
    fn refuses() {
        for bad in ["", "1", "h", "1m1h", "1h1h", "-1h", "1.5h", "1 h", "99999999999999999999h"] {
            assert!(parse_duration_ms(bad).is_err(), "{bad}");
        }
    }
}
