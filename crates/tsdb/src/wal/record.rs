//! Records: what a log says of series and samples.
//!
//! ```text
//! 1 series     (ref u64 | labels)*            labels := uvarint n | (str name | str value)*
//! 2 samples    base ref u64 | base time u64 | (varint ref - base | varint time - base | f64)*
//! 3 tombstones (ref u64 | varint mint | varint maxt)*
//! 4 exemplars  base ref u64 | base time u64 | (varint ref - base | varint time - base | f64 | labels)*
//! 7 histograms, 8 float histograms, 9 custom-bucket histograms, 10 custom-bucket float histograms
//!              base ref u64 | base time u64 | (varint ref - base | varint time - base | histogram)*
//! 11 samples, 12 histograms, 13 float histograms, with start times (read only; the start times are dropped)
//!              varint ref | varint time | varint start | value
//!              (varint ref - previous ref | varint time - first time | marker u8 | [varint start] | value)*
//! The start is there where the marker is 2.
//! ```
//! The first byte is the type; a body may be empty. Records 5 (m-map markers) and 6 (metadata) are told apart but not read.

use thanoxide_model::labels::MAX_LABEL_BYTES;
use thanoxide_model::write_batch::HistogramValue;
use thanoxide_model::{Exemplar, Labels};

use super::histogram_record::{read_float_histogram, read_histogram};
use crate::encoding::{DecodeError, Put, Reader};
use crate::log::definitions::Label;

/// Names a series for as long as any record speaks of it; never used again.
pub type SeriesRef = u64;

const SERIES: u8 = 1;
const SAMPLES: u8 = 2;
const TOMBSTONES: u8 = 3;
const EXEMPLARS: u8 = 4;
const HISTOGRAMS: u8 = 7;
const FLOAT_HISTOGRAMS: u8 = 8;
const CUSTOM_HISTOGRAMS: u8 = 9;
const CUSTOM_FLOAT_HISTOGRAMS: u8 = 10;
const SAMPLES_WITH_STARTS: u8 = 11;
const HISTOGRAMS_WITH_STARTS: u8 = 12;
const FLOAT_HISTOGRAMS_WITH_STARTS: u8 = 13;

/// A float sample of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefSample {
    /// Its series.
    pub series: SeriesRef,
    /// Its time.
    pub timestamp_ms: i64,
    /// Its value.
    pub value: f64,
}

/// A histogram of a record.
#[derive(Clone, Debug)]
pub struct RefHistogram {
    /// Its series.
    pub series: SeriesRef,
    /// Its time.
    pub timestamp_ms: i64,
    /// Its value.
    pub value: HistogramValue,
}

/// An exemplar of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct RefExemplar {
    /// Its series.
    pub series: SeriesRef,
    /// What it says.
    pub exemplar: Exemplar,
}

/// A series as its record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefSeries<'a> {
    /// How later records call it.
    pub series: SeriesRef,
    /// Its labels, sorted where the writer was sane.
    pub labels: Vec<(&'a [u8], &'a [u8])>,
}

/// A decoded record.
#[derive(Clone, Debug)]
pub enum Record<'a> {
    /// New series.
    Series(Vec<RefSeries<'a>>),
    /// Float samples.
    Samples(Vec<RefSample>),
    /// Histograms of either kind.
    Histograms(Vec<RefHistogram>),
    /// Deletions: series, first and last time.
    Tombstones(Vec<(SeriesRef, i64, i64)>),
    /// Exemplars.
    Exemplars(Vec<RefExemplar>),
    /// Anything else, by its type.
    Other(u8),
}

impl<'a> Record<'a> {
    /// Decodes a record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            SERIES => read_all(&mut reader, read_series).map(Record::Series),
            SAMPLES => read_samples(&mut reader).map(Record::Samples),
            TOMBSTONES => read_all(&mut reader, |r| Ok((r.u64()?, r.varint()?, r.varint()?))).map(Record::Tombstones),
            EXEMPLARS => read_exemplars(&mut reader).map(Record::Exemplars),
            HISTOGRAMS | CUSTOM_HISTOGRAMS => read_histograms(&mut reader, false).map(Record::Histograms),
            FLOAT_HISTOGRAMS | CUSTOM_FLOAT_HISTOGRAMS => read_histograms(&mut reader, true).map(Record::Histograms),
            SAMPLES_WITH_STARTS => read_with_starts(&mut reader, |r, series, timestamp_ms| {
                Ok(RefSample { series, timestamp_ms, value: r.f64()? })
            })
            .map(Record::Samples),
            HISTOGRAMS_WITH_STARTS => read_with_starts(&mut reader, |r, series, timestamp_ms| {
                Ok(RefHistogram { series, timestamp_ms, value: read_histogram(r)? })
            })
            .map(Record::Histograms),
            FLOAT_HISTOGRAMS_WITH_STARTS => read_with_starts(&mut reader, |r, series, timestamp_ms| {
                Ok(RefHistogram { series, timestamp_ms, value: read_float_histogram(r)? })
            })
            .map(Record::Histograms),
            other => Ok(Record::Other(other)),
        }
    }
}

fn read_all<'a, T>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(read(reader)?);
    }
    Ok(all)
}

/// Reads one series of a record.
pub(super) fn read_series<'a>(reader: &mut Reader<'a>) -> Result<RefSeries<'a>, DecodeError> {
    Ok(RefSeries { series: reader.u64()?, labels: read_labels(reader)? })
}

fn read_labels<'a>(reader: &mut Reader<'a>) -> Result<Vec<Label<'a>>, DecodeError> {
    let count = reader.uvarint_len()?;
    // A label takes two bytes at least, so a lie is told before memory is taken.
    if count > reader.len() / 2 {
        return Err(DecodeError::UnexpectedEnd);
    }
    let mut labels = Vec::with_capacity(count);
    for _ in 0..count {
        labels.push((reader.uvarint_bytes()?, reader.uvarint_bytes()?));
    }
    Ok(labels)
}

fn read_samples(reader: &mut Reader<'_>) -> Result<Vec<RefSample>, DecodeError> {
    if reader.is_empty() {
        return Ok(Vec::new());
    }
    let (base_ref, base_time) = (reader.u64()?, reader.u64()? as i64);
    let mut samples = Vec::with_capacity(reader.len() / 10);
    while !reader.is_empty() {
        samples.push(RefSample {
            series: base_ref.wrapping_add(reader.varint()? as u64),
            timestamp_ms: base_time.wrapping_add(reader.varint()?),
            value: reader.f64()?,
        });
    }
    Ok(samples)
}

/// Entries that each begin with their distance from a first reference and a first time.
fn read_from_base<'a, T>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>, SeriesRef, i64) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if reader.is_empty() {
        return Ok(Vec::new());
    }
    let (base_ref, base_time) = (reader.u64()?, reader.u64()? as i64);
    read_all(reader, |r| {
        let series = base_ref.wrapping_add(r.varint()? as u64);
        let timestamp_ms = base_time.wrapping_add(r.varint()?);
        read(r, series, timestamp_ms)
    })
}

fn read_exemplars(reader: &mut Reader<'_>) -> Result<Vec<RefExemplar>, DecodeError> {
    read_from_base(reader, |r, series, timestamp_ms| {
        let (value, labels) = (r.f64()?, read_labels(r)?);
        if labels.iter().any(|(name, value)| name.len().max(value.len()) > MAX_LABEL_BYTES) {
            return Err(DecodeError::UnexpectedEnd);
        }
        Ok(RefExemplar { series, exemplar: Exemplar { labels: Labels::from_pairs(labels), timestamp_ms, value } })
    })
}

fn read_histograms(reader: &mut Reader<'_>, float: bool) -> Result<Vec<RefHistogram>, DecodeError> {
    read_from_base(reader, |r, series, timestamp_ms| {
        let value = if float { read_float_histogram(r)? } else { read_histogram(r)? };
        Ok(RefHistogram { series, timestamp_ms, value })
    })
}

fn read_with_starts<'a, T>(
    reader: &mut Reader<'a>,
    mut value: impl FnMut(&mut Reader<'a>, SeriesRef, i64) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    const EXPLICIT_START: u8 = 2;
    let mut all = Vec::new();
    if reader.is_empty() {
        return Ok(all);
    }
    let (mut series, first_time, _first_start) = (reader.varint()?, reader.varint()?, reader.varint()?);
    all.push(value(reader, series as u64, first_time)?);
    while !reader.is_empty() {
        series = series.wrapping_add(reader.varint()?);
        let timestamp_ms = first_time.wrapping_add(reader.varint()?);
        if reader.u8()? == EXPLICIT_START {
            reader.varint()?;
        }
        all.push(value(reader, series as u64, timestamp_ms)?);
    }
    Ok(all)
}

/// Starts a record of series.
pub fn begin_series(out: &mut Vec<u8>) {
    out.clear();
    out.put_u8(SERIES);
}

/// Adds a series to a record begun by [`begin_series`].
pub fn push_series<'a>(
    out: &mut Vec<u8>,
    series: SeriesRef,
    labels: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
) {
    out.put_u64(series);
    push_labels(out, labels);
}

fn push_labels<'a>(out: &mut Vec<u8>, labels: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>) {
    out.put_uvarint(labels.len() as u64);
    for (name, value) in labels {
        out.put_uvarint_bytes(name);
        out.put_uvarint_bytes(value);
    }
}

/// Builds a record of samples, histograms or exemplars, whose base is its first sample.
#[derive(Debug, Clone, Default)]
pub struct SampleRecord {
    bytes: Vec<u8>,
    base: Option<(SeriesRef, i64)>,
}

impl SampleRecord {
    fn push_head(&mut self, kind: u8, series: SeriesRef, timestamp_ms: i64) {
        let (base_ref, base_time) = match self.base {
            Some(base) => base,
            None => {
                self.bytes.put_u8(kind);
                self.bytes.put_u64(series);
                self.bytes.put_u64(timestamp_ms as u64);
                self.base = Some((series, timestamp_ms));
                (series, timestamp_ms)
            }
        };
        self.bytes.put_varint(series.wrapping_sub(base_ref) as i64);
        self.bytes.put_varint(timestamp_ms.wrapping_sub(base_time));
    }

    /// Adds a float sample.
    pub fn push_float(&mut self, series: SeriesRef, timestamp_ms: i64, value: f64) {
        self.push_head(SAMPLES, series, timestamp_ms);
        self.bytes.put_f64(value);
    }

    /// Adds an exemplar.
    pub fn push_exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) {
        self.push_head(EXEMPLARS, series, exemplar.timestamp_ms);
        self.bytes.put_f64(exemplar.value);
        let labels: Vec<_> = exemplar.labels.iter().collect();
        push_labels(&mut self.bytes, labels.into_iter());
    }

    /// Adds a histogram. A record holds histograms of one [`histogram_kind`] only.
    pub fn push_histogram(&mut self, series: SeriesRef, timestamp_ms: i64, value: &HistogramValue) {
        self.push_head(histogram_kind(value), series, timestamp_ms);
        super::histogram_record::push_histogram(&mut self.bytes, value);
    }

    /// The record; empty where nothing was added.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Starts over.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.base = None;
    }
}

/// The type of the record that a histogram belongs to.
pub fn histogram_kind(value: &HistogramValue) -> u8 {
    const CUSTOM: i32 = thanoxide_model::histogram::CUSTOM_BUCKETS_SCHEMA;
    match value {
        HistogramValue::Int(h) if h.schema == CUSTOM => CUSTOM_HISTOGRAMS,
        HistogramValue::Int(_) => HISTOGRAMS,
        HistogramValue::Float(h) if h.schema == CUSTOM => CUSTOM_FLOAT_HISTOGRAMS,
        HistogramValue::Float(_) => FLOAT_HISTOGRAMS,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn samples_round_trip(samples: Vec<(u64, i64, u64)>) {
            let mut record = SampleRecord::default();
            for (series, timestamp_ms, bits) in &samples {
                record.push_float(*series, *timestamp_ms, f64::from_bits(*bits));
            }
            if samples.is_empty() {
                return Ok(());
            }
            let Record::Samples(read) = Record::decode(record.bytes()).unwrap() else { panic!("another type") };
            let read: Vec<_> = read.iter().map(|s| (s.series, s.timestamp_ms, s.value.to_bits())).collect();
            prop_assert_eq!(read, samples);
        }

        #[test]
        fn exemplars_round_trip(exemplars: Vec<(u64, i64, u64, Vec<(u8, u8)>)>) {
            let mut record = SampleRecord::default();
            let all: Vec<_> = exemplars.iter().map(|(series, timestamp_ms, bits, labels)| {
                let labels = Labels::from_pairs(labels.iter().map(|(name, value)| ([*name], [*value])));
                (*series, Exemplar { labels, timestamp_ms: *timestamp_ms, value: f64::from_bits(*bits) })
            }).collect();
            all.iter().for_each(|(series, exemplar)| record.push_exemplar(*series, exemplar));
            if all.is_empty() {
                return Ok(());
            }
            let Record::Exemplars(read) = Record::decode(record.bytes()).unwrap() else { panic!("another type") };
            prop_assert_eq!(read.len(), all.len());
            for (read, (series, exemplar)) in read.iter().zip(&all) {
                prop_assert_eq!((read.series, read.exemplar.timestamp_ms), (*series, exemplar.timestamp_ms));
                prop_assert_eq!(read.exemplar.value.to_bits(), exemplar.value.to_bits());
                prop_assert_eq!(&read.exemplar.labels, &exemplar.labels);
            }
        }

        #[test]
        fn series_round_trip(series: Vec<(u64, Vec<(Vec<u8>, Vec<u8>)>)>) {
            let mut bytes = Vec::new();
            begin_series(&mut bytes);
            for (series, labels) in &series {
                push_series(&mut bytes, *series, labels.iter().map(|(n, v)| (n.as_slice(), v.as_slice())));
            }
            let Record::Series(read) = Record::decode(&bytes).unwrap() else { panic!("another type") };
            prop_assert_eq!(read.len(), series.len());
            for (read, (series, labels)) in read.iter().zip(&series) {
                prop_assert_eq!(read.series, *series);
                let labels: Vec<_> = labels.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
                prop_assert_eq!(&read.labels, &labels);
            }
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, kind in 0u8..14) {
            let mut record = vec![kind];
            record.extend(bytes);
            let _ = Record::decode(&record);
        }
    }
}
