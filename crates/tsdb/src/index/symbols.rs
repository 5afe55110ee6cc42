//! The texts of an index, each once.

use bytes::Bytes;
use thanoxide_model::Labels;

use super::{InSection, IndexError};
use crate::encoding::Reader;

/// Repeated texts are given up whenever there are twice as many as after the last time, and at least so many.
const COMPACT_TEXTS: usize = 4096;

/// Collects the symbols of a new index. Blocks cut from a head hold the empty text too.
#[derive(Clone, Debug, Default)]
pub struct SymbolSet {
    bytes: Vec<u8>,
    /// Where each text begins in `bytes`, and its length.
    texts: Vec<(usize, usize)>,
    /// How many texts were left by the last compaction.
    distinct: usize,
}

impl SymbolSet {
    /// Adds one text.
    pub fn add(&mut self, text: &[u8]) {
        self.texts.push((self.bytes.len(), text.len()));
        self.bytes.extend_from_slice(text);
        if self.texts.len() > (self.distinct * 2).max(COMPACT_TEXTS) {
            self.compact();
        }
    }

    /// Adds the names and values of a series.
    pub fn add_labels(&mut self, labels: &Labels) {
        for (name, value) in labels {
            self.add(name);
            self.add(value);
        }
    }

    /// All texts in order, each once.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut texts: Vec<&[u8]> = self.texts.iter().map(|(start, len)| &self.bytes[*start..start + len]).collect();
        texts.sort_unstable();
        texts.dedup();
        texts.into_iter()
    }

    fn compact(&mut self) {
        let (mut bytes, mut texts) = (Vec::new(), Vec::new());
        for text in self.iter() {
            texts.push((bytes.len(), text.len()));
            bytes.extend_from_slice(text);
        }
        (self.distinct, self.texts, self.bytes) = (texts.len(), texts, bytes);
    }
}

/// The symbols of an index that is read: held in memory whole.
#[derive(Debug)]
pub(super) struct Symbols {
    /// The section's count and texts.
    section: Bytes,
    /// Where the section's count is in the file.
    start: u64,
    /// Where in `section` each symbol's length is.
    offsets: Vec<u32>,
    by_offset: bool,
}

impl Symbols {
    /// `section` is checked already.
    pub(super) fn read(section: Bytes, start: u64, version: u8) -> Result<Self, IndexError> {
        let mut reader = Reader::new(&section);
        let count = reader.u32().in_section("symbols")? as usize;
        // Each symbol takes a byte at least.
        let mut offsets = Vec::with_capacity(count.min(section.len()));
        for _ in 0..count {
            offsets.push((section.len() - reader.len()) as u32);
            reader.uvarint_bytes().in_section("symbols")?;
        }
        Ok(Symbols { section, start, offsets, by_offset: version == 1 })
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    fn at(&self, offset: usize) -> Result<&[u8], IndexError> {
        Reader::new(self.section.get(offset..).unwrap_or_default()).uvarint_bytes().in_section("symbols")
    }

    /// By the number that series use.
    pub(super) fn get(&self, symbol: u32) -> Result<&[u8], IndexError> {
        if self.by_offset {
            let offset = u64::from(symbol).checked_sub(self.start);
            return self.at(offset.ok_or_else(|| unknown(symbol))? as usize);
        }
        self.at(*self.offsets.get(symbol as usize).ok_or_else(|| unknown(symbol))? as usize)
    }

    /// The first text, and the number that series use for it.
    pub(super) fn first(&self) -> Option<(u32, &[u8])> {
        let offset = *self.offsets.first()?;
        let symbol = if self.by_offset { u32::try_from(self.start + u64::from(offset)).ok()? } else { 0 };
        Some((symbol, self.iter().next()?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.offsets.iter().map(|offset| self.at(*offset as usize).expect("read once when the index was opened"))
    }
}

fn unknown(symbol: u32) -> IndexError {
    IndexError::corrupt("symbols", format!("unknown symbol {symbol}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_comes_once_and_in_order() {
        let mut symbols = SymbolSet::default();
        (0..50_000u32).for_each(|i| symbols.add((i.wrapping_mul(2_654_435_761) % 3000).to_string().as_bytes()));
        symbols.add(b"");
        let read: Vec<&[u8]> = symbols.iter().collect();
        assert!(read.is_sorted_by(|a, b| a < b));
        assert_eq!((read.len(), read[0]), (3001, b"".as_slice()));
    }
}
