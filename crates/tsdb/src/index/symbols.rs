//! The texts of an index, each once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use thanoxide_model::Labels;

use super::reader::section;
use super::{InSection, IndexError};
use crate::encoding::{ByteSource, Reader};

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

/// The symbols of an index that is read. They are checked when it is opened, and held in memory whole once somebody asks for one.
#[derive(Debug)]
pub(super) struct Symbols {
    source: Arc<dyn ByteSource>,
    /// Where the section is in the file.
    offset: u64,
    count: usize,
    by_offset: bool,
    /// The number that series use for the empty text.
    empty: Option<u32>,
    table: OnceLock<Table>,
    /// Whether one was asked for since [`Symbols::rested`] looked.
    used: AtomicBool,
}

/// All symbols.
#[derive(Debug)]
struct Table {
    /// The section's count and texts.
    section: Bytes,
    /// Where in `section` each symbol's length is.
    offsets: Vec<u32>,
}

impl Symbols {
    /// Those of the section at an offset of the file.
    pub(super) fn read(source: &Arc<dyn ByteSource>, offset: u64, version: u8) -> Result<Self, IndexError> {
        let table = Table::read(&**source, offset)?;
        let mut symbols = Symbols {
            source: Arc::clone(source),
            offset,
            count: table.offsets.len(),
            by_offset: version == 1,
            empty: None,
            table: OnceLock::new(),
            used: AtomicBool::new(false),
        };
        // Symbols are sorted.
        if let Some(first) = table.offsets.first().filter(|_| table.iter().next().is_some_and(<[u8]>::is_empty)) {
            symbols.empty = symbols.number_of(0, *first);
        }
        Ok(symbols)
    }

    /// The same without what is held in memory; `None` where that is nothing, or was of use since this was asked before.
    pub(super) fn rested(&self) -> Option<Self> {
        let used = self.used.swap(false, Ordering::Relaxed);
        (!used && self.table.get().is_some()).then(|| Symbols {
            source: Arc::clone(&self.source),
            table: OnceLock::new(),
            used: AtomicBool::new(false),
            ..*self
        })
    }

    /// Whether they are in memory.
    pub(super) fn are_held(&self) -> bool {
        self.table.get().is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// By the number that series use.
    pub(super) fn get(&self, symbol: u32) -> Result<&[u8], IndexError> {
        let table = self.table()?;
        if self.by_offset {
            let offset = u64::from(symbol).checked_sub(self.start());
            return table.at(offset.ok_or_else(|| unknown(symbol))? as usize);
        }
        table.at(*table.offsets.get(symbol as usize).ok_or_else(|| unknown(symbol))? as usize)
    }

    /// The number that series use for the empty text, if there is one.
    pub(super) fn empty(&self) -> Option<u32> {
        self.empty
    }

    pub(super) fn iter(&self) -> Result<impl Iterator<Item = &[u8]>, IndexError> {
        Ok(self.table()?.iter())
    }

    /// Where the section's count is in the file.
    fn start(&self) -> u64 {
        self.offset + 4
    }

    fn number_of(&self, place: u32, offset: u32) -> Option<u32> {
        if self.by_offset { u32::try_from(self.start() + u64::from(offset)).ok() } else { Some(place) }
    }

    #[inline]
    fn table(&self) -> Result<&Table, IndexError> {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        match self.table.get() {
            Some(table) => Ok(table),
            None => self.load(),
        }
    }

    #[cold]
    fn load(&self) -> Result<&Table, IndexError> {
        let table = Table::read(&*self.source, self.offset)?;
        Ok(self.table.get_or_init(|| table))
    }
}

impl Table {
    fn read(source: &dyn ByteSource, offset: u64) -> Result<Self, IndexError> {
        let section = section(source, offset, "symbols")?;
        let mut reader = Reader::new(&section);
        let count = reader.u32().in_section("symbols")? as usize;
        // Each symbol takes a byte at least.
        let mut offsets = Vec::with_capacity(count.min(section.len()));
        for _ in 0..count {
            offsets.push((section.len() - reader.len()) as u32);
            reader.uvarint_bytes().in_section("symbols")?;
        }
        Ok(Table { section, offsets })
    }

    fn at(&self, offset: usize) -> Result<&[u8], IndexError> {
        Reader::new(self.section.get(offset..).unwrap_or_default()).uvarint_bytes().in_section("symbols")
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.offsets.iter().map(|offset| self.at(*offset as usize).expect("read once when the table was"))
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
