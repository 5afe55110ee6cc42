//! A head's series as a snapshot holds them.
//!
//! ```text
//! tenant := varint min valid time | uvarint next reference
//! series := (definition | uvarint closed chunks and pieces | closed* | open chunk)*
//! ```
//! Definitions are those of the log, closed chunks are described in `full_chunks.rs`, the open one in `open_chunk.rs`.

use super::{Head, Slot, open_chunk};
use crate::encoding::Put;
use crate::log::definitions::DefinitionsWriter;

impl Head {
    /// What a snapshot says of the head besides its series.
    pub(crate) fn save_tenant(&self, out: &mut Vec<u8>) {
        out.put_varint(self.min_valid_ms);
        out.put_uvarint(self.next_ref);
    }

    /// Appends some series from a slot on, and gives the slot to go on with; `None` at the end.
    pub(crate) fn save_series(&self, from: Slot, most_bytes: usize, out: &mut Vec<u8>) -> Option<Slot> {
        let mut definitions = DefinitionsWriter::default();
        for slot in from..self.slab.end() {
            if out.len() >= most_bytes {
                return Some(slot);
            }
            let Some(series) = self.slab.get(slot) else { continue };
            definitions.push(out, series.series_ref(), &series.labels, |label| self.labels.text(label));
            series.chunks.save(out);
            open_chunk::save(series.open.as_ref(), out);
        }
        None
    }
}
