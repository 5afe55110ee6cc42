//! Answers as JSON text, written straight from the result: no tree in between.
//!
//! The form is that of Go's encoder: `<`, `>` and `&` are escaped, bytes that are not UTF-8 become U+FFFD, floats are
//! texts as [`push_sample_value`] says, times are seconds with three decimals or none.

use thanoxide_model::histogram::FloatHistogram;
use thanoxide_model::{Labels, float};
use thanoxide_promql::value::{MatrixSeries, QueryValue, Value, VectorSample};

/// Appends a JSON string.
pub fn push_string(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_char(out, c));
        if !chunk.invalid().is_empty() {
            out.push_str("\\ufffd");
        }
    }
    out.push('"');
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
        c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
        c => out.push(c),
    }
}

/// Appends a set of labels as an object.
pub fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        push_string(out, value);
    }
    out.push('}');
}

/// Appends items with commas between them, in brackets.
pub fn push_array<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut push: impl FnMut(&mut String, T)) {
    out.push('[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

/// Appends a whole number.
fn push_integer(out: &mut String, value: i64) {
    if value < 0 {
        out.push('-');
    }
    let (mut digits, mut at, mut rest) = ([0u8; 20], 20, value.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[at..]).expect("digits are ASCII"));
}

/// Appends a time: whole seconds, or seconds with three decimals.
pub fn push_timestamp(out: &mut String, timestamp_ms: i64) {
    let (seconds, ms) = (timestamp_ms / 1000, timestamp_ms.unsigned_abs() % 1000);
    if timestamp_ms < 0 && seconds == 0 {
        out.push('-');
    }
    push_integer(out, seconds);
    if ms != 0 {
        out.push('.');
        [ms / 100, ms / 10 % 10, ms % 10].iter().for_each(|d| out.push(char::from(b'0' + *d as u8)));
    }
}

/// Appends a sample's value as the JSON text that Prometheus gives it.
pub fn push_sample_value(out: &mut String, value: f64) {
    out.push('"');
    // Whole numbers are what counters hold: no search for the shortest text is needed.
    if value.abs() < 1e15 && (value as i64) as f64 == value && (value != 0.0 || value.is_sign_positive()) {
        push_integer(out, value as i64);
    } else {
        push_float(out, value);
    }
    out.push('"');
}

/// The shortest text; those with an exponent, which are rare, are put into Go's form.
fn push_float(out: &mut String, value: f64) {
    if !value.is_finite() {
        return out.push_str(&float::format_json(value));
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    match text.contains('e') {
        true => out.push_str(&float::format_json(value)),
        false => out.push_str(text.strip_suffix(".0").unwrap_or(text)),
    }
}

fn push_point(out: &mut String, timestamp_ms: i64, value: f64) {
    out.push('[');
    push_timestamp(out, timestamp_ms);
    out.push(',');
    push_sample_value(out, value);
    out.push(']');
}

fn push_histogram_point(out: &mut String, timestamp_ms: i64, histogram: &FloatHistogram) {
    out.push('[');
    push_timestamp(out, timestamp_ms);
    out.push(',');
    histogram.push_json(out);
    out.push(']');
}

fn push_vector_sample(out: &mut String, sample: &VectorSample) {
    out.push_str("{\"metric\":");
    push_labels(out, &sample.labels);
    match &sample.value {
        Value::Float(value) => {
            out.push_str(",\"value\":");
            push_point(out, sample.timestamp_ms, *value);
        }
        Value::Histogram(histogram) => {
            out.push_str(",\"histogram\":");
            push_histogram_point(out, sample.timestamp_ms, histogram);
        }
    }
    out.push('}');
}

fn push_matrix_series(out: &mut String, series: &MatrixSeries) {
    out.push_str("{\"metric\":");
    push_labels(out, &series.labels);
    if !series.floats.is_empty() {
        out.push_str(",\"values\":");
        push_array(out, &series.floats, |out, (t, v)| push_point(out, *t, *v));
    }
    if !series.histograms.is_empty() {
        out.push_str(",\"histograms\":");
        push_array(out, &series.histograms, |out, (t, h)| push_histogram_point(out, *t, h));
    }
    out.push('}');
}

/// Appends `"resultType":…,"result":…`.
pub fn push_result(out: &mut String, value: &QueryValue) {
    match value {
        QueryValue::Vector(samples) => {
            out.push_str("\"resultType\":\"vector\",\"result\":");
            push_array(out, samples, push_vector_sample);
        }
        QueryValue::Matrix(series) => {
            out.push_str("\"resultType\":\"matrix\",\"result\":");
            push_array(out, series, push_matrix_series);
        }
        QueryValue::Scalar { timestamp_ms, value } => {
            out.push_str("\"resultType\":\"scalar\",\"result\":");
            push_point(out, *timestamp_ms, *value);
        }
        QueryValue::String { timestamp_ms, value } => {
            out.push_str("\"resultType\":\"string\",\"result\":[");
            push_timestamp(out, *timestamp_ms);
            out.push(',');
            push_string(out, value);
            out.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_gos() {
        let mut out = String::new();
        push_string(&mut out, b"a<b>&\"\\\n\x01\xff\xfez");
        assert_eq!(out, r#""a\u003cb\u003e\u0026\"\\\n\u0001\ufffd\ufffdz""#);
    }

    #[test]
    fn floats_are_the_shortest_texts() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for n in 0..200_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = if n % 2 == 0 { f64::from_bits(bits) } else { (bits >> 40) as f64 / 1000.0 };
            let mut out = String::new();
            push_sample_value(&mut out, value);
            let slow = float::format_json(value);
            let text = out.trim_matches('"');
            // Of two shortest texts equally near, Go takes the even one, the slow way the greater.
            assert!(text == slow || text.len() == slow.len() && text.parse() == Ok(value), "{text} {slow}");
        }
        let mut tie = String::new();
        push_sample_value(&mut tie, 2_668_328_433_827_413.0 / 4.0);
        assert_eq!(tie, "\"667082108456853.2\"");
    }

    #[test]
    fn times_and_values() {
        let mut out = String::new();
        for t in [0, 1_000, 1_500, 1_005, -1_500] {
            push_timestamp(&mut out, t);
            out.push(' ');
        }
        for v in [1.0, -0.0, 0.5, 1e21, 123_456_789_012_345_680.0, f64::NAN] {
            push_sample_value(&mut out, v);
        }
        assert_eq!(out, "0 1 1.500 1.005 -1.500 \"1\"\"-0\"\"0.5\"\"1e+21\"\"123456789012345680\"\"NaN\"");
    }
}
