//! A head's series as a snapshot holds them.
//!
//! ```text
//! tenant := varint min valid time | uvarint next reference
//! series := (definition | uvarint closed chunks | closed* | open chunk)*
//! closed := varint first time | uvarint last - first | u8 encoding | uvarint file
//!           | file > 0: uvarint offset | uvarint length     file 0: str data
//! ```
//! Definitions are those of the log, the open chunk is described in `open_chunk.rs`.

use super::series::FullChunk;
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
            definitions.push(out, series.series_ref, &series.labels, |label| self.labels.text(label));
            out.put_uvarint(series.chunks.len() as u64);
            series.chunks.iter().for_each(|chunk| save_full(chunk, out));
            open_chunk::save(series.open.as_ref(), out);
        }
        None
    }
}

fn save_full(chunk: &FullChunk, out: &mut Vec<u8>) {
    out.put_varint(chunk.min_time_ms());
    out.put_uvarint(chunk.max_time_ms().wrapping_sub(chunk.min_time_ms()) as u64);
    match chunk {
        FullChunk::Closed(chunk) => {
            out.put_u8(chunk.encoding as u8);
            out.put_uvarint(u64::from(chunk.file));
            out.put_uvarint(u64::from(chunk.offset));
            out.put_uvarint(u64::from(chunk.len));
        }
        FullChunk::Here(chunk) => {
            out.put_u8(chunk.encoding as u8);
            out.put_uvarint(0);
            out.put_uvarint_bytes(&chunk.data);
        }
    }
}
