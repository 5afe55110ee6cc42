//! Deletions of a frame: what is gone of the head's series.
//!
//! ```text
//! payload  := deletion*
//! deletion := varint ref - ref before | u8 kind | varint first time - first time before | uvarint last time - first time
//! kind     := 1 samples that came in order: readers and cuts leave them out | 2 late samples up to here: they are dropped
//! ```
//! Before the first deletion reference and time are 0.

use crate::encoding::{DecodeError, Put, Reader};
use crate::tombstones::Interval;
use crate::wal::record::SeriesRef;

/// Which samples of a series are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Deleted {
    /// Those that came in order.
    InOrder = 1,
    /// The late ones that came before the deletion.
    Late = 2,
}

/// A range of a series that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The series.
    pub series: SeriesRef,
    /// Which of its samples.
    pub kind: Deleted,
    /// Their times.
    pub range: Interval,
}

/// Appends deletions to a payload that is empty.
pub fn push_deletions(out: &mut Vec<u8>, deletions: impl IntoIterator<Item = Deletion>) {
    let (mut series, mut time_ms) = (0, 0);
    for deletion in deletions {
        let Interval { min_time_ms, max_time_ms } = deletion.range;
        out.put_varint(deletion.series.wrapping_sub(series) as i64);
        out.put_u8(deletion.kind as u8);
        out.put_varint(min_time_ms.wrapping_sub(time_ms));
        out.put_uvarint(max_time_ms.wrapping_sub(min_time_ms) as u64);
        (series, time_ms) = (deletion.series, min_time_ms);
    }
}

/// Reads a payload, one deletion after the other.
#[derive(Clone, Debug)]
pub struct DeletionsReader<'a> {
    reader: Reader<'a>,
    series: SeriesRef,
    time_ms: i64,
}

impl<'a> DeletionsReader<'a> {
    /// Begins.
    pub fn new(payload: &'a [u8]) -> Self {
        DeletionsReader { reader: Reader::new(payload), series: 0, time_ms: 0 }
    }

    /// The next deletion; `None` after the last.
    #[allow(clippy::should_implement_trait, reason = "fallible: not an Iterator")]
    pub fn next(&mut self) -> Result<Option<Deletion>, DecodeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        self.series = self.series.wrapping_add(self.reader.varint()? as u64);
        let kind = match self.reader.u8()? {
            1 => Deleted::InOrder,
            2 => Deleted::Late,
            _ => return Err(DecodeError::UnexpectedEnd),
        };
        self.time_ms = self.time_ms.wrapping_add(self.reader.varint()?);
        let max_time_ms = self.time_ms.wrapping_add(self.reader.uvarint()? as i64);
        let range = Interval { min_time_ms: self.time_ms, max_time_ms };
        Ok(Some(Deletion { series: self.series, kind, range }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn deletions_round_trip(deletions: Vec<(u64, bool, i64, i64)>) {
            let deletion = |(series, late, a, b): (u64, bool, i64, i64)| Deletion {
                series,
                kind: if late { Deleted::Late } else { Deleted::InOrder },
                range: Interval { min_time_ms: a.min(b), max_time_ms: a.max(b) },
            };
            let deletions: Vec<Deletion> = deletions.into_iter().map(deletion).collect();
            let mut payload = Vec::new();
            push_deletions(&mut payload, deletions.iter().copied());
            let mut reader = DeletionsReader::new(&payload);
            for deletion in deletions {
                prop_assert_eq!(reader.next().unwrap(), Some(deletion));
            }
            prop_assert_eq!(reader.next().unwrap(), None);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let mut reader = DeletionsReader::new(&bytes);
            while let Ok(Some(_)) = reader.next() {}
        }
    }
}
