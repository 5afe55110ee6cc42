//! The chunks of a series on their way out of a snapshot: files may be gone.

use super::decoded::Saved;
use crate::chunk_store::{Adoption, ChunkStore};
use crate::head::full_chunks::{FullChunk, FullChunks};
use crate::head::open_chunk::OpenChunk;

/// What a snapshot says of a series.
pub(super) struct Parts<'r> {
    pub(super) entries: &'r [FullChunk],
    /// The bytes of `entries`, where they are what a series keeps.
    pub(super) list: Option<&'r [u8]>,
    pub(super) open: Option<OpenChunk>,
}

impl Parts<'_> {
    /// Chunks whose files have all of them. They count as live once the adoption is told.
    pub(super) fn adopt(self, store: &ChunkStore, adoption: &mut Adoption) -> Saved {
        let Parts { entries, list, open } = self;
        let adopted = entries.iter().filter(|entry| entry.adopt(adoption)).count();
        if adopted == entries.len() && pieces_bytes(entries) == open.as_ref().map_or(0, OpenChunk::before_bytes) {
            let chunks = list.map_or_else(|| entries.iter().cloned().collect(), FullChunks::from_bytes);
            return saved(entries, chunks, open);
        }
        adoption.tell();
        let (mut kept, mut lost) = (Vec::with_capacity(entries.len()), 0);
        let mut open_is_whole = pieces_bytes(entries) == open.as_ref().map_or(0, OpenChunk::before_bytes);
        for parts in entries.chunk_by(|part, _| part.continues()) {
            let ends = parts.last().is_some_and(|last| !last.continues());
            let whole = parts.iter().all(|part| part.is_there(store)) && (ends || open_is_whole);
            match whole {
                true => kept.extend_from_slice(parts),
                false => parts.iter().filter(|part| part.is_there(store)).for_each(|part| part.release(store)),
            }
            lost += u64::from(ends && !whole);
            open_is_whole &= ends || whole;
        }
        let chunks = kept.iter().cloned().collect();
        Saved { lost: lost + u64::from(!open_is_whole), ..saved(&kept, chunks, open.filter(|_| open_is_whole)) }
    }
}

/// The list `chunks` is that of `entries`.
fn saved(entries: &[FullChunk], chunks: FullChunks, open: Option<OpenChunk>) -> Saved {
    let is_whole = |entry: &&FullChunk| !entry.continues();
    let min_time_ms = entries.iter().find(is_whole).map(FullChunk::min_time_ms);
    let max_time_ms = open.as_ref().map(OpenChunk::max_time_ms);
    Saved {
        min_time_ms: min_time_ms.or_else(|| open.as_ref().map(OpenChunk::min_time_ms)),
        max_time_ms: max_time_ms.or_else(|| entries.iter().rfind(is_whole).map(FullChunk::max_time_ms)),
        chunk_count: entries.iter().filter(is_whole).count() + usize::from(open.is_some()),
        lost: 0,
        chunks,
        open,
    }
}

/// Bytes of the pieces at the end.
fn pieces_bytes(entries: &[FullChunk]) -> usize {
    entries.iter().rev().take_while(|entry| entry.continues()).map(FullChunk::len_bytes).sum()
}
