//! Writes an index of version 2: symbols, then series as they come, then the postings gathered meanwhile.

use std::path::Path;

use hashbrown::HashMap;
use thanoxide_env::{Disk, DiskFile};
use thanoxide_model::Labels;

use super::{ChunkMeta, HEADER_BYTES, IndexError, MAGIC, SERIES_ALIGNMENT, Toc};
use crate::encoding::Put;

const FLUSH_BYTES: usize = 1 << 20;
const MAX_TABLE_BYTES: usize = u32::MAX as usize;

/// Writes one index.
#[derive(Debug)]
pub struct IndexWriter {
    file: Box<dyn DiskFile>,
    /// What is not in the file yet.
    buffer: Vec<u8>,
    flushed_bytes: u64,
    symbols: HashMap<Box<[u8]>, u32, foldhash::fast::FixedState>,
    postings: HashMap<(u32, u32), Vec<u32>, foldhash::fast::FixedState>,
    all_series: Vec<u32>,
    last_labels: Option<Labels>,
    last_reference: u64,
    toc: Toc,
}

impl IndexWriter {
    /// Creates the file and writes all symbols, which must come sorted, each once.
    pub fn create<'a>(
        disk: &dyn Disk,
        path: &Path,
        symbols: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, IndexError> {
        let mut buffer = Vec::with_capacity(FLUSH_BYTES * 2);
        put_index_header(&mut buffer);
        let (table, symbols) = symbol_table(symbols)?;
        push_table(&mut buffer, &table)?;
        let series = buffer.len() as u64;
        Ok(IndexWriter {
            file: disk.create(path)?,
            buffer,
            flushed_bytes: 0,
            symbols,
            postings: HashMap::default(),
            all_series: Vec::new(),
            last_labels: None,
            last_reference: 0,
            toc: Toc { symbols: HEADER_BYTES, series, ..Toc::default() },
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

    fn symbol(&self, text: &[u8]) -> Result<u32, IndexError> {
        let missing = || IndexError::Misuse(format!("no symbol {:?}", String::from_utf8_lossy(text)));
        self.symbols.get(text).copied().ok_or_else(missing)
    }

    /// Adds a series, behind all others in order, with its chunks in time and file order. Gives its number.
    pub fn add_series(&mut self, labels: &Labels, chunks: &[ChunkMeta]) -> Result<u32, IndexError> {
        if self.last_labels.as_ref().is_some_and(|last| last >= labels) {
            return Err(IndexError::Misuse(format!("series {labels} is out of order")));
        }
        self.pad(SERIES_ALIGNMENT);
        let series = u32::try_from(self.position() / SERIES_ALIGNMENT)
            .map_err(|_| IndexError::Misuse("the index is larger than 64 GiB".into()))?;
        let mut body = Vec::with_capacity(64);
        body.put_uvarint(labels.len() as u64);
        for (name, value) in labels {
            let key = (self.symbol(name)?, self.symbol(value)?);
            body.put_uvarint(u64::from(key.0));
            body.put_uvarint(u64::from(key.1));
            self.postings.entry(key).or_default().push(series);
        }
        put_chunk_metas(&mut body, &mut self.last_reference, chunks)
            .map_err(|error| IndexError::Misuse(format!("series {labels}: {error}")))?;
        self.buffer.put_uvarint(body.len() as u64);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&body);
        self.buffer.put_checksum_from(start);
        self.all_series.push(series);
        self.last_labels = Some(labels.clone());
        self.flush_if_large()?;
        Ok(series)
    }

    /// Writes postings and tables, makes the file durable and gives its size.
    pub fn finish(mut self) -> Result<u64, IndexError> {
        self.toc.label_indices = self.position();
        self.toc.postings = self.position();
        let table = self.put_all_postings()?;
        self.toc.label_indices_table = self.position();
        self.toc.postings_table = self.position();
        push_table(&mut self.buffer, &table)?;
        let toc = self.toc;
        toc.put(&mut self.buffer);
        self.flush()?;
        self.file.sync_data()?;
        Ok(self.flushed_bytes)
    }

    /// The list of all series, then those of each label by name and value; gives the table of where they are.
    fn put_all_postings(&mut self) -> Result<Vec<u8>, IndexError> {
        let mut texts = vec![Box::<[u8]>::default(); self.symbols.len()];
        for (text, symbol) in std::mem::take(&mut self.symbols) {
            texts[symbol as usize] = text;
        }
        let mut postings: Vec<_> = std::mem::take(&mut self.postings).into_iter().collect();
        // Symbols are sorted, so their numbers are in the order of their texts.
        postings.sort_unstable_by_key(|(key, _)| *key);
        let mut table = Vec::new();
        table.put_u32(postings.len() as u32 + 1);
        let all_series = std::mem::take(&mut self.all_series);
        self.put_postings(&mut table, b"", b"", &all_series)?;
        for ((name, value), series) in postings {
            self.put_postings(&mut table, &texts[name as usize], &texts[value as usize], &series)?;
        }
        Ok(table)
    }

    fn put_postings(
        &mut self,
        table: &mut Vec<u8>,
        name: &[u8],
        value: &[u8],
        series: &[u32],
    ) -> Result<(), IndexError> {
        self.pad(4);
        table.put_uvarint(2);
        table.put_uvarint_bytes(name);
        table.put_uvarint_bytes(value);
        table.put_uvarint(self.position());
        if series.len() > MAX_TABLE_BYTES / 4 - 1 {
            return Err(IndexError::Misuse("a list of postings is larger than 4 GiB".into()));
        }
        self.buffer.put_u32(series.len() as u32 * 4 + 4);
        let start = self.buffer.len();
        self.buffer.put_u32(series.len() as u32);
        series.iter().for_each(|series| self.buffer.put_u32(*series));
        self.buffer.put_checksum_from(start);
        self.flush_if_large()
    }
}

/// Magic number and version.
pub(crate) fn put_index_header(buffer: &mut Vec<u8>) {
    buffer.put_u32(MAGIC);
    buffer.put_u8(2);
}

/// The chunks of a series' body, in time and file order. `last_reference` is that of the last chunk of the series before.
pub(crate) fn put_chunk_metas(
    body: &mut Vec<u8>,
    last_reference: &mut u64,
    chunks: &[ChunkMeta],
) -> Result<(), IndexError> {
    body.put_uvarint(chunks.len() as u64);
    let mut last: Option<&ChunkMeta> = None;
    for chunk in chunks {
        let bad_time =
            chunk.max_time_ms < chunk.min_time_ms || last.is_some_and(|last| chunk.min_time_ms <= last.max_time_ms);
        if bad_time || chunk.reference < *last_reference {
            return Err(IndexError::Misuse("chunks are out of order".into()));
        }
        match last {
            None => {
                body.put_varint(chunk.min_time_ms);
                body.put_uvarint(chunk.max_time_ms.wrapping_sub(chunk.min_time_ms) as u64);
                body.put_uvarint(chunk.reference);
            }
            Some(last) => {
                body.put_uvarint(chunk.min_time_ms.wrapping_sub(last.max_time_ms) as u64);
                body.put_uvarint(chunk.max_time_ms.wrapping_sub(chunk.min_time_ms) as u64);
                body.put_varint(chunk.reference.wrapping_sub(last.reference) as i64);
            }
        }
        *last_reference = chunk.reference;
        last = Some(chunk);
    }
    Ok(())
}

type SymbolTable = (Vec<u8>, HashMap<Box<[u8]>, u32, foldhash::fast::FixedState>);

fn symbol_table<'a>(symbols: impl Iterator<Item = &'a [u8]>) -> Result<SymbolTable, IndexError> {
    let mut table = vec![0; 4];
    let mut numbers = HashMap::default();
    let mut last: Option<&[u8]> = None;
    for (number, text) in symbols.enumerate() {
        if last.is_some_and(|last| last >= text) {
            return Err(IndexError::Misuse(format!("symbol {:?} is out of order", String::from_utf8_lossy(text))));
        }
        last = Some(text);
        table.put_uvarint_bytes(text);
        numbers.insert(Box::from(text), number as u32);
    }
    let count = numbers.len() as u32;
    table[..4].copy_from_slice(&count.to_be_bytes());
    Ok((table, numbers))
}

/// Appends a table behind its length, and its checksum.
fn push_table(buffer: &mut Vec<u8>, table: &[u8]) -> Result<(), IndexError> {
    if table.len() > MAX_TABLE_BYTES {
        return Err(IndexError::Misuse("a table is larger than 4 GiB".into()));
    }
    buffer.put_u32(table.len() as u32);
    let start = buffer.len();
    buffer.extend_from_slice(table);
    buffer.put_checksum_from(start);
    Ok(())
}
