//! Reading lists of series out of an index.
//!
//! A list is `u32 len, u32 count, u32 series…, crc`. Lists of values beside each other lie beside each other, so that many
//! of them are read with few reads.

use roaring::RoaringBitmap;

use super::{InSection, IndexError};
use crate::encoding::{ByteSource, DecodeError, Reader};
use crate::postings::Members;

/// Length and count, what most lists of one series take with their checksum, and a little more.
const SMALL_BYTES: u64 = 256;
/// How much is read at a time.
pub(super) const WINDOW_BYTES: u64 = 128 * 1024;

/// Reads lists at rising offsets, each once.
pub(super) struct Lists<'a> {
    source: &'a dyn ByteSource,
    window: Vec<u8>,
    start: u64,
}

impl<'a> Lists<'a> {
    pub(super) fn new(source: &'a dyn ByteSource) -> Self {
        Lists { source, window: Vec::new(), start: 0 }
    }

    /// The list at an offset. `near` says whether lists behind it will be read.
    pub(super) fn read(&mut self, offset: u64, near: bool) -> Result<Vec<u32>, IndexError> {
        let bytes = self.bytes(offset, 4, near)?;
        let len = u64::from(Reader::new(bytes).u32().in_section("postings")?);
        let bytes = self.bytes(offset, 4 + len + 4, near)?;
        Reader::checked(&bytes[4..]).in_section("postings")?;
        decode(&bytes[4..4 + len as usize])
    }

    #[inline]
    fn bytes(&mut self, offset: u64, len: u64, near: bool) -> Result<&[u8], IndexError> {
        let end = offset.checked_add(len).ok_or_else(|| IndexError::corrupt("postings", "offset overflows"))?;
        if offset < self.start || end > self.start + self.window.len() as u64 {
            self.fill(offset, len.max(if near { WINDOW_BYTES } else { SMALL_BYTES }))?;
        }
        let at = (offset - self.start) as usize;
        self.window.get(at..at + len as usize).ok_or(DecodeError::UnexpectedEnd).in_section("postings")
    }

    fn fill(&mut self, offset: u64, len: u64) -> Result<(), IndexError> {
        self.start = offset;
        Ok(self.source.read_up_to(offset, len, &mut self.window).inspect_err(|_| self.window.clear())?)
    }
}

/// The union of the lists at some offsets.
pub(super) fn union(source: &dyn ByteSource, mut offsets: Vec<u64>) -> Result<RoaringBitmap, IndexError> {
    const FEW: usize = 64;
    offsets.sort_unstable();
    let mut lists = Lists::new(source);
    let (mut all, mut short) = (RoaringBitmap::new(), Vec::new());
    for (i, offset) in offsets.iter().enumerate() {
        let near = offsets.get(i + FEW).is_some_and(|later| later - offset < WINDOW_BYTES);
        let list = lists.read(*offset, near)?;
        match list.len() {
            0..FEW => short.extend(list),
            _ => all |= bitmap(list),
        }
    }
    short.sort_unstable();
    let short = bitmap(short);
    Ok(if all.is_empty() { short } else { all | short })
}

/// A sorted list. Where it repeats a number, that counts once.
pub(super) fn bitmap(mut list: Vec<u32>) -> RoaringBitmap {
    list.dedup();
    RoaringBitmap::from_sorted_iter(list).unwrap_or_default()
}

/// How many series the list at an offset has.
pub(super) fn count(source: &dyn ByteSource, offset: u64) -> Result<u64, IndexError> {
    let head = source.up_to(offset, 8)?;
    let mut reader = Reader::new(&head);
    reader.u32().in_section("postings")?;
    Ok(u64::from(reader.u32().in_section("postings")?))
}

/// Lists beyond are looked through piece by piece.
const WHOLE_BYTES: u64 = 4096;

/// Says of lists whether they have any of some series.
pub(super) struct Intersections<'a> {
    lists: Lists<'a>,
    among: &'a Members,
    last: u64,
}

impl<'a> Intersections<'a> {
    pub(super) fn new(source: &'a dyn ByteSource, among: &'a Members) -> Self {
        Intersections { lists: Lists::new(source), among, last: u64::MAX }
    }

    /// Whether the list at an offset has one. Reads only as far as the first, without looking at the checksum. Asked about
    /// short lists that lie beside each other, it reads many of them at once.
    pub(super) fn ask(&mut self, offset: u64) -> Result<bool, IndexError> {
        const NEAR_BYTES: u64 = 1024;
        let near = offset.checked_sub(self.last).is_some_and(|distance| distance < NEAR_BYTES);
        self.last = offset;
        let head = self.lists.bytes(offset, 8, near)?;
        let count = head.last_chunk::<4>().map_or(0, |count| u32::from_be_bytes(*count));
        let (at, bytes) = (offset.saturating_add(8), u64::from(count) * 4);
        match bytes > WHOLE_BYTES {
            true => self.look_through(at, bytes),
            false => {
                let among = self.among;
                Ok(is_any_in(among, self.lists.bytes(at, bytes, near)?))
            }
        }
    }

    fn look_through(&self, mut at: u64, mut rest: u64) -> Result<bool, IndexError> {
        let mut step = SMALL_BYTES;
        while rest > 0 {
            let bytes = self.lists.source.range(at..at.saturating_add(rest.min(step)))?;
            if is_any_in(self.among, &bytes) {
                return Ok(true);
            }
            at += bytes.len() as u64;
            rest -= bytes.len() as u64;
            step = (step * 4).min(WINDOW_BYTES);
        }
        Ok(false)
    }
}

fn is_any_in(among: &Members, list: &[u8]) -> bool {
    list.as_chunks::<4>().0.iter().any(|series| among.contains(u32::from_be_bytes(*series)))
}

/// A list of series: its count and the numbers, rising.
fn decode(bytes: &[u8]) -> Result<Vec<u32>, IndexError> {
    let (count, list) = bytes.split_first_chunk::<4>().ok_or(DecodeError::UnexpectedEnd).in_section("postings")?;
    if list.len() as u64 != u64::from(u32::from_be_bytes(*count)) * 4 {
        return Err(IndexError::corrupt("postings", "length and count disagree"));
    }
    let series: Vec<u32> = list.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
    match series.is_sorted() {
        true => Ok(series),
        false => Err(IndexError::corrupt("postings", "series are not sorted")),
    }
}
