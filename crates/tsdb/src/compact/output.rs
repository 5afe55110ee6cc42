//! The block that is being made.

use super::CompactError;
use super::chunk_files::ChunkFiles;
use super::index_file::IndexFile;
use super::sink::BlockSink;
use super::source::Piece;
use super::symbols::SymbolTable;
use crate::block::{INDEX_FILE, TOMBSTONES_FILE};
use crate::chunk::{Chunk, Encoding, sample_count};
use crate::encoding::Reader;
use crate::index::ChunkMeta;
use crate::meta::{BlockMeta, BlockStats, META_FILE};
use crate::tombstones::Tombstones;

/// Writes one block.
#[derive(Debug)]
pub(super) struct Output<'s> {
    sink: &'s mut dyn BlockSink,
    chunks: ChunkFiles,
    index: IndexFile,
    stats: BlockStats,
    metas: Vec<ChunkMeta>,
}

impl<'s> Output<'s> {
    pub(super) fn create(
        sink: &'s mut dyn BlockSink,
        symbols: &SymbolTable,
        max_segment_bytes: u64,
    ) -> Result<Self, CompactError> {
        let index = IndexFile::create(sink.create(INDEX_FILE)?, symbols)?;
        let chunks = ChunkFiles::new(max_segment_bytes);
        Ok(Output { sink, chunks, index, stats: BlockStats::default(), metas: Vec::new() })
    }

    pub(super) fn add_series(&mut self, symbols: &[u32], pieces: &[Piece]) -> Result<(), CompactError> {
        self.metas.clear();
        self.chunks.write(self.sink, pieces, &mut self.metas)?;
        self.index.add_series(symbols, &self.metas)?;
        self.stats.num_series += 1;
        self.stats.num_chunks += pieces.len() as u64;
        for piece in pieces {
            self.count(&piece.chunk);
        }
        Ok(())
    }

    fn count(&mut self, chunk: &Chunk) {
        let stats = &mut self.stats;
        match chunk.encoding {
            Encoding::Aggregate => stats.num_samples += aggregate_count(chunk),
            encoding => {
                let samples = sample_count(chunk) as u64;
                stats.num_samples += samples;
                match encoding.is_float() {
                    true => stats.num_float_samples += samples,
                    false => stats.num_histogram_samples += samples,
                }
            }
        }
    }

    pub(super) fn stats(&self) -> BlockStats {
        self.stats
    }

    /// Finishes the files and shows the block; one without a sample is dropped instead.
    pub(super) fn finish(
        mut self,
        mut meta: BlockMeta,
        symbols: &SymbolTable,
    ) -> Result<Option<BlockMeta>, CompactError> {
        if self.stats.num_samples == 0 {
            drop((self.chunks, self.index));
            self.sink.discard()?;
            return Ok(None);
        }
        self.chunks.close()?;
        self.index.finish(symbols)?;
        meta.stats = self.stats;
        for (name, bytes) in [(TOMBSTONES_FILE, Tombstones::default().to_bytes()), (META_FILE, meta.to_json())] {
            let mut file = self.sink.create(name)?;
            file.append(&bytes)?;
            file.finish()?;
        }
        self.sink.publish()?;
        Ok(Some(meta))
    }
}

/// Downsampled chunks count as many samples as their first part, which counts the samples of each window.
fn aggregate_count(chunk: &Chunk) -> u64 {
    let mut reader = Reader::new(&chunk.data);
    let part = |reader: &mut Reader<'_>| {
        let len = reader.uvarint().ok()?;
        reader.u8().ok().filter(|_| len > 0)?;
        reader.u16().ok()
    };
    part(&mut reader).map_or(0, u64::from)
}
