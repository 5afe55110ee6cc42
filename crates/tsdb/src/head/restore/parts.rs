//! The chunks of a series on their way out of a snapshot: files may be gone.

use crate::chunk_store::ChunkStore;
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
    /// Chunks whose files have all of them, and how many are left out. They count as live from here on.
    pub(super) fn adopt(self, store: &ChunkStore) -> (FullChunks, Option<OpenChunk>, u64) {
        let Parts { entries, list, open } = self;
        let adopted = entries.iter().filter(|entry| entry.adopt(store)).count();
        if adopted == entries.len() && pieces_bytes(entries) == open.as_ref().map_or(0, OpenChunk::before_bytes) {
            let chunks = list.map_or_else(|| entries.iter().cloned().collect(), FullChunks::from_bytes);
            return (chunks, open, 0);
        }
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
        (kept.into_iter().collect(), open.filter(|_| open_is_whole), lost + u64::from(!open_is_whole))
    }
}

/// Bytes of the pieces at the end.
fn pieces_bytes(entries: &[FullChunk]) -> usize {
    entries.iter().rev().take_while(|entry| entry.continues()).map(FullChunk::len_bytes).sum()
}
