//! The result of a query as JSON text, piece by piece: an answer of some hundred MB is never in memory as text.
//!
//! A point is `[time,"value"]`. All series of a range query have their points at the same steps, so the text of a time is
//! made once and copied for every series after the first. Points are put together in a small block of fixed size before
//! they are appended.

mod histogram;
mod number;
mod times;

use bytes::Bytes;
use thanoxide_promql::Points;
use thanoxide_promql::value::{MatrixSeries, QueryValue, Value, VectorSample};

use crate::json::{push_labels, push_string, push_timestamp};
use histogram::HistogramWriter;
use number::put_value;
use times::{TIME_BYTES, Times};

/// A piece ends with the series that makes it so long.
const PIECE_BYTES: usize = 64 << 10;
/// A time, and a value with `"]` behind it.
const POINT_BYTES: usize = 64;
/// Points in a block.
const BLOCK_POINTS: usize = 16;

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
    times: Times,
    labels: String,
    histograms: HistogramWriter,
}

impl Default for Writer {
    fn default() -> Self {
        Writer {
            block: [0; BLOCK_POINTS * POINT_BYTES],
            times: Times::default(),
            labels: String::new(),
            histograms: HistogramWriter::default(),
        }
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
                self.times.begin(std::iter::once(sample.timestamp_ms));
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
            self.times.begin(series.histograms.iter().map(|(time_ms, _)| *time_ms));
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
        self.times.begin(points.times_ms().iter().copied());
        let times_ms = points.times_ms().chunks(BLOCK_POINTS);
        for (times_ms, values) in times_ms.zip(points.values().chunks(BLOCK_POINTS)) {
            let mut length = 0;
            for (time_ms, value) in times_ms.iter().zip(values) {
                let time = self.times.text(*time_ms);
                self.block[length..length + TIME_BYTES].copy_from_slice(&time.bytes);
                length += time.length;
                self.block[length] = b'"';
                length += 1 + put_value(&mut self.block[length + 1..], *value);
                self.block[length..length + 2].copy_from_slice(b"\"]");
                length += 2;
            }
            out.extend_from_slice(&self.block[..length]);
        }
        // The first point has no comma before it.
        out.drain(start..(start + 1).min(out.len()));
    }

    fn point(&mut self, out: &mut Vec<u8>, time_ms: i64, value: f64) {
        self.times.begin(std::iter::once(time_ms));
        out.extend_from_slice(&self.times.text(time_ms).as_bytes()[1..]);
        out.push(b'"');
        let length = put_value(&mut self.block, value);
        out.extend_from_slice(&self.block[..length]);
        out.extend_from_slice(b"\"]");
    }

    fn histogram(&mut self, out: &mut Vec<u8>, time_ms: i64, histogram: &thanoxide_model::FloatHistogram) {
        out.extend_from_slice(&self.times.text(time_ms).as_bytes()[1..]);
        self.histograms.write(out, histogram);
        out.push(b']');
    }
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
