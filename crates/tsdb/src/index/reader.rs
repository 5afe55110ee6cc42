//! Reads an index.

use std::sync::Arc;

use bytes::Bytes;
use thanoxide_model::Labels;
use thanoxide_model::labels::MAX_LABEL_BYTES;

use super::lists::Lists;
use super::offsets::Offsets;
use super::series_window::SeriesWindow;
use super::symbols::Symbols;
use super::verdicts::Verdicts;
use super::{
    ChunkMeta, InSection, IndexError, SERIES_ALIGNMENT, SeriesEntry, SeriesParts, TOC_BYTES, Toc, read_header, read_toc,
};
use crate::encoding::{ByteSource, DecodeError, Reader};

/// An open index: a part of the postings offset table in memory, symbols once they are needed, the rest where it is.
#[derive(Debug)]
pub struct IndexReader {
    pub(super) source: Arc<dyn ByteSource>,
    version: u8,
    toc: Toc,
    symbols: Symbols,
    pub(super) offsets: Arc<Offsets>,
    pub(super) verdicts: Verdicts,
}

impl IndexReader {
    /// Reads header, table of contents, symbols and postings offsets.
    pub fn open(source: Arc<dyn ByteSource>) -> Result<Self, IndexError> {
        let version = read_header(&*source)?;
        let toc = read_toc(&source.range(source.len().saturating_sub(TOC_BYTES)..source.len())?)?;
        let symbols = Symbols::read(&source, toc.symbols, version)?;
        let table = section(&*source, toc.postings_table, "postings offset table")?;
        let offsets = Offsets::read(&table, &source, toc.postings_table + 4, version)?;
        let (offsets, verdicts) = (Arc::new(offsets), no_verdicts(&*source));
        Ok(IndexReader { source, version, toc, symbols, offsets, verdicts })
    }

    /// The same index without what was read or noted for queries; `None` where there were some since this was asked before, or where
    /// that is little. Ask now and then, and have the answer take the place of an index that nobody needs at the moment.
    pub fn rested(&self) -> Option<Self> {
        let symbols = self.symbols.rested()?;
        Some(IndexReader {
            source: Arc::clone(&self.source),
            symbols,
            offsets: Arc::clone(&self.offsets),
            verdicts: no_verdicts(&*self.source),
            ..*self
        })
    }

    /// Whether symbols are in memory.
    pub fn holds_symbols(&self) -> bool {
        self.symbols.are_held()
    }

    /// The format's version.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Bytes of the file.
    pub fn len_bytes(&self) -> u64 {
        self.source.len()
    }

    /// Where the sections are.
    pub fn toc(&self) -> Toc {
        self.toc
    }

    /// How many symbols there are.
    pub fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// All symbols, in file order.
    pub fn symbols(&self) -> Result<impl Iterator<Item = &[u8]>, IndexError> {
        self.symbols.iter()
    }

    /// All label names in use, sorted.
    pub fn label_names(&self) -> impl Iterator<Item = &[u8]> {
        self.offsets.names()
    }

    /// How many values a label has, up to 31 more or less.
    pub(super) fn values_about(&self, name: &[u8]) -> u64 {
        self.offsets.values_about(name)
    }

    /// Calls `each` with the values of a name in order, and where each one's series are listed, until it says false.
    pub fn for_each_value(&self, name: &[u8], each: &mut dyn FnMut(&[u8], u64) -> bool) -> Result<(), IndexError> {
        self.offsets.for_each(name, b"", each)
    }

    /// As [`IndexReader::for_each_value`], with the values that begin with `prefix`.
    pub fn for_each_value_with_prefix(
        &self,
        name: &[u8],
        prefix: &[u8],
        each: &mut dyn FnMut(&[u8], u64) -> bool,
    ) -> Result<(), IndexError> {
        self.offsets.for_each(name, prefix, &mut |value, offset| value.starts_with(prefix) && each(value, offset))
    }

    /// All values of a name, sorted.
    pub fn label_values(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, IndexError> {
        let mut values = Vec::new();
        self.for_each_value(name, &mut |value, _| {
            values.push(value.to_vec());
            true
        })?;
        Ok(values)
    }

    /// The series with a label, in order; none where there is no such label.
    pub fn postings(&self, name: &[u8], value: &[u8]) -> Result<Vec<u32>, IndexError> {
        match self.offsets.find(name, value)? {
            Some(offset) => self.postings_at(offset),
            None => Ok(Vec::new()),
        }
    }

    /// All series, in order.
    pub fn all_postings(&self) -> Result<Vec<u32>, IndexError> {
        self.postings(b"", b"")
    }

    /// The list at a file offset (see [`IndexReader::for_each_value`]).
    pub fn postings_at(&self, offset: u64) -> Result<Vec<u32>, IndexError> {
        Lists::new(&*self.source).read(offset, false)
    }

    /// Labels and chunks of a series. [`super::SeriesReader`] is faster for many.
    pub fn series(&self, series: u32) -> Result<SeriesEntry, IndexError> {
        let mut parts = SeriesParts::default();
        self.read_body(SeriesWindow::default().body(self, series)?, &mut parts)?;
        Ok(SeriesEntry { labels: Labels::from_sorted(parts.labels), chunks: parts.chunks })
    }

    /// A text by the number that series use.
    pub(super) fn symbol(&self, symbol: u32) -> Result<&[u8], IndexError> {
        self.symbols.get(symbol)
    }

    /// Where a series begins.
    pub(super) fn series_start(&self, series: u32) -> u64 {
        let unit = if self.version == 1 { 1 } else { SERIES_ALIGNMENT };
        u64::from(series) * unit
    }

    /// Reads the checked body of a series.
    pub(super) fn read_body<'s>(&'s self, body: &[u8], into: &mut SeriesParts<'s>) -> Result<(), IndexError> {
        let mut reader = Reader::new(body);
        match into.projection.take() {
            None => self.read_labels(&mut reader, into)?,
            Some(mut projection) => {
                self.read_wanted(&mut reader, &mut projection, into)?;
                into.projection = Some(projection);
            }
        }
        read_chunk_metas_into(&mut reader, &mut into.chunks).in_section("series")
    }

    /// Reads labels over those of the series before; what both have in the same place stays.
    fn read_labels<'s>(&'s self, reader: &mut Reader<'_>, into: &mut SeriesParts<'s>) -> Result<(), IndexError> {
        let SeriesParts { labels, symbols, .. } = into;
        labels.truncate(symbols.len());
        let count = reader.uvarint_len().in_section("series")?;
        let (mut has_new_names, mut has_empty) = (symbols.len() != count, false);
        for at in 0..count {
            let (name, value) = (reader.uvarint32().in_section("series")?, reader.uvarint32().in_section("series")?);
            match symbols.get(at).copied() {
                Some(known) if known == (name, value) => {}
                Some(known) if known.0 == name => labels[at].1 = self.storable(value)?,
                known => {
                    has_new_names = true;
                    let label = (self.storable(name)?, self.storable(value)?);
                    match known {
                        Some(_) => labels[at] = label,
                        None => {
                            labels.push(label);
                            symbols.push((name, value));
                        }
                    }
                }
            }
            symbols[at] = (name, value);
            has_empty |= labels[at].1.is_empty();
        }
        labels.truncate(count);
        symbols.truncate(count);
        if has_new_names && !labels.is_sorted_by(|a, b| a.0 < b.0) {
            symbols.clear();
            return Err(IndexError::corrupt("series", "labels are out of order"));
        }
        if has_empty {
            // Some writers store empty values; everywhere else a label without a value is no label.
            labels.retain(|(_, value)| !value.is_empty());
            symbols.clear();
        }
        Ok(())
    }

    /// The symbol of the empty text, if there is one.
    pub(super) fn empty_symbol(&self) -> Option<u32> {
        self.symbols.empty()
    }

    /// A text that a label may have.
    pub(super) fn storable(&self, symbol: u32) -> Result<&[u8], IndexError> {
        let text = self.symbols.get(symbol)?;
        match text.len() <= MAX_LABEL_BYTES {
            true => Ok(text),
            false => Err(IndexError::corrupt("series", "a label is too long")),
        }
    }
}

/// So many bytes beside an index may be spent on answers.
fn no_verdicts(source: &dyn ByteSource) -> Verdicts {
    Verdicts::new((source.len() / 16).clamp(64 << 10, 16 << 20) as usize)
}

/// A section of `u32 len, bytes, crc` at an offset; the bytes.
pub(super) fn section(source: &dyn ByteSource, offset: u64, name: &'static str) -> Result<Bytes, IndexError> {
    if offset == 0 {
        return Err(IndexError::corrupt(name, "absent"));
    }
    let start = offset.checked_add(4).ok_or_else(|| IndexError::corrupt(name, "offset overflows"))?;
    let len = Reader::new(&source.range(offset..start)?).u32().in_section(name)?;
    let bytes = source.range(start..start + u64::from(len) + 4)?;
    Reader::checked(&bytes).in_section(name)?;
    Ok(bytes.slice(..len as usize))
}

/// The chunks of a series' body, behind its labels.
pub(crate) fn read_chunk_metas(reader: &mut Reader<'_>) -> Result<Vec<ChunkMeta>, DecodeError> {
    let mut chunks = Vec::new();
    read_chunk_metas_into(reader, &mut chunks)?;
    Ok(chunks)
}

fn read_chunk_metas_into(reader: &mut Reader<'_>, chunks: &mut Vec<ChunkMeta>) -> Result<(), DecodeError> {
    let count = reader.uvarint_len()?;
    chunks.clear();
    // Each takes three bytes at least.
    chunks.reserve(count.min(reader.len() / 3));
    for _ in 0..count {
        let (min_time_ms, max_time_ms, reference);
        match chunks.last() {
            None => {
                min_time_ms = reader.varint()?;
                max_time_ms = min_time_ms.wrapping_add(reader.uvarint()? as i64);
                reference = reader.uvarint()?;
            }
            Some(last) => {
                min_time_ms = last.max_time_ms.wrapping_add(reader.uvarint()? as i64);
                max_time_ms = min_time_ms.wrapping_add(reader.uvarint()? as i64);
                reference = last.reference.wrapping_add(reader.varint()? as u64);
            }
        }
        chunks.push(ChunkMeta { min_time_ms, max_time_ms, reference });
    }
    Ok(())
}
