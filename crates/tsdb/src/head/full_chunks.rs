//! The full chunks of a series, and the pieces of its open one.
//!
//! ```text
//! full := entry*
//! entry := u8 head | uvarint file, unless it is that of the entry before | uvarint offset | uvarint length | times
//!        | u8 head | uvarint length, data | times
//! times := varint first time - last time of the chunk before, or 0 | uvarint last - first
//! head  := 128 a piece: it is a part of the chunk that comes next in the list, or of the open one at its end; it has no times
//!        | 64 the file is that of the entry before | 32 the data is here | encoding
//! ```
//! Series are many, and most have several chunks: so they are kept as a snapshot holds them.

use bytes::Bytes;

use crate::chunk::{Chunk, Encoding};
use crate::chunk_store::{Adoption, ChunkStore, ClosedChunk, HeadChunk};
use crate::encoding::{DecodeError, Put, Reader};

const CONTINUES: u8 = 128;
const SAME_FILE: u8 = 64;
const HERE: u8 = 32;
const ENCODING: u8 = 31;

/// A chunk that takes no more samples, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FullChunk {
    /// On disk, or on its way there.
    Closed(ClosedChunk),
    /// One that no file takes, being too large or too long.
    Here(Chunk),
}

impl FullChunk {
    pub(crate) fn min_time_ms(&self) -> i64 {
        match self {
            FullChunk::Closed(chunk) => chunk.min_time_ms,
            FullChunk::Here(chunk) => chunk.min_time_ms,
        }
    }

    pub(crate) fn max_time_ms(&self) -> i64 {
        match self {
            FullChunk::Closed(chunk) => chunk.max_time_ms(),
            FullChunk::Here(chunk) => chunk.max_time_ms,
        }
    }

    /// Whether this is a part of what comes next.
    pub(crate) fn continues(&self) -> bool {
        matches!(self, FullChunk::Closed(chunk) if chunk.continues)
    }

    /// Bytes of its data.
    pub(super) fn len_bytes(&self) -> usize {
        match self {
            FullChunk::Closed(chunk) => usize::from(chunk.len),
            FullChunk::Here(chunk) => chunk.data.len(),
        }
    }

    pub(super) fn pin(self) -> HeadChunk {
        match self {
            FullChunk::Closed(chunk) => HeadChunk::Closed(chunk),
            FullChunk::Here(chunk) => HeadChunk::Here(chunk),
        }
    }

    /// Whether the chunk can be there; it is counted then, if it lies in a file.
    pub(super) fn adopt(&self, adoption: &mut Adoption) -> bool {
        !matches!(self, FullChunk::Closed(chunk) if !adoption.adopt(chunk))
    }

    /// Whether the chunk can be there.
    pub(super) fn is_there(&self, store: &ChunkStore) -> bool {
        !matches!(self, FullChunk::Closed(chunk) if !store.holds(chunk))
    }

    pub(super) fn release(&self, store: &ChunkStore) {
        if let FullChunk::Closed(chunk) = self {
            store.release(chunk);
        }
    }

    /// Reads one as snapshots had it that know no pieces.
    pub(super) fn read_old(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let min_time_ms = reader.varint()?;
        let span_ms = reader.uvarint()?;
        // What does not fit into a head was never in a list.
        let encoding = Encoding::from_byte(reader.u8()?).filter(|encoding| *encoding as u8 <= ENCODING);
        let encoding = encoding.ok_or(DecodeError::UnexpectedEnd)?;
        let file = reader.uvarint32()?;
        if file == 0 {
            let data = Bytes::copy_from_slice(reader.uvarint_bytes()?);
            let max_time_ms = min_time_ms.wrapping_add(span_ms as i64);
            return Ok(FullChunk::Here(Chunk { min_time_ms, max_time_ms, encoding, data }));
        }
        let span_ms = u32::try_from(span_ms).map_err(|_| DecodeError::VarintOverflow(32))?;
        let (offset, len) = read_place(reader)?;
        Ok(FullChunk::Closed(ClosedChunk { min_time_ms, span_ms, file, offset, len, encoding, continues: false }))
    }
}

#[inline]
fn read_place(reader: &mut Reader<'_>) -> Result<(u32, u16), DecodeError> {
    let offset = reader.uvarint32()?;
    let len = u16::try_from(reader.uvarint()?).map_err(|_| DecodeError::VarintOverflow(16))?;
    Ok((offset, len))
}

/// What an entry may leave out, because the ones before say it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    file: u32,
    max_time_ms: i64,
}

impl Before {
    fn put(&mut self, chunk: &FullChunk, out: &mut Vec<u8>) {
        match chunk {
            FullChunk::Closed(chunk) => {
                let same = chunk.file == self.file;
                let continues = if chunk.continues { CONTINUES } else { 0 };
                out.put_u8(chunk.encoding as u8 | if same { SAME_FILE } else { 0 } | continues);
                if !same {
                    out.put_uvarint(u64::from(chunk.file));
                }
                out.put_uvarint(u64::from(chunk.offset));
                out.put_uvarint(u64::from(chunk.len));
                self.file = chunk.file;
            }
            FullChunk::Here(chunk) => {
                out.put_u8(chunk.encoding as u8 | HERE);
                out.put_uvarint_bytes(&chunk.data);
            }
        }
        if !chunk.continues() {
            let (min_time_ms, max_time_ms) = (chunk.min_time_ms(), chunk.max_time_ms());
            out.put_varint(min_time_ms.wrapping_sub(self.max_time_ms));
            out.put_uvarint(max_time_ms.wrapping_sub(min_time_ms) as u64);
            self.max_time_ms = max_time_ms;
        }
    }

    /// Reads the next entry.
    #[inline(always)]
    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<FullChunk, DecodeError> {
        let head = reader.u8()?;
        let encoding = Encoding::from_byte(head & ENCODING).ok_or(DecodeError::UnexpectedEnd)?;
        if head & HERE != 0 {
            let data = Bytes::copy_from_slice(reader.uvarint_bytes()?);
            let (min_time_ms, span_ms) = self.read_times(reader)?;
            return Ok(FullChunk::Here(Chunk {
                min_time_ms,
                max_time_ms: self.end(min_time_ms, span_ms),
                encoding,
                data,
            }));
        }
        if head & SAME_FILE == 0 {
            self.file = reader.uvarint32()?;
        }
        let (file, (offset, len)) = (self.file, read_place(reader)?);
        let continues = head & CONTINUES != 0;
        let (min_time_ms, span_ms) = if continues { (0, 0) } else { self.read_times(reader)? };
        let span_ms = u32::try_from(span_ms).map_err(|_| DecodeError::VarintOverflow(32))?;
        if !continues {
            self.end(min_time_ms, u64::from(span_ms));
        }
        Ok(FullChunk::Closed(ClosedChunk { min_time_ms, span_ms, file, offset, len, encoding, continues }))
    }

    fn read_times(&self, reader: &mut Reader<'_>) -> Result<(i64, u64), DecodeError> {
        Ok((self.max_time_ms.wrapping_add(reader.varint()?), reader.uvarint()?))
    }

    fn end(&mut self, min_time_ms: i64, span_ms: u64) -> i64 {
        self.max_time_ms = min_time_ms.wrapping_add(span_ms as i64);
        self.max_time_ms
    }
}

/// Lists grow by so many bytes, the last of which may be zeros: no entry begins with one.
const STEP_BYTES: usize = 32;

/// A list of them, in order of their times.
#[derive(Debug, Default)]
pub(crate) struct FullChunks(Box<[u8]>);

impl FullChunks {
    /// A list as a snapshot holds it.
    pub(super) fn from_bytes(list: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(list.len().next_multiple_of(STEP_BYTES));
        bytes.extend_from_slice(list);
        bytes.resize(list.len().next_multiple_of(STEP_BYTES), 0);
        FullChunks(bytes.into_boxed_slice())
    }

    /// All, the pieces of each chunk before it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = FullChunk> {
        let mut entries = self.entries();
        std::iter::from_fn(move || entries.next())
    }

    fn entries(&self) -> Entries<'_> {
        Entries { reader: Reader::new(&self.0), before: Before::default() }
    }

    /// Those that are no pieces.
    pub(crate) fn whole(&self) -> impl Iterator<Item = FullChunk> {
        self.iter().filter(|chunk| !chunk.continues())
    }

    /// Bytes of memory.
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.0.len()
    }

    /// Their number, and all as a snapshot holds them.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let mut entries = self.entries();
        let count = std::iter::from_fn(|| entries.next()).count();
        out.put_uvarint(count as u64);
        out.extend_from_slice(&self.0[..self.0.len() - entries.reader.len()]);
    }

    pub(super) fn push(&mut self, chunk: &FullChunk) {
        let mut entries = self.entries();
        while entries.next().is_some() {}
        let (start, mut before) = (self.0.len() - entries.reader.len(), entries.before);
        let mut entry = Vec::with_capacity(STEP_BYTES);
        before.put(chunk, &mut entry);
        let end = start + entry.len();
        if end > self.0.len() {
            let mut bytes = Vec::from(std::mem::take(&mut self.0));
            let room = end.next_multiple_of(STEP_BYTES);
            bytes.reserve_exact(room - bytes.len());
            bytes.resize(room, 0);
            self.0 = bytes.into_boxed_slice();
        }
        self.0[start..end].copy_from_slice(&entry);
    }

    /// Drops those of which `keep` says no, with their pieces, and says how many these are. It is asked once more, with `None`,
    /// for the pieces at the end.
    pub(super) fn retain(
        &mut self,
        mut keep: impl FnMut(Option<&FullChunk>) -> bool,
        mut dropped: impl FnMut(&FullChunk),
    ) -> usize {
        let (mut kept, mut parts, mut dropped_chunks, mut dropped_any) = (Vec::new(), Vec::new(), 0, false);
        let mut end = |parts: &mut Vec<FullChunk>, stays: bool| match stays {
            true => kept.append(parts),
            false => {
                parts.drain(..).for_each(|part| dropped(&part));
                dropped_any = true;
            }
        };
        for chunk in self.iter() {
            let stays = (!chunk.continues()).then(|| keep(Some(&chunk)));
            parts.push(chunk);
            if let Some(stays) = stays {
                dropped_chunks += usize::from(!stays);
                end(&mut parts, stays);
            }
        }
        if !parts.is_empty() {
            end(&mut parts, keep(None));
        }
        if dropped_any {
            *self = kept.into_iter().collect();
        }
        dropped_chunks
    }

    /// Puts another one in the place of one. False where it is not there.
    pub(super) fn replace(&mut self, from: &ClosedChunk, to: ClosedChunk) -> bool {
        let mut found = false;
        let chunks: Vec<FullChunk> = self.iter().collect();
        let replaced = chunks.into_iter().map(|chunk| match chunk {
            FullChunk::Closed(chunk) if !found && chunk == *from => {
                found = true;
                FullChunk::Closed(to)
            }
            chunk => chunk,
        });
        *self = replaced.collect();
        found
    }
}

struct Entries<'a> {
    reader: Reader<'a>,
    before: Before,
}

impl Entries<'_> {
    /// What we wrote ourselves can be read.
    fn next(&mut self) -> Option<FullChunk> {
        if self.reader.rest().first().is_none_or(|head| *head == 0) {
            return None;
        }
        self.before.read(&mut self.reader).ok()
    }
}

impl FromIterator<FullChunk> for FullChunks {
    fn from_iter<I: IntoIterator<Item = FullChunk>>(chunks: I) -> Self {
        let (mut bytes, mut before) = (Vec::new(), Before::default());
        chunks.into_iter().for_each(|chunk| before.put(&chunk, &mut bytes));
        FullChunks::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_full() -> impl Strategy<Value = FullChunk> {
        let closed = (any::<i64>(), any::<u32>(), 1u32..4, any::<u32>(), any::<u16>(), any::<bool>());
        let closed = closed.prop_map(|(min_time_ms, span_ms, file, offset, len, continues)| {
            let (min_time_ms, span_ms) = if continues { (0, 0) } else { (min_time_ms, span_ms) };
            let encoding = Encoding::Xor;
            // One that ends behind the end of time is none.
            let min_time_ms = min_time_ms.min(i64::MAX - i64::from(span_ms));
            FullChunk::Closed(ClosedChunk { min_time_ms, span_ms, file, offset, len, encoding, continues })
        });
        let here = (any::<i64>(), any::<i64>(), any::<Vec<u8>>()).prop_map(|(min_time_ms, max_time_ms, data)| {
            let (encoding, data) = (Encoding::FloatHistogram, Bytes::from(data));
            FullChunk::Here(Chunk { min_time_ms, max_time_ms, encoding, data })
        });
        prop_oneof![4 => closed, 1 => here]
    }

    proptest! {
        #[test]
        fn lists_give_what_they_were_given(chunks in proptest::collection::vec(any_full(), 0..8)) {
            let mut list = FullChunks::default();
            chunks.iter().for_each(|chunk| list.push(chunk));
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), chunks.clone());
            let at_once: FullChunks = chunks.iter().cloned().collect();
            prop_assert_eq!(&at_once.0, &list.0);
            let mut saved = Vec::new();
            list.save(&mut saved);
            let mut reader = Reader::new(&saved);
            prop_assert_eq!(reader.uvarint().unwrap(), chunks.len() as u64);
            prop_assert_eq!(&FullChunks::from_bytes(reader.rest()).0, &list.0);
            let whole: Vec<_> = chunks.iter().filter(|chunk| !chunk.continues()).cloned().collect();
            prop_assert_eq!(list.whole().collect::<Vec<_>>(), whole);
        }

        #[test]
        fn pieces_go_with_their_chunk(chunks in proptest::collection::vec(any_full(), 0..8), kept: [bool; 9]) {
            let mut list: FullChunks = chunks.iter().cloned().collect();
            // The number of the chunk that each entry belongs to.
            let numbers: Vec<usize> = chunks.iter().scan(0, |number, chunk| {
                let own = *number;
                *number += usize::from(!chunk.continues());
                Some(own)
            }).collect();
            let (mut asked, mut dropped) = (0, Vec::new());
            list.retain(|_| { asked += 1; kept[asked - 1] }, |chunk| dropped.push(chunk.clone()));
            let of = |stays: bool| -> Vec<FullChunk> {
                let own = chunks.iter().zip(&numbers).filter(|(_, number)| kept[**number] == stays);
                own.map(|(chunk, _)| chunk.clone()).collect()
            };
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), of(true));
            prop_assert_eq!(dropped, of(false));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            FullChunks(bytes.into_boxed_slice()).iter().for_each(drop);
        }
    }

    #[test]
    fn a_piece_takes_few_bytes() {
        let (file, encoding) = (7, Encoding::Xor);
        let piece = |offset, continues| {
            let (min_time_ms, span_ms) = if continues { (0, 0) } else { (1_700_000_000_000, 1_785_000) };
            FullChunk::Closed(ClosedChunk { min_time_ms, span_ms, file, offset, len: 230, encoding, continues })
        };
        let mut list = FullChunks::default();
        let sizes = [piece(1 << 24, true), piece(1 << 25, true), piece(1 << 26, false)].map(|chunk| {
            list.push(&chunk);
            let mut saved = Vec::new();
            list.save(&mut saved);
            saved.len() - 1
        });
        assert_eq!(sizes, [8, 15, 31]);
    }
}
