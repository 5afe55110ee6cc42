//! Histograms of a frame.
//!
//! ```text
//! payload   := sample*
//! sample    := u8 1 integer, 2 float | varint ref - ref before | varint time - time before | histogram
//! histogram := as in Prometheus's records, see `wal::histogram_record`
//! ```
//! In a frame of samples with start times each sample is followed by `varint start - start before`; 0 is unknown.
//!
//! Appends take sound histograms only, so an unsound one is damage: chunks are not made for it.

use thanoxide_model::write_batch::HistogramValue;

use crate::encoding::{DecodeError, Put, Reader};
use crate::wal::histogram_record::{push_histogram, read_float_histogram, read_histogram};
use crate::wal::record::{RefHistogram, SeriesRef};

const INT: u8 = 1;
const FLOAT: u8 = 2;

/// Builds a payload.
#[derive(Clone, Debug, Default)]
pub struct HistogramsWriter {
    bytes: Vec<u8>,
    series: SeriesRef,
    timestamp_ms: i64,
    start_ms: i64,
}

impl HistogramsWriter {
    /// Adds a histogram.
    pub fn push(&mut self, series: SeriesRef, timestamp_ms: i64, value: &HistogramValue) {
        self.bytes.put_u8(if matches!(value, HistogramValue::Int(_)) { INT } else { FLOAT });
        self.bytes.put_varint(series.wrapping_sub(self.series) as i64);
        self.bytes.put_varint(timestamp_ms.wrapping_sub(self.timestamp_ms));
        push_histogram(&mut self.bytes, value);
        (self.series, self.timestamp_ms) = (series, timestamp_ms);
    }

    /// Adds the start time of the histogram added last. All of a payload have one, or none has.
    pub fn push_start(&mut self, start_ms: i64) {
        self.bytes.put_varint(start_ms.wrapping_sub(self.start_ms));
        self.start_ms = start_ms;
    }

    /// The payload; empty where nothing was added.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Starts over.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.series, self.timestamp_ms, self.start_ms) = (0, 0, 0);
    }
}

/// Reads a payload, one histogram after the other.
#[derive(Clone, Debug)]
pub struct HistogramsReader<'a> {
    reader: Reader<'a>,
    series: SeriesRef,
    timestamp_ms: i64,
    start_ms: i64,
}

impl<'a> HistogramsReader<'a> {
    /// Begins.
    pub fn new(payload: &'a [u8]) -> Self {
        HistogramsReader { reader: Reader::new(payload), series: 0, timestamp_ms: 0, start_ms: 0 }
    }

    /// The start time of the histogram read last, in a frame that has them.
    pub fn start_ms(&mut self) -> Result<i64, DecodeError> {
        self.start_ms = self.start_ms.wrapping_add(self.reader.varint()?);
        Ok(self.start_ms)
    }

    /// The next histogram; `None` after the last.
    #[allow(clippy::should_implement_trait, reason = "fallible: not an Iterator")]
    pub fn next(&mut self) -> Result<Option<RefHistogram>, DecodeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let kind = self.reader.u8()?;
        self.series = self.series.wrapping_add(self.reader.varint()? as u64);
        self.timestamp_ms = self.timestamp_ms.wrapping_add(self.reader.varint()?);
        let value = match kind {
            INT => read_histogram(&mut self.reader)?,
            FLOAT => read_float_histogram(&mut self.reader)?,
            _ => return Err(DecodeError::UnexpectedEnd),
        };
        value.validate().map_err(|_| DecodeError::Histogram)?;
        Ok(Some(RefHistogram { series: self.series, timestamp_ms: self.timestamp_ms, value }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use thanoxide_model::histogram::Span;
    use thanoxide_model::{FloatHistogram, Histogram};

    use super::*;

    #[test]
    fn histograms_round_trip() {
        let int =
            HistogramValue::Int(Arc::new(Histogram { count: 3, zero_count: 3, sum: 1.5, ..Histogram::default() }));
        let float = HistogramValue::Float(Arc::new(FloatHistogram { count: 2.5, ..FloatHistogram::default() }));
        let mut writer = HistogramsWriter::default();
        writer.push(9, -5, &int);
        writer.push(2, i64::MAX, &float);
        let mut reader = HistogramsReader::new(writer.bytes());
        let first = reader.next().unwrap().unwrap();
        assert!(matches!(&first.value, HistogramValue::Int(h) if h.count == 3 && h.sum == 1.5));
        let second = reader.next().unwrap().unwrap();
        assert_eq!((second.series, second.timestamp_ms), (2, i64::MAX));
        assert!(matches!(&second.value, HistogramValue::Float(h) if h.count == 2.5));
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn an_unsound_histogram_is_damage() {
        let spans = vec![Span { offset: 0, length: 2 }];
        let sound = FloatHistogram { positive_spans: spans, positive_buckets: vec![1.0, 2.0], ..Default::default() };
        let unsound = FloatHistogram { positive_buckets: vec![1.0], ..sound.clone() };
        let read = |value: FloatHistogram| {
            let mut writer = HistogramsWriter::default();
            writer.push(1, 2, &HistogramValue::Float(Arc::new(value)));
            HistogramsReader::new(writer.bytes()).next().map(|read| read.is_some())
        };
        assert_eq!(read(sound), Ok(true));
        assert_eq!(read(unsound), Err(DecodeError::Histogram));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let mut reader = HistogramsReader::new(&bytes);
            while let Ok(Some(_)) = reader.next() {}
        }
    }
}
