//! Pages and fragments: how records lie in a segment.
//!
//! ```text
//! page     := fragment* padding                      32 KiB; the last page of a segment may be shorter
//! fragment := type u8 | length u16 | crc u32 | data
//! type     := bits 0-2: 0 padding, 1 full, 2 first, 3 middle, 4 last; bit 3: snappy block; bit 4: zstd frame
//! padding  := zeros to the end of the page, always where fewer than 7 bytes are left
//! ```
//! The checksum is of `data`. A record is compressed as a whole, before it is cut into fragments, and stored as it is
//! where that does not make it smaller. A record never crosses a segment.

use crate::encoding::checksum;

/// Bytes in a page.
pub const PAGE_BYTES: usize = 32 * 1024;

/// Bytes before a fragment's data.
pub const HEADER_BYTES: usize = 7;

pub(crate) const TYPE_MASK: u8 = 0b111;
pub(crate) const SNAPPY: u8 = 1 << 3;
pub(crate) const ZSTD: u8 = 1 << 4;

/// A record or a fragment of one, as the type byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FragmentKind {
    Full,
    First,
    Middle,
    Last,
}

impl FragmentKind {
    pub(crate) fn from_type(byte: u8) -> Option<Self> {
        match byte & TYPE_MASK {
            1 => Some(FragmentKind::Full),
            2 => Some(FragmentKind::First),
            3 => Some(FragmentKind::Middle),
            4 => Some(FragmentKind::Last),
            _ => None,
        }
    }
}

/// The most data that a record may have to fit into what is left of a segment of which `position` bytes are used.
pub fn room_in_segment(position: u64, segment_bytes: u64) -> u64 {
    let page = PAGE_BYTES as u64;
    let header = HEADER_BYTES as u64;
    let left_in_page = page - position % page;
    let pages_after = (segment_bytes / page).saturating_sub(position / page + 1);
    left_in_page.saturating_sub(header) + (page - header) * pages_after
}

/// Appends a record to `out`, whose first byte will lie at `start` in its segment.
pub fn push_record(out: &mut Vec<u8>, start: u64, record: &[u8], compression: u8) {
    let mut rest = record;
    let mut first = true;
    while first || !rest.is_empty() {
        let left = left_in_page(start, out);
        let (part, after) = rest.split_at(rest.len().min(left - HEADER_BYTES));
        let kind = match (first, after.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        out.push(kind | compression);
        out.extend_from_slice(&(part.len() as u16).to_be_bytes());
        out.extend_from_slice(&checksum(part).to_be_bytes());
        out.extend_from_slice(part);
        if left_in_page(start, out) < HEADER_BYTES {
            pad_page(out, start);
        }
        rest = after;
        first = false;
    }
}

/// Fills the page with zeros, unless it has just begun.
pub fn pad_page(out: &mut Vec<u8>, start: u64) {
    let left = left_in_page(start, out);
    if left < PAGE_BYTES {
        out.resize(out.len() + left, 0);
    }
}

fn left_in_page(start: u64, out: &[u8]) -> usize {
    PAGE_BYTES - ((start + out.len() as u64) % PAGE_BYTES as u64) as usize
}

/// Compresses records on their way to disk.
#[derive(Debug)]
pub struct Compressor {
    encoder: snap::raw::Encoder,
    buffer: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Compressor { encoder: snap::raw::Encoder::new(), buffer: Vec::new() }
    }
}

impl Compressor {
    /// The bytes to store and the flag that says how.
    pub fn compress<'a>(&'a mut self, record: &'a [u8]) -> (&'a [u8], u8) {
        self.buffer.resize(snap::raw::max_compress_len(record.len()), 0);
        match self.encoder.compress(record, &mut self.buffer) {
            Ok(len) if len < record.len() => (&self.buffer[..len], SNAPPY),
            _ => (record, 0),
        }
    }
}
