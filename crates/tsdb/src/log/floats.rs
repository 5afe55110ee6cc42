//! Float samples of a frame.
//!
//! ```text
//! payload := sample*
//! sample  := control u8 | [varint ref - ref before] | [varint time - time before] | value
//! control := bit 7: the reference is the one before + 1, no field | bit 6: the time is the one before, no field
//!          | bits 0-5: the value's form, see `value`
//! ```
//! Before the first sample reference and time are 0. Nothing refers to another frame.
//!
//! In a frame of samples with start times each sample is followed by `varint start - start before`; 0 is unknown.

use super::value::{ValueWriter, read_value};
use crate::encoding::{DecodeError, Put, Reader};
use crate::wal::record::{RefSample, SeriesRef};

const NEXT_REF: u8 = 1 << 7;
const SAME_TIME: u8 = 1 << 6;
const FORM: u8 = 0b11_1111;

/// Builds a payload.
#[derive(Clone, Debug, Default)]
pub struct FloatsWriter {
    bytes: Vec<u8>,
    series: SeriesRef,
    timestamp_ms: i64,
    start_ms: i64,
    values: ValueWriter,
}

impl FloatsWriter {
    /// Adds a sample.
    #[inline]
    pub fn push(&mut self, series: SeriesRef, timestamp_ms: i64, value: f64) {
        let at = self.bytes.len();
        self.bytes.push(0);
        let mut control = 0;
        if series == self.series.wrapping_add(1) {
            control |= NEXT_REF;
        } else {
            self.bytes.put_varint(series.wrapping_sub(self.series) as i64);
        }
        if timestamp_ms == self.timestamp_ms {
            control |= SAME_TIME;
        } else {
            self.bytes.put_varint(timestamp_ms.wrapping_sub(self.timestamp_ms));
        }
        (self.series, self.timestamp_ms) = (series, timestamp_ms);
        self.bytes[at] = control | self.values.put(&mut self.bytes, value);
    }

    /// Adds the start time of the sample added last. All samples of a payload have one, or none has.
    #[inline]
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

/// Reads a payload, one sample after the other.
#[derive(Clone, Debug)]
pub struct FloatsReader<'a> {
    reader: Reader<'a>,
    series: SeriesRef,
    timestamp_ms: i64,
    start_ms: i64,
}

impl<'a> FloatsReader<'a> {
    /// Begins.
    pub fn new(payload: &'a [u8]) -> Self {
        FloatsReader { reader: Reader::new(payload), series: 0, timestamp_ms: 0, start_ms: 0 }
    }

    /// The start time of the sample read last, in a frame that has them.
    #[inline]
    pub fn start_ms(&mut self) -> Result<i64, DecodeError> {
        self.start_ms = self.start_ms.wrapping_add(self.reader.varint()?);
        Ok(self.start_ms)
    }

    /// The next sample; `None` after the last.
    #[inline(always)]
    #[allow(clippy::should_implement_trait, reason = "fallible: not an Iterator")]
    pub fn next(&mut self) -> Result<Option<RefSample>, DecodeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let value = self.value()?;
        Ok(Some(RefSample { series: self.series, timestamp_ms: self.timestamp_ms, value }))
    }

    /// All samples that are left, up to where they cannot be read.
    pub fn read_all(&mut self, into: &mut Vec<RefSample>) -> Result<(), DecodeError> {
        // A reader of its own is kept out of memory.
        let mut own = self.clone();
        while !own.reader.is_empty() {
            let value = own.value()?;
            into.push(RefSample { series: own.series, timestamp_ms: own.timestamp_ms, value });
        }
        *self = own;
        Ok(())
    }

    /// Reads a sample: its value, once its series and time are known.
    #[inline(always)]
    fn value(&mut self) -> Result<f64, DecodeError> {
        let control = self.reader.u8()?;
        let step = if control & NEXT_REF != 0 { 1 } else { self.reader.varint()? };
        self.series = self.series.wrapping_add(step as u64);
        if control & SAME_TIME == 0 {
            self.timestamp_ms = self.timestamp_ms.wrapping_add(self.reader.varint()?);
        }
        read_value(&mut self.reader, control & FORM)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn samples_round_trip(samples: Vec<(u64, i64, u64)>, steps: Vec<(u8, i8, i32)>) {
            let mut writer = FloatsWriter::default();
            let (mut series, mut time) = (7u64, 1_700_000_000_000i64);
            let near = steps.iter().map(|(s, t, v)| {
                (series, time) = (series + u64::from(*s), time + i64::from(*t));
                (series, time, (f64::from(*v) / 100.0).to_bits())
            });
            let expected: Vec<_> = samples.into_iter().chain(near).collect();
            expected.iter().for_each(|(s, t, v)| writer.push(*s, *t, f64::from_bits(*v)));
            let mut reader = FloatsReader::new(writer.bytes());
            for expected in &expected {
                let sample = reader.next().unwrap().unwrap();
                prop_assert_eq!((sample.series, sample.timestamp_ms, sample.value.to_bits()), *expected);
            }
            prop_assert!(reader.next().unwrap().is_none());
            let mut read = Vec::new();
            FloatsReader::new(writer.bytes()).read_all(&mut read).unwrap();
            let bits = |sample: &RefSample| (sample.series, sample.timestamp_ms, sample.value.to_bits());
            prop_assert_eq!(read.iter().map(bits).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let mut reader = FloatsReader::new(&bytes);
            while let Ok(Some(_)) = reader.next() {}
        }
    }
}
