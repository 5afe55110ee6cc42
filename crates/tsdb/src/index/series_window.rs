//! The bytes of series of an index: those of neighbours come with one read.
//!
//! A series is `uvarint len, body, crc`.

use super::reader::IndexReader;
use super::{InSection, IndexError};
use crate::encoding::{DecodeError, Reader, verify_checksum};

/// How much is read at first; most series are smaller.
const FIRST_BYTES: u64 = 256;
/// How much is read where one series followed another again and again.
const MOST_BYTES: u64 = 128 << 10;
/// Reading over a gap up to this costs less than another call.
const NEAR_BYTES: u64 = 2048;
/// The longest length.
const MAX_UVARINT32_BYTES: usize = 5;

/// A piece of the file.
#[derive(Debug, Default)]
pub(super) struct SeriesWindow {
    bytes: Vec<u8>,
    start: u64,
    ahead_bytes: u64,
}

impl SeriesWindow {
    /// The checked body of a series. Going back is right as well, only slow.
    pub(super) fn body(&mut self, index: &IndexReader, series: u32) -> Result<&[u8], IndexError> {
        let start = index.series_start(series);
        if let Some(at) = self.offset_of(start)
            && let Some(body) = body_within(&self.bytes[at..])?
        {
            return Ok(&self.bytes[at + body.start..at + body.end]);
        }
        let end = self.start + self.bytes.len() as u64;
        // A series that begins in the window or soon behind it is a neighbour of those before.
        let is_near = !self.bytes.is_empty() && start >= self.start && start <= end + NEAR_BYTES;
        self.ahead_bytes = if is_near { (self.ahead_bytes * 4).min(MOST_BYTES) } else { FIRST_BYTES };
        self.fill(index, start, self.ahead_bytes)?;
        let body = match body_within(&self.bytes)? {
            Some(body) => body,
            None => {
                self.fill(index, start, series_frame(&self.bytes)?.end + 4)?;
                body_within(&self.bytes)?.ok_or(DecodeError::UnexpectedEnd).in_section("series")?
            }
        };
        Ok(&self.bytes[body])
    }

    fn offset_of(&self, start: u64) -> Option<usize> {
        let at = usize::try_from(start.checked_sub(self.start)?).ok()?;
        (at < self.bytes.len()).then_some(at)
    }

    fn fill(&mut self, index: &IndexReader, start: u64, len: u64) -> Result<(), IndexError> {
        self.start = start;
        Ok(index.source.read_up_to(start, len, &mut self.bytes).inspect_err(|_| self.bytes.clear())?)
    }
}

/// Where the body of a series is, behind its length; the checksum follows.
fn series_frame(bytes: &[u8]) -> Result<std::ops::Range<u64>, IndexError> {
    let mut reader = Reader::new(bytes);
    let len = reader.uvarint32().in_section("series")?;
    let head = (bytes.len() - reader.len()) as u64;
    Ok(head..head + u64::from(len))
}

/// Where the checked body of the series is that `bytes` begin with; `None` where they end too early.
fn body_within(bytes: &[u8]) -> Result<Option<std::ops::Range<usize>>, IndexError> {
    if bytes.len() < MAX_UVARINT32_BYTES && series_frame(bytes).is_err() {
        return Ok(None);
    }
    let frame = series_frame(bytes)?;
    let Some(checksum) = bytes.get(frame.end as usize..frame.end as usize + 4) else { return Ok(None) };
    let body = frame.start as usize..frame.end as usize;
    let stored = Reader::new(checksum).u32().in_section("series")?;
    verify_checksum(&bytes[body.clone()], stored).in_section("series")?;
    Ok(Some(body))
}
