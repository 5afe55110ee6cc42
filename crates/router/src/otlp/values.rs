//! Values of attributes as text, as OpenTelemetry's library for Go writes them: lists and maps as JSON, bytes as base64.
//!
//! Prometheus has a newer version of that library than Thanos: it has other names for what is no number, and does not escape `<`,
//! `>` and `&`.

use thanoxide_model::float::format_json;
use thanoxide_proto::opentelemetry::{AnyValue, KeyValue, any_value::Value};

use super::names::TranslationStrategy;

/// Deeper values are written as `null`; decoders stop at about as deep.
const MAX_DEPTH: usize = 100;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of an attribute.
pub(super) fn text_of(attribute: &KeyValue, strategy: TranslationStrategy) -> String {
    attribute.value.as_ref().map(|value| text(value, strategy.is_of_thanos())).unwrap_or_default()
}

fn text(value: &AnyValue, of_thanos: bool) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) if value.is_finite() => number(*value),
        Some(Value::DoubleValue(value)) => no_number(*value, of_thanos),
        Some(Value::BytesValue(bytes)) => base64(bytes),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) => {
            let mut json = Json { text: String::new(), escapes_html: of_thanos };
            // What JSON cannot say is no text at all.
            if json.push(Some(value), 0) { json.text } else { String::new() }
        }
    }
}

/// As Go's encoder writes it: exponents have no more digits than they need.
fn number(value: f64) -> String {
    format_json(value).replace("e-0", "e-")
}

fn no_number(value: f64, of_thanos: bool) -> String {
    let names = if of_thanos {
        ["NaN", "+Inf", "-Inf"].map(|name| format!("json: unsupported value: {name}"))
    } else {
        ["NaN", "Infinity", "-Infinity"].map(str::to_string)
    };
    let [nan, infinity, below] = names;
    if value.is_nan() {
        nan
    } else if value > 0.0 {
        infinity
    } else {
        below
    }
}

/// JSON as Go's encoder writes it.
struct Json {
    text: String,
    escapes_html: bool,
}

impl Json {
    /// Writes a value; false for a number that is none.
    fn push(&mut self, value: Option<&AnyValue>, depth: usize) -> bool {
        let value = value.and_then(|value| value.value.as_ref()).filter(|_| depth < MAX_DEPTH);
        match value {
            None => self.text.push_str("null"),
            Some(Value::StringValue(text)) => self.push_string(text),
            Some(Value::BoolValue(value)) => self.text.push_str(&value.to_string()),
            Some(Value::IntValue(value)) => self.text.push_str(&value.to_string()),
            Some(Value::DoubleValue(value)) if !value.is_finite() => return false,
            Some(Value::DoubleValue(value)) => self.text.push_str(&number(*value)),
            // No bytes are Go's nil.
            Some(Value::BytesValue(bytes)) if bytes.is_empty() => self.text.push_str("null"),
            Some(Value::BytesValue(bytes)) => self.push_string(&base64(bytes)),
            Some(Value::ArrayValue(list)) => {
                self.text.push('[');
                for (place, value) in list.values.iter().enumerate() {
                    self.text.push_str(if place > 0 { "," } else { "" });
                    if !self.push(Some(value), depth + 1) {
                        return false;
                    }
                }
                self.text.push(']');
            }
            Some(Value::KvlistValue(map)) => return self.push_map(&map.values, depth),
        }
        true
    }

    /// Keys in order; of equal ones the last counts.
    fn push_map(&mut self, pairs: &[KeyValue], depth: usize) -> bool {
        let sorted: std::collections::BTreeMap<_, _> =
            pairs.iter().map(|pair| (&pair.key, pair.value.as_ref())).collect();
        self.text.push('{');
        for (place, (key, value)) in sorted.into_iter().enumerate() {
            self.text.push_str(if place > 0 { "," } else { "" });
            self.push_string(key);
            self.text.push(':');
            if !self.push(value, depth + 1) {
                return false;
            }
        }
        self.text.push('}');
        true
    }

    /// Go escapes what JavaScript could take for something else, and HTML unless it is told not to.
    fn push_string(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                '<' | '>' | '&' if !self.escapes_html => self.text.push(c),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..'\u{20}' => {
                    self.text.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = BASE64[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// The bytes of base64, in either alphabet, padded or not.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'-' => Some(62),
        b'_' => Some(63),
        byte => BASE64.iter().position(|letter| *letter == byte).map(|at| at as u32),
    };
    let letters = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(letters.len() * 3 / 4);
    for chunk in letters.chunks(4) {
        let bits = chunk.iter().try_fold(0u32, |bits, byte| Some(bits << 6 | digit(*byte)?))?;
        let bits = bits << (6 * (4 - chunk.len()));
        let whole = [bits >> 16, bits >> 8, bits].map(|bits| bits as u8);
        bytes.extend_from_slice(whole.get(..chunk.len().checked_sub(1).filter(|n| *n > 0)?)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_comes_back() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"\xff\xfe\xfd\xfc"] {
            assert_eq!(from_base64(&base64(bytes)).unwrap(), bytes);
        }
        assert_eq!(from_base64("_-8"), Some(vec![0xff, 0xef]));
        assert!(from_base64("a").is_none() && from_base64("a!b=").is_none());
    }
}
