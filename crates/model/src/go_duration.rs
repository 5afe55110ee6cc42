//! Go's durations: `1h30m0.5s`, `100us`, `-5m`, `0`.

use thiserror::Error;

/// A text that is no duration; the texts are those of Go's `time`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GoDurationError {
    /// Not of the grammar, or too long.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit that nobody knows.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// What stands there.
        unit: String,
        /// The whole.
        text: String,
    },
}

/// The length in nanoseconds.
pub fn parse_go_duration_ns(text: &str) -> Result<i64, GoDurationError> {
    parse(text, unit_ns)
}

/// As [`parse_go_duration_ns`], with days and weeks, which flags know besides.
pub fn parse_flag_duration_ns(text: &str) -> Result<i64, GoDurationError> {
    parse(text, |unit, text| match unit {
        "d" => Ok(24.0 * 3600e9),
        "w" => Ok(7.0 * 24.0 * 3600e9),
        unit => unit_ns(unit, text),
    })
}

fn parse(text: &str, unit_ns: impl Fn(&str, &str) -> Result<f64, GoDurationError>) -> Result<i64, GoDurationError> {
    let invalid = || GoDurationError::Invalid(text.to_string());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total_ns = 0f64;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..number_len].parse().map_err(|_| invalid())?;
        rest = &rest[number_len..];
        let unit_len = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, after) = rest.split_at(unit_len);
        total_ns += number * unit_ns(unit, text)?;
        rest = after;
    }
    if total_ns >= i64::MAX as f64 {
        return Err(invalid());
    }
    let total_ns = total_ns.round() as i64;
    Ok(if negative { -total_ns } else { total_ns })
}

fn unit_ns(unit: &str, text: &str) -> Result<f64, GoDurationError> {
    Ok(match unit {
        "" => return Err(GoDurationError::MissingUnit(text.to_string())),
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        unit => return Err(GoDurationError::UnknownUnit { unit: unit.to_string(), text: text.to_string() }),
    })
}
