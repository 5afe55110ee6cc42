//! A block to compact, read from front to back: from a directory, a bucket, or memory.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use thanoxide_env::Disk;

use super::CompactError;
use super::window::Window;
use crate::block::{CHUNKS_DIR, INDEX_FILE, TOMBSTONES_FILE};
use crate::chunk::Chunk;
use crate::encoding::{ByteSource, FileSource, Reader, verify_checksum};
use crate::index::{ChunkMeta, IndexError, SERIES_ALIGNMENT, Toc, read_chunk_metas, read_header, read_toc};
use crate::meta::{BlockMeta, META_FILE};
use crate::segment::{SegmentError, check_header, parse_frame, segment_files};
use crate::tombstones::Tombstones;

/// How much of an index is read at a time.
const INDEX_AHEAD_BYTES: u64 = 64 << 10;
/// How much of a chunk file is read at a time.
const CHUNKS_AHEAD_BYTES: u64 = 128 << 10;
/// The length of a chunk, at its longest, and more than any header.
const FRAME_HEAD_BYTES: u64 = 16;

/// A block to read. Its files are sources of bytes, of which only stretches are in memory.
#[derive(Clone, Debug)]
pub struct BlockSource {
    /// What it is.
    pub meta: BlockMeta,
    /// The index file.
    pub index: Arc<dyn ByteSource>,
    /// The chunk files, in order of their numbers.
    pub segments: Vec<Arc<dyn ByteSource>>,
    /// What of it is deleted.
    pub tombstones: Tombstones,
}

impl BlockSource {
    /// The block in a directory.
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, CompactError> {
        let meta = BlockMeta::from_json(&disk.read(&dir.join(META_FILE))?)?;
        let mut segments: Vec<Arc<dyn ByteSource>> = Vec::new();
        for path in segment_files(disk, &dir.join(CHUNKS_DIR))? {
            segments.push(Arc::new(FileSource::open(disk, &path)?));
        }
        let tombstones = match dir.join(TOMBSTONES_FILE) {
            path if disk.exists(&path)? => Tombstones::from_bytes(&disk.read(&path)?)?,
            _ => Tombstones::default(),
        };
        Ok(BlockSource { meta, index: Arc::new(FileSource::open(disk, &dir.join(INDEX_FILE))?), segments, tombstones })
    }

    /// How many bytes a compaction reads of it.
    pub fn len_bytes(&self) -> u64 {
        self.index.len() + self.segments.iter().map(|segment| segment.len()).sum::<u64>()
    }

    /// The format's version, and where the sections are.
    pub(super) fn sections(&self) -> Result<(u8, Toc), IndexError> {
        let version = read_header(&*self.index)?;
        let len = self.index.len();
        let toc = read_toc(&self.index.range(len.saturating_sub(crate::index::TOC_BYTES)..len)?)?;
        Ok((version, toc))
    }
}

/// A series as its index has it.
#[derive(Debug, Default)]
pub(super) struct RawSeries {
    /// Its number in tombstones.
    pub(super) number: u64,
    /// Name and value by turns, as numbers of symbols.
    pub(super) symbols: Vec<u32>,
    pub(super) chunks: Vec<ChunkMeta>,
}

/// Goes over the series of one index, in the order of the file, which is that of their labels.
#[derive(Debug)]
pub(super) struct SeriesScan {
    window: Window,
    unit: u64,
    next: u64,
    end: u64,
}

impl SeriesScan {
    pub(super) fn new(source: &BlockSource, version: u8, toc: &Toc) -> Self {
        let unit = if version == 1 { 1 } else { SERIES_ALIGNMENT };
        // The series end where the first section behind them begins.
        let behind = [toc.label_indices, toc.label_indices_table, toc.postings, toc.postings_table];
        let end = behind.into_iter().filter(|offset| *offset > toc.series).min().unwrap_or(toc.series);
        let window = Window::new(&source.index, INDEX_AHEAD_BYTES);
        SeriesScan { window, unit, next: toc.series, end: end.min(source.index.len()) }
    }

    /// Where the next series begins, and that of its body.
    fn find(&mut self) -> Result<Option<(u64, u64, u64)>, IndexError> {
        loop {
            let start = self.next.next_multiple_of(self.unit);
            if start >= self.end {
                return Ok(None);
            }
            let room = (self.end - start).min(FRAME_HEAD_BYTES);
            let mut reader = Reader::new(self.window.peek(start, room)?);
            let before = reader.len();
            let len = reader.uvarint32().map_err(decode)?;
            let body = start + (before - reader.len()) as u64;
            if len > 0 {
                return Ok(Some((start, body, body + u64::from(len))));
            }
            // Padding.
            self.next = start + 1;
        }
    }

    /// Reads the next series; false at the end.
    pub(super) fn advance(&mut self, into: &mut RawSeries) -> Result<bool, IndexError> {
        let Some((start, body_start, body_end)) = self.find()? else { return Ok(false) };
        self.next = body_end + 4;
        self.read(start, body_start, body_end, into)?;
        Ok(true)
    }

    /// Reads the series of a number.
    pub(super) fn seek(&mut self, number: u64, into: &mut RawSeries) -> Result<(), IndexError> {
        self.next = number * self.unit;
        match self.advance(into)? {
            true if into.number == number => Ok(()),
            _ => Err(IndexError::corrupt("series", format!("no series {number}"))),
        }
    }

    fn read(&mut self, start: u64, body_start: u64, body_end: u64, into: &mut RawSeries) -> Result<(), IndexError> {
        let bytes = self.window.range(body_start..body_end + 4)?;
        let (body, stored) = bytes.split_at(bytes.len() - 4);
        verify_checksum(body, Reader::new(stored).u32().map_err(decode)?).map_err(decode)?;
        let mut reader = Reader::new(body);
        into.number = start / self.unit;
        into.symbols.clear();
        let labels = reader.uvarint_len().map_err(decode)?;
        for _ in 0..labels {
            into.symbols.push(reader.uvarint32().map_err(decode)?);
            into.symbols.push(reader.uvarint32().map_err(decode)?);
        }
        into.chunks = read_chunk_metas(&mut reader).map_err(decode)?;
        Ok(())
    }
}

fn decode(source: crate::encoding::DecodeError) -> IndexError {
    IndexError::Decode { section: "series", source }
}

/// A chunk, and its bytes as they stand in its file, if it was not made here.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) chunk: Chunk,
    /// Length, encoding, data and checksum.
    pub(super) frame: Option<bytes::Bytes>,
}

/// Reads the chunks of one block, mostly one behind the other.
#[derive(Debug)]
pub(super) struct ChunkScan {
    windows: Vec<Window>,
}

impl ChunkScan {
    pub(super) fn new(source: &BlockSource) -> Result<Self, SegmentError> {
        for (number, segment) in source.segments.iter().enumerate() {
            check_header(&**segment, number)?;
        }
        let windows = source.segments.iter().map(|segment| Window::new(segment, CHUNKS_AHEAD_BYTES)).collect();
        Ok(ChunkScan { windows })
    }

    pub(super) fn read(&mut self, meta: &ChunkMeta) -> Result<Piece, SegmentError> {
        let (number, offset) = (meta.reference >> 32, meta.reference & 0xffff_ffff);
        let window = self.windows.get_mut(number as usize).ok_or(SegmentError::NoSegment(number))?;
        let decode = |source| SegmentError::Decode { reference: meta.reference, source };
        let mut reader = Reader::new(window.peek(offset, FRAME_HEAD_BYTES)?);
        let before = reader.len();
        let len = u64::from(reader.uvarint32().map_err(decode)?);
        let head = (before - reader.len()) as u64;
        let frame = window.range(offset..offset + head + 1 + len + 4)?;
        let (encoding, data) = parse_frame(&frame, head as usize, meta.reference)?;
        let chunk = Chunk { min_time_ms: meta.min_time_ms, max_time_ms: meta.max_time_ms, encoding, data };
        Ok(Piece { chunk, frame: Some(frame) })
    }
}
