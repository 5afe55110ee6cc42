//! Which samples of a block are deleted.
//!
//! ```text
//! u32 0130BA30, u8 1
//! interval: uvarint series, varint mint, varint maxt      (both times inclusive)
//! u32 crc of the intervals only
//! ```

use std::collections::BTreeMap;

use thiserror::Error;

use crate::encoding::{DecodeError, Put, Reader};

const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;

/// Why a tombstones file could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TombstonesError {
    /// The file does not begin like one of tombstones.
    #[error("tombstones: invalid header")]
    BadHeader,
    /// The bytes are damaged.
    #[error("tombstones: {0}")]
    Decode(#[from] DecodeError),
}

/// A range of times, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first time.
    pub min_time_ms: i64,
    /// The last time.
    pub max_time_ms: i64,
}

impl Interval {
    /// Whether a time lies inside.
    pub fn contains(&self, time_ms: i64) -> bool {
        (self.min_time_ms..=self.max_time_ms).contains(&time_ms)
    }

    /// Whether two ranges have a time in common, or one begins right behind the other.
    fn touches(&self, other: &Interval) -> bool {
        self.min_time_ms <= other.max_time_ms.saturating_add(1)
            && other.min_time_ms <= self.max_time_ms.saturating_add(1)
    }
}

/// Deleted ranges by series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstones {
    by_series: BTreeMap<u64, Vec<Interval>>,
}

impl Tombstones {
    /// Deletes a range of a series; ranges that touch become one. A range that ends before it begins is none.
    pub fn add(&mut self, series: u64, interval: Interval) {
        if interval.min_time_ms > interval.max_time_ms {
            return;
        }
        let intervals = self.by_series.entry(series).or_default();
        let mut merged = interval;
        intervals.retain(|old| {
            let touches = old.touches(&interval);
            if touches {
                merged.min_time_ms = merged.min_time_ms.min(old.min_time_ms);
                merged.max_time_ms = merged.max_time_ms.max(old.max_time_ms);
            }
            !touches
        });
        let at = intervals.partition_point(|old| old.min_time_ms < merged.min_time_ms);
        intervals.insert(at, merged);
    }

    /// Forgets ranges that end before a time, and series that are not kept.
    pub fn retain(&mut self, from_ms: i64, keep: impl Fn(u64) -> bool) {
        self.by_series.retain(|series, intervals| {
            intervals.retain(|interval| interval.max_time_ms >= from_ms);
            !intervals.is_empty() && keep(*series)
        });
    }

    /// The deleted ranges of a series, sorted and apart.
    pub fn get(&self, series: u64) -> &[Interval] {
        self.by_series.get(&series).map_or(&[], Vec::as_slice)
    }

    /// All ranges, by series.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[Interval])> {
        self.by_series.iter().map(|(series, intervals)| (*series, intervals.as_slice()))
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.by_series.values().map(Vec::len).sum()
    }

    /// Whether nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.by_series.is_empty()
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u32(MAGIC);
        bytes.put_u8(VERSION);
        let start = bytes.len();
        for (series, intervals) in self.iter() {
            for interval in intervals {
                bytes.put_uvarint(series);
                bytes.put_varint(interval.min_time_ms);
                bytes.put_varint(interval.max_time_ms);
            }
        }
        bytes.put_checksum_from(start);
        bytes
    }

    /// From the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TombstonesError> {
        let mut header = Reader::new(bytes);
        if header.u32()? != MAGIC || header.u8()? != VERSION {
            return Err(TombstonesError::BadHeader);
        }
        let mut reader = Reader::checked(header.rest())?;
        let mut tombstones = Tombstones::default();
        while !reader.is_empty() {
            let series = reader.uvarint()?;
            let interval = Interval { min_time_ms: reader.varint()?, max_time_ms: reader.varint()? };
            tombstones.add(series, interval);
        }
        Ok(tombstones)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_file_has_nine_bytes() {
        assert_eq!(Tombstones::default().to_bytes(), [0x01, 0x30, 0xba, 0x30, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn touching_ranges_become_one() {
        let mut tombstones = Tombstones::default();
        for (min_time_ms, max_time_ms) in [(10, 20), (40, 50), (21, 30), (5, 7), (29, 39)] {
            tombstones.add(1, Interval { min_time_ms, max_time_ms });
        }
        let ranges: Vec<_> = tombstones.get(1).iter().map(|i| (i.min_time_ms, i.max_time_ms)).collect();
        assert_eq!(ranges, [(5, 7), (10, 50)]);
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_none() {
        let mut tombstones = Tombstones::default();
        tombstones.add(1, Interval { min_time_ms: 0, max_time_ms: -3 });
        assert!(tombstones.is_empty());
    }

    proptest! {
        #[test]
        fn files_round_trip(ranges in proptest::collection::vec((any::<u64>(), -100i64..100, 0i64..50), 0..30)) {
            let mut tombstones = Tombstones::default();
            for (series, min_time_ms, len) in ranges {
                tombstones.add(series % 5, Interval { min_time_ms, max_time_ms: min_time_ms + len });
            }
            prop_assert_eq!(Tombstones::from_bytes(&tombstones.to_bytes()).unwrap(), tombstones);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = Tombstones::from_bytes(&bytes);
        }
    }
}
