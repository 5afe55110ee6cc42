//! Closed chunks that lie elsewhere from now on.

use super::full_chunks::FullChunk;
use super::{Head, Slot};
use crate::chunk_store::ClosedChunk;
use crate::wal::record::SeriesRef;

impl Head {
    /// The reference of a series and those of its chunks that lie in some files; `None` where there are none.
    pub(crate) fn chunks_in(&self, slot: Slot, files: &[u32]) -> Option<(SeriesRef, Vec<ClosedChunk>)> {
        let series = self.slab.get(slot)?;
        let closed = series.chunks.iter().filter_map(|chunk| match chunk {
            FullChunk::Closed(chunk) if files.contains(&chunk.file) => Some(chunk),
            _ => None,
        });
        let closed: Vec<ClosedChunk> = closed.collect();
        (!closed.is_empty()).then_some((series.series_ref(), closed))
    }

    /// Has a series refer to another place of a chunk. False where it does not have the chunk any more.
    pub(crate) fn relocate(&mut self, slot: Slot, series: SeriesRef, from: &ClosedChunk, to: ClosedChunk) -> bool {
        let found = self.slab.get_mut(slot).filter(|found| found.series_ref() == series);
        found.is_some_and(|series| series.chunks.replace(from, to))
    }
}
