//! Writes the index of a new block from numbers of symbols: no text is looked at but once.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::sink::FileSink;
use super::symbols::SymbolTable;
use crate::encoding::Put;
use crate::index::{ChunkMeta, HEADER_BYTES, IndexError, SERIES_ALIGNMENT, Toc, put_chunk_metas, put_index_header};

const FLUSH_BYTES: usize = 256 << 10;
const MAX_TABLE_BYTES: usize = u32::MAX as usize;

/// One index, written series by series.
#[derive(Debug)]
pub(super) struct IndexFile {
    file: Box<dyn FileSink>,
    buffer: Vec<u8>,
    flushed_bytes: u64,
    toc: Toc,
    last_symbols: Vec<u32>,
    last_reference: u64,
    body: Vec<u8>,
    /// Name and value of each label that is in use, with its number.
    labels: HashMap<(u32, u32), u32, FixedState>,
    /// How many series have a label, by its number.
    counts: Vec<u32>,
    /// The numbers of the labels of all series, one series behind the other.
    series_labels: Vec<u32>,
    /// Number and count of labels of each series.
    series: Vec<(u32, u32)>,
}

impl IndexFile {
    /// Writes the symbols.
    pub(super) fn create(mut file: Box<dyn FileSink>, symbols: &SymbolTable) -> Result<Self, IndexError> {
        let mut buffer = Vec::with_capacity(FLUSH_BYTES + 4096);
        put_index_header(&mut buffer);
        let len = u32::try_from(symbols.encoded.len() + 4)
            .map_err(|_| IndexError::Misuse("the symbols are larger than 4 GiB".into()))?;
        buffer.put_u32(len);
        let start = buffer.len();
        buffer.put_u32(symbols.len() as u32);
        let crc = crc32c::crc32c_append(crate::encoding::checksum(&buffer[start..]), &symbols.encoded);
        file.append(&buffer)?;
        file.append(&symbols.encoded)?;
        let flushed_bytes = (buffer.len() + symbols.encoded.len()) as u64;
        buffer.clear();
        buffer.put_u32(crc);
        let series = flushed_bytes + 4;
        Ok(IndexFile {
            file,
            buffer,
            flushed_bytes,
            toc: Toc { symbols: HEADER_BYTES, series, ..Toc::default() },
            last_symbols: Vec::new(),
            last_reference: 0,
            body: Vec::with_capacity(256),
            labels: HashMap::default(),
            counts: Vec::new(),
            series_labels: Vec::new(),
            series: Vec::new(),
        })
    }

    fn position(&self) -> u64 {
        self.flushed_bytes + self.buffer.len() as u64
    }

    fn pad(&mut self, alignment: u64) {
        let missing = self.position().next_multiple_of(alignment) - self.position();
        self.buffer.resize(self.buffer.len() + missing as usize, 0);
    }

    fn flush(&mut self) -> Result<(), IndexError> {
        self.file.append(&self.buffer)?;
        self.flushed_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn flush_if_large(&mut self) -> Result<(), IndexError> {
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Adds a series, behind all others in order. `symbols` are name and value by turns.
    pub(super) fn add_series(&mut self, symbols: &[u32], chunks: &[ChunkMeta]) -> Result<(), IndexError> {
        if !self.series.is_empty() && *self.last_symbols >= *symbols {
            return Err(IndexError::Misuse("series are out of order".into()));
        }
        self.pad(SERIES_ALIGNMENT);
        let number = u32::try_from(self.position() / SERIES_ALIGNMENT)
            .map_err(|_| IndexError::Misuse("the index is larger than 64 GiB".into()))?;
        self.body.clear();
        self.body.put_uvarint(symbols.len() as u64 / 2);
        for label in symbols.as_chunks::<2>().0 {
            self.body.put_uvarint(u64::from(label[0]));
            self.body.put_uvarint(u64::from(label[1]));
            let next = self.counts.len() as u32;
            let label = *self.labels.entry((label[0], label[1])).or_insert(next);
            if label == next {
                self.counts.push(0);
            }
            self.counts[label as usize] += 1;
            self.series_labels.push(label);
        }
        put_chunk_metas(&mut self.body, &mut self.last_reference, chunks)?;
        self.buffer.put_uvarint(self.body.len() as u64);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&self.body);
        self.buffer.put_checksum_from(start);
        self.series.push((number, symbols.len() as u32 / 2));
        self.last_symbols.clear();
        self.last_symbols.extend_from_slice(symbols);
        self.flush_if_large()
    }

    /// Writes postings and tables, and finishes the file.
    pub(super) fn finish(mut self, symbols: &SymbolTable) -> Result<(), IndexError> {
        self.toc.label_indices = self.position();
        self.toc.postings = self.position();
        let table = self.put_all_postings(symbols)?;
        self.toc.label_indices_table = self.position();
        self.toc.postings_table = self.position();
        let len = u32::try_from(table.len())
            .map_err(|_| IndexError::Misuse("the postings offset table is larger than 4 GiB".into()))?;
        self.buffer.put_u32(len);
        self.flush()?;
        self.file.append(&table)?;
        self.flushed_bytes += table.len() as u64;
        self.buffer.put_u32(crate::encoding::checksum(&table));
        let toc = self.toc;
        toc.put(&mut self.buffer);
        self.flush()?;
        Ok(self.file.finish()?)
    }

    /// The list of all series, then those of each label by name and value; gives the table of where they are.
    fn put_all_postings(&mut self, symbols: &SymbolTable) -> Result<Vec<u8>, IndexError> {
        let (ends, postings) = self.take_postings();
        let mut labels: Vec<((u32, u32), u32)> = std::mem::take(&mut self.labels).into_iter().collect();
        // Symbols are sorted, so their numbers are in the order of their texts.
        labels.sort_unstable();
        let all: Vec<u32> = std::mem::take(&mut self.series).into_iter().map(|(number, _)| number).collect();
        let mut table = Vec::new();
        table.put_u32(labels.len() as u32 + 1);
        self.put_postings(&mut table, (b"", b""), &all)?;
        for ((name, value), label) in labels {
            let end = ends[label as usize] as usize;
            let start = end - self.counts[label as usize] as usize;
            self.put_postings(&mut table, (symbols.text(name), symbols.text(value)), &postings[start..end])?;
        }
        Ok(table)
    }

    /// The series of all labels, one label behind the other, and where each label's end.
    fn take_postings(&mut self) -> (Vec<u64>, Vec<u32>) {
        let mut at = 0;
        let mut ends: Vec<u64> = Vec::with_capacity(self.counts.len());
        for count in &self.counts {
            ends.push(at);
            at += u64::from(*count);
        }
        let mut postings = vec![0; self.series_labels.len()];
        let mut labels = std::mem::take(&mut self.series_labels).into_iter();
        for (number, count) in &self.series {
            for label in labels.by_ref().take(*count as usize) {
                let end = &mut ends[label as usize];
                postings[*end as usize] = *number;
                *end += 1;
            }
        }
        (ends, postings)
    }

    fn put_postings(&mut self, table: &mut Vec<u8>, label: (&[u8], &[u8]), series: &[u32]) -> Result<(), IndexError> {
        self.pad(4);
        table.put_uvarint(2);
        table.put_uvarint_bytes(label.0);
        table.put_uvarint_bytes(label.1);
        table.put_uvarint(self.position());
        if series.len() > MAX_TABLE_BYTES / 4 - 1 {
            return Err(IndexError::Misuse("a list of postings is larger than 4 GiB".into()));
        }
        self.buffer.put_u32(series.len() as u32 * 4 + 4);
        let start = self.buffer.len();
        self.buffer.put_u32(series.len() as u32);
        self.buffer.extend(series.iter().flat_map(|number| number.to_be_bytes()));
        self.buffer.put_checksum_from(start);
        self.flush_if_large()
    }
}
