//! Exemplars of a frame.
//!
//! ```text
//! payload  := exemplar*
//! exemplar := series | varint time - time before | u8 form, value | labels
//! series   := u8 0 the one before | u8 1, varint ref - ref before | u8 2, labels
//! labels   := uvarint number of labels | (str name, str value)*
//! str      := uvarint length | bytes
//! ```
//! Before the first exemplar reference and time are 0 and there is no series. Forms of values are those of floats, see
//! `value`. Frames of the log name series by reference, a snapshot by labels: it has series that the head gave up.

use thanoxide_model::labels::MAX_LABEL_BYTES;
use thanoxide_model::{Exemplar, Labels, exemplar};

use super::value::{ValueWriter, read_value};
use crate::encoding::{DecodeError, Put, Reader};
use crate::wal::record::SeriesRef;

const SAME: u8 = 0;
const BY_REF: u8 = 1;
const BY_LABELS: u8 = 2;

/// The series of an exemplar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExemplarSeries {
    /// One that a definition names.
    Ref(SeriesRef),
    /// One with these labels.
    Labels(Labels),
}

/// Builds a payload.
#[derive(Clone, Debug, Default)]
pub struct ExemplarsWriter {
    bytes: Vec<u8>,
    before: Option<ExemplarSeries>,
    series: SeriesRef,
    timestamp_ms: i64,
    value: Vec<u8>,
}

impl ExemplarsWriter {
    /// Adds an exemplar.
    pub fn push(&mut self, series: &ExemplarSeries, exemplar: &Exemplar) {
        if self.before.as_ref() == Some(series) {
            self.bytes.put_u8(SAME);
        } else {
            self.push_series(series);
            self.before = Some(series.clone());
        }
        self.bytes.put_varint(exemplar.timestamp_ms.wrapping_sub(self.timestamp_ms));
        self.timestamp_ms = exemplar.timestamp_ms;
        self.value.clear();
        self.bytes.put_u8(ValueWriter::default().put(&mut self.value, exemplar.value));
        self.bytes.extend_from_slice(&self.value);
        push_labels(&mut self.bytes, &exemplar.labels);
    }

    fn push_series(&mut self, series: &ExemplarSeries) {
        match series {
            ExemplarSeries::Ref(series) => {
                self.bytes.put_u8(BY_REF);
                self.bytes.put_varint(series.wrapping_sub(self.series) as i64);
                self.series = *series;
            }
            ExemplarSeries::Labels(labels) => {
                self.bytes.put_u8(BY_LABELS);
                push_labels(&mut self.bytes, labels);
            }
        }
    }

    /// The payload; empty where nothing was added.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Starts over.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.before, self.series, self.timestamp_ms) = (None, 0, 0);
    }
}

fn push_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.put_uvarint(labels.len() as u64);
    for (name, value) in labels.iter() {
        out.put_uvarint_bytes(name);
        out.put_uvarint_bytes(value);
    }
}

/// Reads a payload, one exemplar after the other.
#[derive(Clone, Debug)]
pub struct ExemplarsReader<'a> {
    reader: Reader<'a>,
    before: Option<ExemplarSeries>,
    series: SeriesRef,
    timestamp_ms: i64,
}

impl<'a> ExemplarsReader<'a> {
    /// Begins.
    pub fn new(payload: &'a [u8]) -> Self {
        ExemplarsReader { reader: Reader::new(payload), before: None, series: 0, timestamp_ms: 0 }
    }

    /// The next exemplar and its series.
    #[allow(clippy::should_implement_trait, reason = "it lends and may fail")]
    pub fn next(&mut self) -> Result<Option<(&ExemplarSeries, Exemplar)>, DecodeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        match self.reader.u8()? {
            SAME => {}
            BY_REF => {
                self.series = self.series.wrapping_add(self.reader.varint()? as u64);
                self.before = Some(ExemplarSeries::Ref(self.series));
            }
            BY_LABELS => self.before = Some(ExemplarSeries::Labels(read_labels(&mut self.reader)?)),
            _ => return Err(DecodeError::UnexpectedEnd),
        }
        self.timestamp_ms = self.timestamp_ms.wrapping_add(self.reader.varint()?);
        let form = self.reader.u8()?;
        let value = read_value(&mut self.reader, form)?;
        let labels = read_labels(&mut self.reader)?;
        if !exemplar::is_short_enough(labels.iter()) {
            return Err(DecodeError::UnexpectedEnd);
        }
        let exemplar = Exemplar { labels, timestamp_ms: self.timestamp_ms, value };
        let series = self.before.as_ref().ok_or(DecodeError::UnexpectedEnd)?;
        Ok(Some((series, exemplar)))
    }
}

fn read_labels(reader: &mut Reader<'_>) -> Result<Labels, DecodeError> {
    let count = reader.uvarint_len()?;
    // A label takes two bytes at least, so a lie is told before memory is taken.
    if count > reader.len() / 2 {
        return Err(DecodeError::UnexpectedEnd);
    }
    let mut labels = Vec::with_capacity(count);
    for _ in 0..count {
        let label = (reader.uvarint_bytes()?, reader.uvarint_bytes()?);
        if label.0.len().max(label.1.len()) > MAX_LABEL_BYTES {
            return Err(DecodeError::UnexpectedEnd);
        }
        labels.push(label);
    }
    Ok(Labels::from_pairs(labels))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels() -> impl Strategy<Value = Labels> {
        let pair = ("[a-z]{1,8}", proptest::collection::vec(any::<u8>(), 1..20));
        proptest::collection::vec(pair, 0..4).prop_map(Labels::from_pairs)
    }

    fn series() -> impl Strategy<Value = ExemplarSeries> {
        prop_oneof![
            any::<u64>().prop_map(ExemplarSeries::Ref),
            (0u64..3).prop_map(ExemplarSeries::Ref),
            labels().prop_map(ExemplarSeries::Labels),
        ]
    }

    proptest! {
        #[test]
        fn exemplars_round_trip(all in proptest::collection::vec((series(), any::<i64>(), any::<u64>(), labels()), 0..20)) {
            let mut writer = ExemplarsWriter::default();
            for (series, timestamp_ms, bits, labels) in &all {
                let value = f64::from_bits(*bits);
                writer.push(series, &Exemplar { labels: labels.clone(), timestamp_ms: *timestamp_ms, value });
            }
            let mut reader = ExemplarsReader::new(writer.bytes());
            for (series, timestamp_ms, bits, labels) in &all {
                let (read_series, read) = reader.next().unwrap().unwrap();
                prop_assert_eq!(read_series, series);
                prop_assert_eq!((read.timestamp_ms, read.value.to_bits(), &read.labels), (*timestamp_ms, *bits, labels));
            }
            prop_assert!(reader.next().unwrap().is_none());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let mut reader = ExemplarsReader::new(&bytes);
            while let Ok(Some(_)) = reader.next() {}
        }
    }
}
