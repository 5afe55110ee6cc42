//! Moving chunks out of files that are kept for a few of them only.
//!
//! A chunk is read without a lock, put into the current file, and then its series refers to the copy. The old file is
//! removed by the snapshot pass after the one that says so.

use std::io;

use super::tenant::Tenant;
use crate::chunk_store::{ClosedChunk, read_closed};
use crate::head::Slot;

/// Series are looked at so many at a time, so that appends go on between.
const SERIES_AT_A_TIME: usize = 1024;

impl Tenant {
    /// Moves the chunks that lie in some files.
    pub(super) fn relocate_chunks(&self, files: &[u32]) -> io::Result<()> {
        let slots = self.state.read().head.live_slots();
        for slots in slots.chunks(SERIES_AT_A_TIME) {
            let found: Vec<(Slot, u64, Vec<ClosedChunk>)> = {
                let state = self.state.read();
                let of_slot = |slot: &Slot| {
                    let (series, chunks) = state.head.chunks_in(*slot, files)?;
                    Some((*slot, series, chunks))
                };
                slots.iter().filter_map(of_slot).collect()
            };
            for (slot, series, chunks) in found {
                for chunk in chunks {
                    self.relocate(slot, series, &chunk)?;
                }
            }
        }
        self.chunks.flush()
    }

    fn relocate(&self, slot: Slot, series: u64, from: &ClosedChunk) -> io::Result<()> {
        // One that is damaged stays where it is.
        let Some(data) = read_closed(&self.chunks.files(), series, from)? else { return Ok(()) };
        let to = self.chunks.put(series, *from, &data);
        let moved = self.state.write().head.relocate(slot, series, from, to);
        self.chunks.release(if moved { from } else { &to });
        Ok(())
    }
}
