//! Writes chunks into the files of a new block.

use std::io;

use super::sink::{BlockSink, FileSink};
use super::source::Piece;
use crate::chunk::Chunk;
use crate::encoding::Put;
use crate::index::ChunkMeta;
use crate::segment::{FileCut, put_header};

const FLUSH_BYTES: usize = 256 << 10;

/// The chunk files of one block, one after the other.
#[derive(Debug)]
pub(super) struct ChunkFiles {
    cut: FileCut,
    /// How many files are done or begun.
    files: u64,
    file: Option<Box<dyn FileSink>>,
    buffer: Vec<u8>,
    flushed_bytes: u64,
}

impl ChunkFiles {
    pub(super) fn new(max_bytes: u64) -> Self {
        let buffer = Vec::with_capacity(FLUSH_BYTES + (16 << 10));
        ChunkFiles { cut: FileCut::new(max_bytes), files: 0, file: None, buffer, flushed_bytes: 0 }
    }

    fn position(&self) -> u64 {
        self.flushed_bytes + self.buffer.len() as u64
    }

    /// Writes the chunks of one series and appends where they are to `metas`.
    pub(super) fn write(
        &mut self,
        sink: &mut dyn BlockSink,
        pieces: &[Piece],
        metas: &mut Vec<ChunkMeta>,
    ) -> io::Result<()> {
        self.cut.begin_series(self.position());
        for piece in pieces {
            if self.cut.before(piece.chunk.data.len()) {
                self.close()?;
            }
            metas.push(self.put(sink, piece)?);
        }
        Ok(())
    }

    fn put(&mut self, sink: &mut dyn BlockSink, piece: &Piece) -> io::Result<ChunkMeta> {
        if self.file.is_none() {
            self.files += 1;
            self.file = Some(sink.create(&format!("{}/{:06}", crate::block::CHUNKS_DIR, self.files))?);
            self.flushed_bytes = 0;
            put_header(&mut self.buffer);
        }
        let reference = (self.files - 1) << 32 | self.position();
        let chunk = &piece.chunk;
        match &piece.frame {
            Some(frame) => self.buffer.extend_from_slice(frame),
            None => put_frame(&mut self.buffer, chunk),
        }
        if self.buffer.len() >= FLUSH_BYTES {
            self.flush()?;
        }
        Ok(ChunkMeta { min_time_ms: chunk.min_time_ms, max_time_ms: chunk.max_time_ms, reference })
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.append(&self.buffer)?;
            self.flushed_bytes += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Ends the file at hand.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.flush()?;
        self.flushed_bytes = 0;
        self.file.take().map_or(Ok(()), FileSink::finish)
    }
}

fn put_frame(buffer: &mut Vec<u8>, chunk: &Chunk) {
    buffer.put_uvarint(chunk.data.len() as u64);
    let start = buffer.len();
    buffer.put_u8(chunk.encoding as u8);
    buffer.extend_from_slice(&chunk.data);
    buffer.put_checksum_from(start);
}
