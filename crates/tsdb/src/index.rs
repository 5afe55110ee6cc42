//! A block's index: which series there are, where their chunks are, and which series have a label.
//!
//! ```text
//! u32 BAAAD700, u8 version
//! symbols             u32 len, u32 count, (uvarint len, text)…, crc
//! series              each at a multiple of 16: uvarint len, body, crc of the body
//! postings            each at a multiple of 4: u32 len, u32 count, u32 series…, crc
//! postings offsets    u32 len, u32 count, (uvarint 2, text name, text value, uvarint offset)…, crc
//! table of contents   u64 symbols, series, label indices, label index table, postings, postings offsets, u32 crc
//! ```
//! A series' body: `uvarint n`, n times `uvarint name, uvarint value`; `uvarint chunks`, the first as `varint mint, uvarint
//! maxt - mint, uvarint ref`, the others as `uvarint mint - maxt before, uvarint maxt - mint, varint ref - ref before`.
//! Names and values are ordinals of symbols. A series is named by its offset divided by 16.
//!
//! Version 1 names symbols and series by their byte offset, and does not sort the offset table. Version 3 reads as version
//! 2. We write version 2, without label indices, as Prometheus 3.14 does. See `docs/format/index.md`.

mod label_reader;
mod lists;
mod matching;
mod offsets;
mod projection;
mod reader;
mod series_reader;
mod series_window;
mod symbols;
mod verdicts;
mod writer;

pub use offsets::Posting;
use projection::Projection;
pub use reader::IndexReader;
pub(crate) use reader::read_chunk_metas;
pub use series_reader::SeriesReader;
pub use symbols::SymbolSet;
pub use writer::IndexWriter;
pub(crate) use writer::{put_chunk_metas, put_index_header};

use std::io;

use thanoxide_model::Labels;
use thiserror::Error;

use crate::encoding::{ByteSource, DecodeError, Put, Reader};

const MAGIC: u32 = 0xbaaa_d700;
pub(crate) const HEADER_BYTES: u64 = 5;
pub(crate) const TOC_BYTES: u64 = 52;
/// Series of version 2 begin at multiples of this.
pub const SERIES_ALIGNMENT: u64 = 16;

/// Where a chunk of a series is, and which times it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Time of the first sample.
    pub min_time_ms: i64,
    /// Time of the last sample.
    pub max_time_ms: i64,
    /// Segment number (from 0) in the upper half, byte offset in the lower.
    pub reference: u64,
}

/// One series of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesEntry {
    /// What names it.
    pub labels: Labels,
    /// Its chunks, in time order.
    pub chunks: Vec<ChunkMeta>,
}

/// A series of an index as it is read: its texts are those of the index.
#[derive(Clone, Debug, Default)]
pub struct SeriesParts<'a> {
    /// Names and values, sorted by name; none of them is empty.
    pub labels: Vec<(&'a [u8], &'a [u8])>,
    /// Its chunks, in time order.
    pub chunks: Vec<ChunkMeta>,
    /// The numbers of the texts of `labels`. The next series shares most of them, and need not look for their texts.
    symbols: Vec<(u32, u32)>,
    /// Only some labels are wanted.
    projection: Option<Projection>,
}

impl SeriesParts<'_> {
    /// Whether the series read so far keep their order whatever labels all of them are given. Only known where not all labels are read.
    pub fn keeps_order(&self) -> bool {
        self.projection.as_ref().is_some_and(Projection::keeps_order)
    }
}

/// Why an index could not be read or written.
#[derive(Debug, Error)]
pub enum IndexError {
    /// The disk failed, or the file is shorter than it says.
    #[error("index: {0}")]
    Io(#[from] io::Error),
    /// A section's bytes are damaged.
    #[error("index {section}: {source}")]
    Decode {
        /// Which section.
        section: &'static str,
        /// What is wrong.
        source: DecodeError,
    },
    /// The file does not begin like an index.
    #[error("index: invalid magic number {0:08x}")]
    BadMagic(u32),
    /// The index is of a version that is not known.
    #[error("index: unknown version {0}")]
    UnknownVersion(u8),
    /// The bytes are sound but make no sense.
    #[error("index {section}: {what}")]
    Corrupt {
        /// Which section.
        section: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The writer was given series or symbols out of order.
    #[error("index writer: {0}")]
    Misuse(String),
}

impl IndexError {
    pub(crate) fn corrupt(section: &'static str, what: impl Into<String>) -> Self {
        IndexError::Corrupt { section, what: what.into() }
    }
}

/// Names the section of a decoding error.
trait InSection<T> {
    fn in_section(self, section: &'static str) -> Result<T, IndexError>;
}

impl<T> InSection<T> for Result<T, DecodeError> {
    fn in_section(self, section: &'static str) -> Result<T, IndexError> {
        self.map_err(|source| IndexError::Decode { section, source })
    }
}

/// Where the sections begin; 0 is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Toc {
    /// The symbols.
    pub symbols: u64,
    /// The series.
    pub series: u64,
    /// The label indices of old writers.
    pub label_indices: u64,
    /// The table of label indices.
    pub label_indices_table: u64,
    /// The postings.
    pub postings: u64,
    /// The table of postings offsets.
    pub postings_table: u64,
}

impl Toc {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        for offset in [
            self.symbols,
            self.series,
            self.label_indices,
            self.label_indices_table,
            self.postings,
            self.postings_table,
        ] {
            out.put_u64(offset);
        }
        out.put_checksum_from(start);
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::checked(bytes)?;
        Ok(Toc {
            symbols: reader.u64()?,
            series: reader.u64()?,
            label_indices: reader.u64()?,
            label_indices_table: reader.u64()?,
            postings: reader.u64()?,
            postings_table: reader.u64()?,
        })
    }
}

/// Checks the magic number and gives the version.
pub(crate) fn read_header(source: &dyn ByteSource) -> Result<u8, IndexError> {
    let header = source.range(0..HEADER_BYTES)?;
    let mut reader = Reader::new(&header);
    let magic = reader.u32().in_section("header")?;
    if magic != MAGIC {
        return Err(IndexError::BadMagic(magic));
    }
    match reader.u8().in_section("header")? {
        version @ 1..=3 => Ok(version),
        version => Err(IndexError::UnknownVersion(version)),
    }
}

/// Reads the sections' offsets off the last [`TOC_BYTES`] bytes of an index.
pub fn read_toc(tail: &[u8]) -> Result<Toc, IndexError> {
    Toc::read(tail).in_section("table of contents")
}
