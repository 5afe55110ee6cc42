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

/// Appends a time: whole seconds, or seconds with three decimals.
pub fn push_timestamp(out: &mut String, timestamp_ms: i64) {
    use std::fmt::Write;
    let (sign, magnitude) =
        if timestamp_ms < 0 { ("-", timestamp_ms.unsigned_abs()) } else { ("", timestamp_ms as u64) };
    let result = match magnitude % 1000 {
        0 => write!(out, "{sign}{}", magnitude / 1000),
        ms => write!(out, "{sign}{}.{ms:03}", magnitude / 1000),
    };
    result.expect("writing to a String cannot fail");
}

/// Appends a sample's value as the JSON text that Prometheus gives it.
pub fn push_sample_value(out: &mut String, value: f64) {
    out.push('"');
    // Whole numbers are what counters hold: no search for the shortest text is needed.
    if value.fract() == 0.0 && value.abs() < 1e15 && !(value == 0.0 && value.is_sign_negative()) {
        use std::fmt::Write;
        write!(out, "{}", value as i64).expect("writing to a String cannot fail");
    } else {
        out.push_str(&float::format_json(value));
    }
    out.push('"');
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
