//! The symbols of several indexes as one table, and each index's numbers as numbers of it.
//!
//! The table is sorted, so that series of different blocks compare by numbers alone.

use std::cmp::Ordering;
use std::sync::Arc;

use super::heap::Heap;
use super::window::Window;
use crate::encoding::{ByteSource, DecodeError, Put, Reader, checksum};
use crate::index::{IndexError, Toc};

const AHEAD_BYTES: u64 = 64 << 10;
/// The longest length of a symbol in bytes.
const MAX_LEN_BYTES: u64 = 10;

/// All texts, sorted, each once.
#[derive(Debug, Default)]
pub(super) struct SymbolTable {
    /// As in an index: each text behind its length.
    pub(super) encoded: Vec<u8>,
    /// Where in `encoded` each text's length is.
    offsets: Vec<u32>,
}

impl SymbolTable {
    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn text(&self, symbol: u32) -> &[u8] {
        self.offsets.get(symbol as usize).map_or(&[], |offset| self.text_at(*offset))
    }

    /// The numbers of those of the texts that are there.
    pub(super) fn find_all(&self, texts: &[Vec<u8>]) -> Vec<u32> {
        let find = |text: &Vec<u8>| {
            let at = self.offsets.partition_point(|offset| self.text_at(*offset) < text.as_slice());
            (at < self.len() && self.text(at as u32) == text.as_slice()).then_some(at as u32)
        };
        texts.iter().filter_map(find).collect()
    }

    fn text_at(&self, offset: u32) -> &[u8] {
        Reader::new(&self.encoded[offset as usize..]).uvarint_bytes().unwrap_or_default()
    }

    fn push(&mut self, text: &[u8]) -> Result<u32, IndexError> {
        let offset = u32::try_from(self.encoded.len())
            .map_err(|_| IndexError::Misuse("the symbols are larger than 4 GiB".into()))?;
        self.offsets.push(offset);
        self.encoded.put_uvarint_bytes(text);
        Ok(self.offsets.len() as u32 - 1)
    }
}

/// One index's symbols in terms of the table.
#[derive(Debug, Default)]
pub(super) struct SymbolMap {
    numbers: Vec<u32>,
    /// Version 1 names symbols by their offset in the file: those, rising.
    offsets: Option<Vec<u32>>,
}

impl SymbolMap {
    pub(super) fn get(&self, symbol: u32) -> Option<u32> {
        match &self.offsets {
            None => self.numbers.get(symbol as usize).copied(),
            Some(offsets) => offsets.binary_search(&symbol).ok().map(|at| self.numbers[at]),
        }
    }
}

/// Reads the symbols of one index one after the other.
struct Symbols {
    window: Window,
    next: u64,
    /// Behind the last symbol.
    end: u64,
    left: u32,
    text: Vec<u8>,
    offset: u64,
}

impl Symbols {
    fn open(source: &Arc<dyn ByteSource>, toc: &Toc) -> Result<Self, IndexError> {
        verify(source, toc.symbols)?;
        let mut window = Window::new(source, AHEAD_BYTES);
        let head = window.range(toc.symbols..toc.symbols + 8)?;
        let mut reader = Reader::new(&head);
        let (len, count) = (reader.u32().map_err(decode)?, reader.u32().map_err(decode)?);
        let next = toc.symbols + 8;
        Ok(Symbols { window, next, end: toc.symbols + 4 + u64::from(len), left: count, text: Vec::new(), offset: 0 })
    }

    /// Puts the next symbol into `text`; false at the end.
    fn advance(&mut self) -> Result<bool, IndexError> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        self.offset = self.next;
        let room = self.end.saturating_sub(self.next);
        let mut reader = Reader::new(self.window.peek(self.next, MAX_LEN_BYTES.min(room))?);
        let before = reader.len();
        let len = reader.uvarint().map_err(decode)?;
        let start = self.next + (before - reader.len()) as u64;
        let end =
            start.checked_add(len).filter(|end| *end <= self.end).ok_or_else(|| decode(DecodeError::UnexpectedEnd))?;
        let text = self.window.peek(start, len)?;
        if self.offset != 0 && *text <= *self.text && !(text.is_empty() && self.text.is_empty()) {
            return Err(IndexError::corrupt("symbols", "not sorted"));
        }
        self.text.clear();
        self.text.extend_from_slice(text);
        self.next = end;
        Ok(true)
    }
}

fn decode(source: DecodeError) -> IndexError {
    IndexError::Decode { section: "symbols", source }
}

/// Checks the section's checksum without holding it.
fn verify(source: &Arc<dyn ByteSource>, offset: u64) -> Result<(), IndexError> {
    let start = offset.checked_add(4).ok_or_else(|| IndexError::corrupt("symbols", "offset overflows"))?;
    let len = u64::from(Reader::new(&source.range(offset..start)?).u32().map_err(decode)?);
    let (mut at, end, mut computed) = (start, start + len, checksum(b""));
    while at < end {
        let bytes = source.range(at..end.min(at + AHEAD_BYTES))?;
        computed = crc32c::crc32c_append(computed, &bytes);
        at += bytes.len() as u64;
    }
    let stored = Reader::new(&source.range(end..end + 4)?).u32().map_err(decode)?;
    if stored == computed { Ok(()) } else { Err(decode(DecodeError::Checksum { stored, computed })) }
}

/// An index's bytes, its sections and its version.
pub(super) type IndexParts<'a> = (&'a Arc<dyn ByteSource>, Toc, u8);

/// Unites the symbols of all indexes.
pub(super) fn unite(indexes: &[IndexParts<'_>]) -> Result<(SymbolTable, Vec<SymbolMap>), IndexError> {
    let mut table = SymbolTable::default();
    let mut maps: Vec<SymbolMap> = indexes
        .iter()
        .map(|(_, _, version)| SymbolMap { numbers: Vec::new(), offsets: (*version == 1).then(Vec::new) })
        .collect();
    let mut readers = Vec::with_capacity(indexes.len());
    for (source, toc, _) in indexes {
        readers.push(Symbols::open(source, toc)?);
    }
    let less = |readers: &[Symbols], a: usize, b: usize| readers[a].text.cmp(&readers[b].text) == Ordering::Less;
    let mut heap = Heap::new();
    for i in 0..readers.len() {
        if readers[i].advance()? {
            heap.push(i, |a, b| less(&readers, a, b));
        }
    }
    let mut last: Option<u32> = None;
    while let Some(i) = heap.pop(|a, b| less(&readers, a, b)) {
        let symbol = match last.filter(|last| table.text(*last) == readers[i].text) {
            Some(same) => same,
            None => table.push(&readers[i].text)?,
        };
        last = Some(symbol);
        maps[i].numbers.push(symbol);
        if let Some(offsets) = &mut maps[i].offsets {
            offsets.push(u32::try_from(readers[i].offset).map_err(|_| IndexError::corrupt("symbols", "too large"))?);
        }
        if readers[i].advance()? {
            heap.push(i, |a, b| less(&readers, a, b));
        }
    }
    Ok((table, maps))
}
