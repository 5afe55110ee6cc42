//! The files that hold a block's chunks: `chunks/000001` and so on.
//!
//! ```text
//! 85 BD 40 DD, version 1, three zero bytes
//! chunk: uvarint len, u8 encoding, len bytes, u32 crc of encoding and bytes
//! ```
//! A reference is the file's number from 0 in its upper half and the offset of `len` in its lower. See
//! `docs/format/segments.md`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thanoxide_env::{Disk, DiskFile};
use thiserror::Error;

use crate::chunk::{Chunk, Encoding};
use crate::encoding::{ByteSource, DecodeError, FileSource, Put, Reader, verify_checksum};
use crate::index::ChunkMeta;

const MAGIC: u32 = 0x85bd_40dd;
const VERSION: u8 = 1;
const HEADER_BYTES: u64 = 8;
/// How large a file may become.
pub const MAX_SEGMENT_BYTES: u64 = 512 << 20;
/// Length and checksum at their longest, and the encoding: what the writer reckons for each chunk besides its bytes.
const FRAME_BYTES: u64 = 5 + 1 + 4;
const FLUSH_BYTES: usize = 1 << 20;
/// How much of a chunk is read at first; most are smaller.
const CHUNK_GUESS_BYTES: u64 = 2048;

/// Why a chunk could not be had.
#[derive(Debug, Error)]
pub enum SegmentError {
    /// The disk failed, or the file ends inside the chunk.
    #[error("chunk segment: {0}")]
    Io(#[from] io::Error),
    /// The chunk's bytes are damaged.
    #[error("chunk segment, reference {reference:#x}: {source}")]
    Decode {
        /// Where.
        reference: u64,
        /// What is wrong.
        source: DecodeError,
    },
    /// The file does not begin like one of chunks.
    #[error("chunk segment {0}: invalid header")]
    BadHeader(usize),
    /// There is no file of this number.
    #[error("chunk segment {0} does not exist")]
    NoSegment(u64),
    /// The encoding is not known.
    #[error("chunk segment, reference {reference:#x}: unknown chunk encoding {encoding}")]
    UnknownEncoding {
        /// Where.
        reference: u64,
        /// What the byte says.
        encoding: u8,
    },
}

/// Reads chunks by reference.
#[derive(Debug)]
pub struct SegmentReader {
    segments: Vec<Arc<dyn ByteSource>>,
}

impl SegmentReader {
    /// Opens all files of a `chunks` directory, in order of their names.
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, SegmentError> {
        let mut segments: Vec<Arc<dyn ByteSource>> = Vec::new();
        for path in segment_files(disk, dir)? {
            segments.push(Arc::new(FileSource::open(disk, &path)?));
        }
        SegmentReader::new(segments)
    }

    /// Takes files, in order of their numbers, and checks their headers.
    pub fn new(segments: Vec<Arc<dyn ByteSource>>) -> Result<Self, SegmentError> {
        for (number, segment) in segments.iter().enumerate() {
            check_header(&**segment, number)?;
        }
        Ok(SegmentReader { segments })
    }

    /// Bytes of all files.
    pub fn len_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len()).sum()
    }

    /// The encoding byte and the bytes of a chunk, checksum verified.
    pub fn raw(&self, reference: u64) -> Result<(u8, Bytes), SegmentError> {
        let (number, offset) = (reference >> 32, reference & 0xffff_ffff);
        let segment = self.segments.get(number as usize).ok_or(SegmentError::NoSegment(number))?;
        let decode = |source| SegmentError::Decode { reference, source };
        let guess = segment.up_to(offset, CHUNK_GUESS_BYTES)?;
        let mut reader = Reader::new(&guess);
        let len = u64::from(reader.uvarint32().map_err(decode)?);
        let head = (guess.len() - reader.len()) as u64;
        let end = head + 1 + len + 4;
        let all = if end <= guess.len() as u64 {
            guess
        } else {
            segment.range(offset..offset + end).map_err(SegmentError::Io)?
        };
        let body = all.slice(head as usize..(end - 4) as usize);
        let stored = Reader::new(&all[(end - 4) as usize..]).u32().map_err(decode)?;
        verify_checksum(&body, stored).map_err(decode)?;
        Ok((body[0], body.slice(1..)))
    }

    /// A chunk of an index.
    pub fn chunk(&self, meta: &ChunkMeta) -> Result<Chunk, SegmentError> {
        let (encoding, data) = self.raw(meta.reference)?;
        let encoding = Encoding::from_byte(encoding)
            .ok_or(SegmentError::UnknownEncoding { reference: meta.reference, encoding })?;
        Ok(Chunk { min_time_ms: meta.min_time_ms, max_time_ms: meta.max_time_ms, encoding, data })
    }
}

/// Whether a file begins like one of chunks.
pub(crate) fn check_header(segment: &dyn ByteSource, number: usize) -> Result<(), SegmentError> {
    let header = segment.up_to(0, HEADER_BYTES)?;
    let mut reader = Reader::new(&header);
    let sound = reader.u32() == Ok(MAGIC) && reader.u8() == Ok(VERSION) && reader.bytes(3).is_ok();
    if sound { Ok(()) } else { Err(SegmentError::BadHeader(number)) }
}

/// Encoding and data of a chunk as it stands in a file, whose length takes `head` bytes; the checksum is verified.
pub(crate) fn parse_frame(frame: &Bytes, head: usize, reference: u64) -> Result<(Encoding, Bytes), SegmentError> {
    let decode = |source| SegmentError::Decode { reference, source };
    let (body, stored) = frame[head..].split_last_chunk::<4>().ok_or(decode(DecodeError::UnexpectedEnd))?;
    verify_checksum(body, u32::from_be_bytes(*stored)).map_err(decode)?;
    let encoding = Encoding::from_byte(body[0]);
    let encoding = encoding.ok_or(SegmentError::UnknownEncoding { reference, encoding: body[0] })?;
    Ok((encoding, frame.slice(head + 1..frame.len() - 4)))
}

/// The files of a directory whose names are numbers.
pub(crate) fn segment_files(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<PathBuf>> {
    let is_number =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    Ok(disk.list(dir)?.into_iter().filter(is_number).collect())
}

/// Magic number, version and padding.
pub(crate) fn put_header(buffer: &mut Vec<u8>) {
    buffer.put_u32(MAGIC);
    buffer.put_u8(VERSION);
    buffer.extend_from_slice(&[0; 3]);
}

/// When the next file begins, as stock has it: by an estimate over the chunks of one series, before a chunk that would not
/// fit, but never before the first chunk of an empty file.
#[derive(Debug)]
pub(crate) struct FileCut {
    max_bytes: u64,
    /// Where the file was at the start of the series; a file begun inside it starts behind its header.
    base: u64,
    batch_bytes: u64,
    first: bool,
}

impl FileCut {
    pub(crate) fn new(max_bytes: u64) -> Self {
        FileCut { max_bytes, base: HEADER_BYTES, batch_bytes: 0, first: true }
    }

    /// The chunks of the next series follow, in a file that has `position` bytes so far.
    pub(crate) fn begin_series(&mut self, position: u64) {
        self.base = position.max(HEADER_BYTES);
        self.batch_bytes = 0;
        self.first = true;
    }

    /// Whether a new file begins before a chunk of `len` bytes.
    pub(crate) fn before(&mut self, len: usize) -> bool {
        let estimate = FRAME_BYTES + len as u64;
        self.batch_bytes += estimate;
        let may_cut = !std::mem::take(&mut self.first) || self.base > HEADER_BYTES;
        let cut = may_cut && self.base + self.batch_bytes > self.max_bytes;
        if cut {
            self.base = HEADER_BYTES;
            self.batch_bytes = estimate;
        }
        cut
    }
}

/// Writes chunks into files of a directory.
#[derive(Debug)]
pub struct SegmentWriter<'d> {
    disk: &'d dyn Disk,
    dir: PathBuf,
    cut: FileCut,
    /// How many files are done or begun.
    files: u64,
    file: Option<Box<dyn DiskFile>>,
    buffer: Vec<u8>,
    flushed_bytes: u64,
}

impl<'d> SegmentWriter<'d> {
    /// Writes into an existing, empty directory.
    pub fn new(disk: &'d dyn Disk, dir: &Path) -> Self {
        SegmentWriter::with_max_bytes(disk, dir, MAX_SEGMENT_BYTES)
    }

    /// As [`SegmentWriter::new`], with files of another size.
    pub fn with_max_bytes(disk: &'d dyn Disk, dir: &Path, max_bytes: u64) -> Self {
        let dir = dir.to_path_buf();
        SegmentWriter {
            disk,
            dir,
            cut: FileCut::new(max_bytes),
            files: 0,
            file: None,
            buffer: Vec::new(),
            flushed_bytes: 0,
        }
    }

    fn position(&self) -> u64 {
        self.flushed_bytes + self.buffer.len() as u64
    }

    /// Writes the chunks of one series and gives their references.
    pub fn write(&mut self, chunks: &[Chunk]) -> Result<Vec<ChunkMeta>, SegmentError> {
        let mut metas = Vec::with_capacity(chunks.len());
        self.cut.begin_series(self.position());
        for chunk in chunks {
            if self.cut.before(chunk.data.len()) {
                self.close()?;
            }
            metas.push(self.write_chunk(chunk)?);
        }
        Ok(metas)
    }

    fn write_chunk(&mut self, chunk: &Chunk) -> Result<ChunkMeta, SegmentError> {
        if self.file.is_none() {
            self.begin()?;
        }
        let reference = (self.files - 1) << 32 | self.position();
        self.buffer.put_uvarint(chunk.data.len() as u64);
        let start = self.buffer.len();
        self.buffer.put_u8(chunk.encoding as u8);
        self.buffer.extend_from_slice(&chunk.data);
        self.buffer.put_checksum_from(start);
        if self.buffer.len() >= FLUSH_BYTES {
            self.flush()?;
        }
        Ok(ChunkMeta { min_time_ms: chunk.min_time_ms, max_time_ms: chunk.max_time_ms, reference })
    }

    fn begin(&mut self) -> Result<(), SegmentError> {
        self.files += 1;
        self.file = Some(self.disk.create(&self.dir.join(format!("{:06}", self.files)))?);
        self.flushed_bytes = 0;
        put_header(&mut self.buffer);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SegmentError> {
        if let Some(file) = &self.file {
            file.append(&self.buffer)?;
            self.flushed_bytes += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), SegmentError> {
        self.flush()?;
        if let Some(file) = self.file.take() {
            file.sync_data()?;
        }
        self.flushed_bytes = 0;
        Ok(())
    }

    /// Makes all files and their names durable.
    pub fn finish(mut self) -> Result<(), SegmentError> {
        self.close()?;
        Ok(self.disk.sync_dir(&self.dir)?)
    }
}
