//! The result of a query as JSON text, piece by piece: an answer of some hundred MB is never in memory as text.
//!
//! A point is `[time,"value"]`. All series of a range query have their points at the same steps, so the text of a time is
//! made once and copied for every series after the first. Points are put together in a small block of fixed size before
//! they are appended.

use bytes::Bytes;
use thanoxide_model::float;
use thanoxide_promql::Points;
use thanoxide_promql::value::{MatrixSeries, QueryValue, Value, VectorSample};

use crate::json::{push_labels, push_string, push_timestamp};

/// A piece ends with the series that makes it so long.
const PIECE_BYTES: usize = 64 << 10;
/// Longer than `,[-9223372036854775.808,"` and than any value with `"]` behind it.
const TIME_BYTES: usize = 32;
const POINT_BYTES: usize = 64;
/// Points in a block.
const BLOCK_POINTS: usize = 16;
/// Whole numbers below this have no exponent, and an `f64` tells them all apart.
const WHOLE: f64 = 1e15;

/// The text `head "resultType":…,"result":… tail`, in pieces.
#[derive(Debug)]
pub struct Pieces {
    out: Vec<u8>,
    rest: Rest,
    tail: Option<String>,
    writer: Writer,
    is_first: bool,
}

/// What has not been written yet.
#[derive(Debug)]
enum Rest {
    Vector(std::vec::IntoIter<VectorSample>),
    Matrix(std::vec::IntoIter<MatrixSeries>),
    Nothing,
}

impl Pieces {
    /// `head` and `tail` are written around the result.
    pub fn new(head: String, value: QueryValue, tail: String) -> Self {
        let mut pieces = Pieces {
            out: head.into_bytes(),
            rest: Rest::Nothing,
            tail: Some(tail),
            writer: Writer::default(),
            is_first: true,
        };
        pieces.begin(value);
        pieces
    }

    fn begin(&mut self, value: QueryValue) {
        let out = &mut self.out;
        match value {
            QueryValue::Vector(samples) => {
                out.extend_from_slice(b"\"resultType\":\"vector\",\"result\":[");
                self.rest = Rest::Vector(samples.into_iter());
            }
            QueryValue::Matrix(series) => {
                out.extend_from_slice(b"\"resultType\":\"matrix\",\"result\":[");
                self.rest = Rest::Matrix(series.into_iter());
            }
            QueryValue::Scalar { timestamp_ms, value } => {
                out.extend_from_slice(b"\"resultType\":\"scalar\",\"result\":");
                self.writer.point(out, timestamp_ms, value);
            }
            QueryValue::String { timestamp_ms, value } => {
                let mut text = String::from("\"resultType\":\"string\",\"result\":[");
                push_timestamp(&mut text, timestamp_ms);
                text.push(',');
                push_string(&mut text, &value);
                text.push(']');
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// Writes the next series; false at the end.
    fn write_next(&mut self) -> bool {
        let comma: &[u8] = if self.is_first { b"" } else { b"," };
        match &mut self.rest {
            Rest::Nothing => return false,
            Rest::Vector(samples) => match samples.next() {
                Some(sample) => {
                    self.out.extend_from_slice(comma);
                    self.writer.sample(&mut self.out, &sample);
                }
                None => self.close(),
            },
            Rest::Matrix(all) => match all.next() {
                Some(series) => {
                    self.out.extend_from_slice(comma);
                    self.writer.series(&mut self.out, &series);
                }
                None => self.close(),
            },
        }
        self.is_first = false;
        true
    }

    fn close(&mut self) {
        self.out.push(b']');
        self.rest = Rest::Nothing;
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.out.len() < PIECE_BYTES && self.write_next() {}
        if matches!(self.rest, Rest::Nothing) {
            self.out.extend_from_slice(self.tail.take().unwrap_or_default().as_bytes());
        }
        let piece = std::mem::take(&mut self.out);
        if !matches!(self.rest, Rest::Nothing) {
            self.out.reserve(PIECE_BYTES + PIECE_BYTES / 4);
        }
        (!piece.is_empty()).then(|| Bytes::from(piece))
    }
}

/// Writes series, with what it learns about their times.
#[derive(Debug)]
struct Writer {
    block: [u8; BLOCK_POINTS * POINT_BYTES],
    times: Vec<TimeText>,
    labels: String,
}

/// `,[time,"`.
#[derive(Debug)]
struct TimeText {
    time_ms: i64,
    bytes: [u8; TIME_BYTES],
    length: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Writer { block: [0; BLOCK_POINTS * POINT_BYTES], times: Vec::new(), labels: String::new() }
    }
}

impl TimeText {
    fn of(time_ms: i64) -> Self {
        let mut text = String::from(",[");
        push_timestamp(&mut text, time_ms);
        text.push_str(",\"");
        let mut bytes = [0; TIME_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        TimeText { time_ms, bytes, length: text.len() }
    }
}

impl Writer {
    fn metric(&mut self, out: &mut Vec<u8>, labels: &thanoxide_model::Labels) {
        self.labels.clear();
        push_labels(&mut self.labels, labels);
        out.extend_from_slice(b"{\"metric\":");
        out.extend_from_slice(self.labels.as_bytes());
    }

    fn sample(&mut self, out: &mut Vec<u8>, sample: &VectorSample) {
        self.metric(out, &sample.labels);
        match &sample.value {
            Value::Float(value) => {
                out.extend_from_slice(b",\"value\":");
                self.point(out, sample.timestamp_ms, *value);
            }
            Value::Histogram(histogram) => {
                out.extend_from_slice(b",\"histogram\":");
                self.histogram(out, sample.timestamp_ms, histogram);
            }
        }
        out.push(b'}');
    }

    fn series(&mut self, out: &mut Vec<u8>, series: &MatrixSeries) {
        self.metric(out, &series.labels);
        if !series.floats.is_empty() {
            out.extend_from_slice(b",\"values\":[");
            self.points(out, &series.floats);
            out.push(b']');
        }
        if !series.histograms.is_empty() {
            out.extend_from_slice(b",\"histograms\":[");
            for (index, (time_ms, histogram)) in series.histograms.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                self.histogram(out, *time_ms, histogram);
            }
            out.push(b']');
        }
        out.push(b'}');
    }

    /// Points with commas between them.
    fn points(&mut self, out: &mut Vec<u8>, points: &Points) {
        let start = out.len();
        self.learn(points);
        // Where times are missing from this series the known ones are further on.
        let mut known = 0;
        let times_ms = points.times_ms().chunks(BLOCK_POINTS);
        for (times_ms, values) in times_ms.zip(points.values().chunks(BLOCK_POINTS)) {
            let mut length = 0;
            for (time_ms, value) in times_ms.iter().zip(values) {
                while self.times.get(known).is_some_and(|t| t.time_ms < *time_ms) {
                    known += 1;
                }
                let unknown;
                let time = match self.times.get(known).filter(|t| t.time_ms == *time_ms) {
                    Some(time) => time,
                    None => {
                        unknown = TimeText::of(*time_ms);
                        &unknown
                    }
                };
                self.block[length..length + TIME_BYTES].copy_from_slice(&time.bytes);
                length += time.length;
                length += put_value(&mut self.block[length..], *value);
                self.block[length..length + 2].copy_from_slice(b"\"]");
                length += 2;
            }
            out.extend_from_slice(&self.block[..length]);
        }
        // The first point has no comma before it.
        out.drain(start..(start + 1).min(out.len()));
    }

    /// Keeps the texts of the longest row of times seen so far.
    fn learn(&mut self, points: &Points) {
        if points.len() > self.times.len() {
            self.times = points.times_ms().iter().map(|time_ms| TimeText::of(*time_ms)).collect();
        }
    }

    fn point(&mut self, out: &mut Vec<u8>, time_ms: i64, value: f64) {
        let text = TimeText::of(time_ms);
        out.extend_from_slice(&text.bytes[1..text.length]);
        let length = put_value(&mut self.block, value);
        out.extend_from_slice(&self.block[..length]);
        out.extend_from_slice(b"\"]");
    }

    fn histogram(&mut self, out: &mut Vec<u8>, time_ms: i64, histogram: &thanoxide_model::FloatHistogram) {
        self.labels.clear();
        self.labels.push('[');
        push_timestamp(&mut self.labels, time_ms);
        self.labels.push(',');
        histogram.push_json(&mut self.labels);
        self.labels.push(']');
        out.extend_from_slice(self.labels.as_bytes());
    }
}

/// Writes a value as Prometheus gives it, without quotes; how long it is.
fn put_value(into: &mut [u8], value: f64) -> usize {
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
    // Texts with an exponent, which are rare, are put into Go's form.
    match text.as_bytes().contains(&b'e') {
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
    use std::sync::Arc;

    use super::*;
    use thanoxide_model::{FloatHistogram, Labels};

    fn whole(value: QueryValue) -> String {
        let bytes: Vec<u8> = Pieces::new("<".into(), value, ">".into()).flatten().collect();
        String::from_utf8(bytes).unwrap()
    }

    fn text_of(value: f64) -> String {
        let mut into = [0; POINT_BYTES];
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

    #[test]
    fn matrices_with_gaps() {
        let series = |name: &str, floats: &[(i64, f64)]| MatrixSeries {
            labels: Labels::from_pairs([("a", name)]),
            floats: floats.iter().copied().collect(),
            histograms: Vec::new(),
        };
        let all = vec![
            series("x", &[(1000, 1.0), (3000, 3.5)]),
            series("y", &[(1000, 1.0), (1500, 2.0), (3000, 3.0)]),
            series("z", &[(1500, -2.0), (2000, 1e300)]),
        ];
        let text = whole(QueryValue::Matrix(all));
        let expected = concat!(
            r#"<"resultType":"matrix","result":[{"metric":{"a":"x"},"values":[[1,"1"],[3,"3.5"]]},"#,
            r#"{"metric":{"a":"y"},"values":[[1,"1"],[1.500,"2"],[3,"3"]]},"#,
            r#"{"metric":{"a":"z"},"values":[[1.500,"-2"],[2,"1e+300"]]}]>"#,
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn pieces_are_bounded_and_whole() {
        let floats: Points = (0..1000).map(|n| (n * 15_000, n as f64 / 7.0)).collect();
        let one = MatrixSeries { labels: Labels::from_pairs([("a", "b")]), floats, histograms: Vec::new() };
        let pieces: Vec<Bytes> = Pieces::new("{".into(), QueryValue::Matrix(vec![one; 50]), "}".into()).collect();
        assert!(pieces.len() > 10 && pieces.iter().all(|p| !p.is_empty() && p.len() < 2 * PIECE_BYTES));
        let text = String::from_utf8(pieces.concat()).unwrap();
        assert!(text.starts_with("{\"resultType\"") && text.ends_with("]}]}"));
        assert_eq!(text.matches("metric").count(), 50);
    }

    #[test]
    fn other_results() {
        let vector = |value| VectorSample { labels: Labels::empty(), timestamp_ms: 1000, value };
        let histogram = Value::Histogram(Arc::new(FloatHistogram::default()));
        let text = whole(QueryValue::Vector(vec![vector(Value::Float(2.0)), vector(histogram)]));
        let expected = r#"<"resultType":"vector","result":[{"metric":{},"value":[1,"2"]},{"metric":{},"histogram":[1,"#;
        assert!(text.starts_with(expected) && text.ends_with("]}]>"), "{text}");
        assert_eq!(
            whole(QueryValue::Scalar { timestamp_ms: 1500, value: 1.5 }),
            r#"<"resultType":"scalar","result":[1.500,"1.5"]>"#
        );
        assert_eq!(
            whole(QueryValue::String { timestamp_ms: 0, value: b"a\"".to_vec() }),
            r#"<"resultType":"string","result":[0,"a\""]>"#
        );
        assert_eq!(whole(QueryValue::Matrix(Vec::new())), r#"<"resultType":"matrix","result":[]>"#);
    }
}
