//! The grammars of values, with the error texts of Go's strconv and time, of kingpin's units and of Prometheus's model.

use jiff::Timestamp;
use thiserror::Error;

use crate::flag::Kind;

/// A value that its flag does not take; the text is Go's.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{0}")]
pub struct ValueError(String);

type Checked<T> = Result<T, ValueError>;

fn fail<T>(text: String) -> Checked<T> {
    Err(ValueError(text))
}

impl Kind {
    /// Checks a value.
    pub(crate) fn check(self, text: &str) -> Checked<()> {
        match self {
            Kind::Bool => check_bool(text),
            Kind::Text => Ok(()),
            Kind::Int => parse_int(text).map(drop),
            Kind::Uint => parse_uint(text).map(drop),
            Kind::Float => parse_float(text).map(drop),
            Kind::Duration => parse_duration_ms(text).map(drop),
            Kind::GoDuration => parse_go_duration_ns(text).map(drop),
            Kind::Bytes => parse_bytes(text).map(drop),
            Kind::Time => Moment::parse(text).map(drop),
            Kind::Enum(values) => check_enum(values, text),
        }
    }

    /// Whether two valid values mean the same.
    pub(crate) fn same(self, a: &str, b: &str) -> bool {
        match self {
            Kind::Bool | Kind::Text | Kind::Time | Kind::Enum(_) => a == b,
            Kind::Int => parse_int(a) == parse_int(b),
            Kind::Uint => parse_uint(a) == parse_uint(b),
            Kind::Float => parse_float(a) == parse_float(b),
            Kind::Duration => parse_duration_ms(a) == parse_duration_ms(b),
            Kind::GoDuration => parse_go_duration_ns(a) == parse_go_duration_ns(b),
            Kind::Bytes => parse_bytes(a) == parse_bytes(b),
        }
    }
}

fn check_bool(text: &str) -> Checked<()> {
    match text {
        "true" | "false" => Ok(()),
        _ => fail(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

fn check_enum(values: &[&str], text: &str) -> Checked<()> {
    if values.contains(&text) {
        return Ok(());
    }
    fail(format!("enum value must be one of {}, got '{text}'", values.join(",")))
}

/// kingpin reads integers as floats and cuts them off.
pub(crate) fn parse_int(text: &str) -> Checked<i64> {
    parse_float(text).map(|value| value as i64)
}

/// As Go's `ParseUint` with base 0: `0x`, `0o`, `0b` and a leading zero say the base, and single underscores may part the digits.
pub(crate) fn parse_uint(text: &str) -> Checked<u64> {
    let lower = text.to_ascii_lowercase();
    let bases = [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)];
    let prefixed = bases.iter().find_map(|(prefix, base)| Some((lower.strip_prefix(prefix)?, *base)));
    let (digits, base) = prefixed.filter(|_| lower.len() > 1).unwrap_or((lower.as_str(), 10));
    let begins = lower != digits || !digits.starts_with('_');
    let parted = begins && !digits.ends_with('_') && !digits.contains("__");
    let plain = if parted { digits.replace('_', "") } else { digits.to_string() };
    let valid = !plain.is_empty() && plain.chars().all(|c| c.is_digit(base));
    let reason = if valid { "value out of range" } else { "invalid syntax" };
    let value = if valid { u64::from_str_radix(&plain, base).ok() } else { None };
    value.ok_or_else(|| ValueError(format!("strconv.ParseUint: parsing {text:?}: {reason}")))
}

pub(crate) fn parse_float(text: &str) -> Checked<f64> {
    text.parse().or_else(|_| fail(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")))
}

/// A Prometheus duration in milliseconds.
pub(crate) fn parse_duration_ms(text: &str) -> Checked<i64> {
    thanoxide_model::parse_duration_ms(text).or_else(|error| match unknown_unit(text) {
        Some(unit) => fail(format!("unknown unit {unit:?} in duration {text:?}")),
        None => fail(error.to_string()),
    })
}

/// The first unit after digits that Prometheus does not know; what lies before must be right.
fn unknown_unit(text: &str) -> Option<&str> {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit_len = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let unit = &rest[digits..digits + unit_len];
        if digits == 0 || unit.is_empty() {
            return None;
        }
        if !matches!(unit, "ms" | "s" | "m" | "h" | "d" | "w" | "y") {
            return Some(unit);
        }
        rest = &rest[digits + unit_len..];
    }
    None
}

/// A Go duration in nanoseconds, with days and weeks.
pub fn parse_go_duration_ns(text: &str) -> Checked<i64> {
    thanoxide_model::go_duration::parse_flag_duration_ns(text).map_err(|error| ValueError(error.to_string()))
}

/// A size in bytes: runs of a number and a unit; `0` needs none.
pub fn parse_bytes(text: &str) -> Checked<u64> {
    let invalid = || ValueError(format!("units: invalid {text}"));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..number_len].parse().map_err(|_| invalid())?;
        rest = &rest[number_len..];
        let unit_len = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, after) = rest.split_at(unit_len);
        let power = match unit {
            "B" => 0,
            "KB" | "KiB" => 1,
            "MB" | "MiB" => 2,
            "GB" | "GiB" => 3,
            "TB" | "TiB" => 4,
            "PB" | "PiB" => 5,
            "EB" | "EiB" => 6,
            unit => return fail(format!("units: unknown unit {unit} in {text}")),
        };
        total += number * 1024f64.powi(power);
        rest = after;
    }
    if negative || total >= i64::MAX as f64 { Err(invalid()) } else { Ok(total as u64) }
}

/// A fixed time, or one relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    AtMs(i64),
    FromNowMs(i64),
}

impl Moment {
    pub(crate) fn parse(text: &str) -> Checked<Self> {
        if let Some(at_ms) = rfc3339_ms(text) {
            return Ok(Moment::AtMs(at_ms));
        }
        match text.strip_prefix('-') {
            Some(back) => Ok(Moment::FromNowMs(-parse_duration_ms(back)?)),
            None => Ok(Moment::FromNowMs(parse_duration_ms(text)?)),
        }
    }

    pub(crate) fn resolve_ms(self, now_ms: i64) -> i64 {
        match self {
            Moment::AtMs(at_ms) => at_ms,
            Moment::FromNowMs(offset_ms) => now_ms.saturating_add(offset_ms),
        }
    }
}

fn rfc3339_ms(text: &str) -> Option<i64> {
    // The default bounds of Thanos; the last one lies a little behind the last time stamp of the library.
    match text {
        "0000-01-01T00:00:00Z" => Some(-62_167_219_200_000),
        "9999-12-31T23:59:59Z" => Some(253_402_300_799_000),
        _ if text.contains('T') => text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_have_the_texts_of_go() {
        for (kind, value, text) in [
            (Kind::Enum(&["error", "warn"]), "x", "enum value must be one of error,warn, got 'x'"),
            (Kind::Int, "many", "strconv.ParseFloat: parsing \"many\": invalid syntax"),
            (Kind::Uint, "-1", "strconv.ParseUint: parsing \"-1\": invalid syntax"),
            (Kind::Duration, "abc", "not a valid duration string: \"abc\""),
            (Kind::Duration, "1", "not a valid duration string: \"1\""),
            (Kind::Duration, "-5m", "not a valid duration string: \"-5m\""),
            (Kind::Duration, "5q", "unknown unit \"q\" in duration \"5q\""),
            (Kind::Duration, "5 minutes", "unknown unit \" minutes\" in duration \"5 minutes\""),
            (Kind::GoDuration, "x", "time: invalid duration \"x\""),
            (Kind::GoDuration, "1 hour", "time: unknown unit \" hour\" in duration \"1 hour\""),
            (Kind::GoDuration, "5", "time: missing unit in duration \"5\""),
            (Kind::Bytes, "lots", "units: invalid lots"),
            (Kind::Bytes, "5", "units: unknown unit  in 5"),
            (Kind::Bytes, "-1", "units: unknown unit  in -1"),
            (Kind::Time, "yesterday", "not a valid duration string: \"yesterday\""),
        ] {
            assert_eq!(kind.check(value).unwrap_err().to_string(), text, "{value}");
        }
    }

    #[test]
    fn values() {
        assert_eq!(parse_bytes("250MB"), Ok(250 << 20));
        assert_eq!(parse_bytes("1.5GiB512B"), Ok((3 << 29) + 512));
        assert_eq!(parse_bytes("0"), Ok(0));
        assert_eq!(parse_go_duration_ns("-1h30m0.5s"), Ok(-5_400_500_000_000));
        assert_eq!(parse_go_duration_ns("1w1d1h"), Ok((8 * 24 + 1) * 3_600_000_000_000));
        assert_eq!(parse_int("20"), Ok(20));
        for (text, value) in [
            ("0", 0),
            ("3", 3),
            ("03", 3),
            ("0x10", 16),
            ("0B11", 3),
            ("0o_17", 15),
            ("0x1_0", 16),
            ("1_0", 10),
            ("0_7", 7),
        ] {
            assert_eq!(parse_uint(text), Ok(value), "{text}");
        }
        for wrong in ["", "_1", "0x", "08", "0x1__0", "0x1_", "+1", "99999999999999999999"] {
            assert!(parse_uint(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Moment::parse("-36h").unwrap().resolve_ms(1), 1 - 129_600_000);
        assert_eq!(Moment::parse("2026-01-01T00:00:00Z").unwrap().resolve_ms(1), 1_767_225_600_000);
        assert!(Moment::parse("9999-12-31T23:59:59Z").is_ok() && Moment::parse("0000-01-01T00:00:00Z").is_ok());
        assert!(Kind::Duration.same("60m", "1h") && !Kind::Duration.same("60m", "2h"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            for kind in [
                Kind::Bool, Kind::Int, Kind::Uint, Kind::Float, Kind::Duration, Kind::GoDuration, Kind::Bytes, Kind::Time,
            ] {
                let _ = kind.check(&text);
            }
        }
    }
}
