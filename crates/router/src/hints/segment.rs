//! One file of hints.
//!
//! Layout: records one after the other, each `length` (4 bytes), `crc` (4 bytes, Castagnoli, of all that follows), `kept_ms`
//! (8 bytes) and the hint, an encoded `thanos.WriteRequest` of `length` bytes. Numbers are little-endian. What a crash left
//! of a record ends the file.

/// Bytes before a hint.
pub(super) const HEADER_BYTES: usize = 16;

/// A hint longer than this is none.
const MAX_HINT_BYTES: u32 = 1 << 30;

/// A record as it is on disk.
pub(super) fn record(kept_ms: i64, hint: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER_BYTES + hint.len());
    record.extend_from_slice(&(hint.len() as u32).to_le_bytes());
    record.extend_from_slice(&crc32c::crc32c_append(crc32c::crc32c(&kept_ms.to_le_bytes()), hint).to_le_bytes());
    record.extend_from_slice(&kept_ms.to_le_bytes());
    record.extend_from_slice(hint);
    record
}

/// A record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// When it was kept, in ms since the Unix epoch.
    pub(super) kept_ms: i64,
    /// The hint.
    pub(super) hint: &'a [u8],
    /// Where the next record begins.
    pub(super) next: usize,
}

/// The record at a position; `None` where there is none, or none that is whole.
pub(super) fn record_at(segment: &[u8], position: usize) -> Option<Record<'_>> {
    let (header, rest) = segment.get(position..)?.split_first_chunk::<HEADER_BYTES>()?;
    let [l0, l1, l2, l3, c0, c1, c2, c3, kept @ ..] = *header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    if length > MAX_HINT_BYTES {
        return None;
    }
    let hint = rest.get(..length as usize)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&kept), hint);
    let next = position + HEADER_BYTES + hint.len();
    (crc == u32::from_le_bytes([c0, c1, c2, c3])).then_some(Record { kept_ms: i64::from_le_bytes(kept), hint, next })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_whole_comes_back(hints in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..5), cut in any::<usize>()) {
            let mut segment = Vec::new();
            let mut ends = vec![0];
            for (i, hint) in hints.iter().enumerate() {
                segment.extend(record(i as i64, hint));
                ends.push(segment.len());
            }
            segment.truncate(cut % (segment.len() + 1));
            let mut position = 0;
            for (i, hint) in hints.iter().enumerate() {
                let found = record_at(&segment, position);
                if ends[i + 1] > segment.len() {
                    prop_assert_eq!(found, None);
                    break;
                }
                prop_assert_eq!(found, Some(Record { kept_ms: i as i64, hint, next: ends[i + 1] }));
                position = ends[i + 1];
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), position in 0usize..80) {
            let _ = record_at(&bytes, position);
        }
    }
}
