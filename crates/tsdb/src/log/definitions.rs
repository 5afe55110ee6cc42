//! Series definitions, in frames of the log and in blocks of the snapshot.
//!
//! ```text
//! definition := varint ref - ref before | uvarint number of labels | label*
//! label      := u8 0                        name and value as the series before has at this place
//!             | u8 1, str value             only the name
//!             | u8 2, str name, str value
//! str        := uvarint length | bytes
//! ```
//! Before the first series the reference is 0 and there are no labels. Neighbors share most of their labels.

use crate::encoding::{DecodeError, Put, Reader};
use crate::wal::record::SeriesRef;

const SAME: u8 = 0;
const SAME_NAME: u8 = 1;
const NEW: u8 = 2;

/// Writes definitions, one after the other, of labels by their numbers.
#[derive(Clone, Debug, Default)]
pub struct DefinitionsWriter {
    series: SeriesRef,
    labels: Vec<u32>,
}

impl DefinitionsWriter {
    /// Appends a definition. `text` gives name and value of a label; equal numbers must mean equal labels from the first
    /// series to the last.
    pub fn push<'t>(&mut self, out: &mut Vec<u8>, series: SeriesRef, labels: &[u32], text: impl Fn(u32) -> Label<'t>) {
        out.put_varint(series.wrapping_sub(self.series) as i64);
        out.put_uvarint(labels.len() as u64);
        for (place, label) in labels.iter().enumerate() {
            let before = self.labels.get(place).copied();
            if before == Some(*label) {
                out.put_u8(SAME);
                continue;
            }
            let (name, value) = text(*label);
            if before.is_some_and(|before| text(before).0 == name) {
                out.put_u8(SAME_NAME);
            } else {
                out.put_u8(NEW);
                out.put_uvarint_bytes(name);
            }
            out.put_uvarint_bytes(value);
        }
        self.series = series;
        self.labels.clear();
        self.labels.extend_from_slice(labels);
    }

    /// Starts over.
    pub fn clear(&mut self) {
        self.series = 0;
        self.labels.clear();
    }
}

/// Name and value.
pub type Label<'a> = (&'a [u8], &'a [u8]);

/// Reads definitions, one after the other.
#[derive(Clone, Debug, Default)]
pub struct DefinitionsReader<'a> {
    series: SeriesRef,
    labels: Vec<Label<'a>>,
}

impl<'a> DefinitionsReader<'a> {
    /// The next definition.
    pub fn read(&mut self, reader: &mut Reader<'a>) -> Result<(SeriesRef, &[Label<'a>]), DecodeError> {
        self.series = self.series.wrapping_add(reader.varint()? as u64);
        let count = reader.uvarint_len()?;
        // A label takes a byte at least, so a lie is told before memory is taken.
        if count > reader.len() {
            return Err(DecodeError::UnexpectedEnd);
        }
        self.labels.truncate(count);
        for place in 0..count {
            let label = match (reader.u8()?, self.labels.get(place)) {
                (SAME, Some(_)) => continue,
                (SAME_NAME, Some((name, _))) => (*name, reader.uvarint_bytes()?),
                (NEW, _) => (reader.uvarint_bytes()?, reader.uvarint_bytes()?),
                _ => return Err(DecodeError::UnexpectedEnd),
            };
            match self.labels.get_mut(place) {
                Some(before) => *before = label,
                None => self.labels.push(label),
            }
        }
        Ok((self.series, &self.labels))
    }
}

/// Reads only whom definitions are of, one after the other, in less time.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefinedReader {
    series: SeriesRef,
    labels: usize,
}

impl DefinedReader {
    /// The series of the next definition.
    pub fn read(&mut self, reader: &mut Reader<'_>) -> Result<SeriesRef, DecodeError> {
        self.series = self.series.wrapping_add(reader.varint()? as u64);
        let count = reader.uvarint_len()?;
        if count > reader.len() {
            return Err(DecodeError::UnexpectedEnd);
        }
        for place in 0..count {
            let texts = match reader.u8()? {
                SAME if place < self.labels => 0,
                SAME_NAME if place < self.labels => 1,
                NEW => 2,
                _ => return Err(DecodeError::UnexpectedEnd),
            };
            (0..texts).try_for_each(|_| reader.uvarint_bytes().map(drop))?;
        }
        self.labels = count;
        Ok(self.series)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn definitions_round_trip(
            texts in proptest::collection::vec(any::<Vec<u8>>(), 1..8),
            series in proptest::collection::vec((any::<u64>(), proptest::collection::vec((0usize..8, 0usize..8), 0..5)), 0..9),
        ) {
            let count = texts.len();
            let text = |label: u32| {
                let label = label as usize;
                (texts[label / count].as_slice(), texts[label % count].as_slice())
            };
            let number = |(name, value): &(usize, usize)| (name % count * count + value % count) as u32;
            let series: Vec<(u64, Vec<u32>)> =
                series.iter().map(|(r, labels)| (*r, labels.iter().map(number).collect())).collect();
            let (mut writer, mut out) = (DefinitionsWriter::default(), Vec::new());
            series.iter().for_each(|(r, labels)| writer.push(&mut out, *r, labels, text));
            let (mut read, mut reader) = (DefinitionsReader::default(), Reader::new(&out));
            let (mut defined, mut defined_reader) = (DefinedReader::default(), Reader::new(&out));
            for (r, labels) in &series {
                let labels: Vec<_> = labels.iter().map(|label| text(*label)).collect();
                prop_assert_eq!(defined.read(&mut defined_reader).unwrap(), *r);
                prop_assert_eq!(read.read(&mut reader).unwrap(), (*r, labels.as_slice()));
            }
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let (mut read, mut reader) = (DefinitionsReader::default(), Reader::new(&bytes));
            let (mut defined, mut defined_reader) = (DefinedReader::default(), Reader::new(&bytes));
            while !reader.is_empty() {
                let (full, brief) = (read.read(&mut reader), defined.read(&mut defined_reader));
                prop_assert_eq!(full.map(|(series, _)| series), brief);
                if brief.is_err() {
                    break;
                }
            }
        }
    }
}
