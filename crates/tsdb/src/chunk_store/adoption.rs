//! Chunks that a snapshot refers to, on their way into a head.

use std::sync::Arc;

use super::file::ChunkFile;
use super::{ChunkStore, ClosedChunk};

/// Counts chunks as live in their files, many of a file at a time: several threads do so at once, and each count waits for theirs.
#[derive(Debug)]
pub(crate) struct Adoption {
    /// Files of earlier runs, by their number less that of the first; those between may be gone.
    files: Vec<Option<Counted>>,
    first: u32,
}

/// A file, which does not grow, and what of it is not told yet.
#[derive(Debug)]
struct Counted {
    file: Arc<ChunkFile>,
    end: u64,
    chunks: u64,
    bytes: u64,
}

impl Adoption {
    pub(crate) fn new(store: &ChunkStore) -> Self {
        let files = store.files();
        let (first, last) = (files.keys().min().copied().unwrap_or(0), files.keys().max().copied().unwrap_or(0));
        let counted = |file: &Arc<ChunkFile>| Counted { end: file.end(), file: Arc::clone(file), chunks: 0, bytes: 0 };
        let files = (first..=last).map(|number| files.get(&number).map(counted)).collect();
        Adoption { files, first }
    }

    /// Whether a chunk can be there; counts it then, and its file is told by [`Adoption::tell`].
    pub(crate) fn adopt(&mut self, chunk: &ClosedChunk) -> bool {
        let Some(Some(counted)) = self.files.get_mut(chunk.file.wrapping_sub(self.first) as usize) else {
            return false;
        };
        let len = u64::from(chunk.len);
        let there = ChunkFile::would_hold(u64::from(chunk.offset), len, counted.end);
        if there {
            counted.chunks += 1;
            counted.bytes += ChunkFile::bytes_of(len);
        }
        there
    }

    /// Tells the files. Before one of the chunks is released.
    pub(crate) fn tell(&mut self) {
        for Counted { file, chunks, bytes, .. } in self.files.iter_mut().flatten().filter(|counted| counted.chunks > 0)
        {
            file.note_live(std::mem::take(chunks), std::mem::take(bytes));
        }
    }
}

impl Drop for Adoption {
    fn drop(&mut self) {
        self.tell();
    }
}
