//! The values of one label name, their texts end to end, so that a pattern runs over them at the speed of memory.
//!
//! An entry is `u32 pair, u8 length, bytes`; a length of 255 and more is 255 and a `u32`. A forgotten entry has the pair
//! [`DEAD`]. Chunks are of 64 KiB, but for a longer text, which has one of its own. Texts that outlive most of their
//! chunk are moved to the newest, so that the memory of churned values comes back a chunk at a time.

use std::collections::VecDeque;

use memchr::memmem::Finder;

use super::labels::Pair;
use crate::encoding::allocated_bytes;

const CHUNK_BYTES: usize = 64 * 1024;
const DEAD: u32 = u32::MAX;

/// Where an entry begins. Places of later entries are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    chunk: u32,
    offset: u32,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    dead_bytes: usize,
}

/// The values of one name.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// The number of the first chunk that is kept.
    first: u32,
    chunks: VecDeque<Chunk>,
    live: usize,
}

/// An entry's pair, where its text lies in the chunk, and where the next entry begins.
struct Entry {
    pair: u32,
    start: usize,
    end: usize,
}

fn entry(bytes: &[u8], at: usize) -> Entry {
    let number = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("entries are written whole"));
    let (start, len) = match bytes[at + 4] {
        255 => (at + 9, number(at + 5) as usize),
        len => (at + 5, usize::from(len)),
    };
    Entry { pair: number(at), start, end: start + len }
}

impl Texts {
    pub(crate) const fn new() -> Self {
        Texts { first: 0, chunks: VecDeque::new(), live: 0 }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes.capacity() + size_of::<Chunk>()).sum()
    }

    /// Where the next text will lie.
    pub(crate) fn end(&self) -> Place {
        match self.chunks.back() {
            Some(last) => Place { chunk: self.last_number(), offset: last.bytes.len() as u32 },
            None => Place { chunk: self.first, offset: 0 },
        }
    }

    fn last_number(&self) -> u32 {
        self.first + self.chunks.len() as u32 - 1
    }

    pub(crate) fn push(&mut self, pair: Pair, text: &[u8]) -> Place {
        let bytes = 9 + text.len();
        if self.chunks.back().is_none_or(|last| last.bytes.len() + bytes > CHUNK_BYTES && !last.bytes.is_empty()) {
            // The first chunk grows as needed: most names have few values.
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK_BYTES };
            self.chunks.push_back(Chunk { bytes: Vec::with_capacity(capacity), dead_bytes: 0 });
        }
        let place = self.end();
        if let Some(Chunk { bytes: texts, .. }) = self.chunks.back_mut() {
            if texts.capacity() - texts.len() < bytes {
                let room = allocated_bytes(texts.len() + bytes + texts.len() / 8);
                texts.reserve_exact(room - texts.len());
            }
            let bytes = texts;
            bytes.extend_from_slice(&pair.to_le_bytes());
            if text.len() < 255 {
                bytes.push(text.len() as u8);
            } else {
                bytes.push(255);
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            }
            bytes.extend_from_slice(text);
        }
        self.live += 1;
        place
    }

    fn chunk(&self, number: u32) -> &[u8] {
        let index = number.wrapping_sub(self.first) as usize;
        self.chunks.get(index).map_or(&[], |chunk| &chunk.bytes)
    }

    /// The text of an entry that is there.
    pub(crate) fn get(&self, place: Place) -> &[u8] {
        let bytes = self.chunk(place.chunk);
        let Entry { start, end, .. } = entry(bytes, place.offset as usize);
        &bytes[start..end]
    }

    /// Forgets an entry.
    pub(crate) fn remove(&mut self, place: Place) {
        let index = place.chunk.wrapping_sub(self.first) as usize;
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        let at = place.offset as usize;
        let end = entry(&chunk.bytes, at).end;
        chunk.bytes[at..at + 4].copy_from_slice(&DEAD.to_le_bytes());
        chunk.dead_bytes += end - at;
        self.live -= 1;
    }

    /// Gives back chunks that are mostly dead. What still lives there moves; `moved` is told where to. No place is used
    /// twice, so that whoever has read up to [`Texts::end`] can go on from there.
    pub(crate) fn shrink(&mut self, moved: &mut dyn FnMut(Pair, Place)) {
        let mostly_dead = |chunk: &Chunk| chunk.dead_bytes * 2 > chunk.bytes.len();
        if self.chunks.back().is_some_and(mostly_dead) {
            self.chunks.push_back(Chunk::default());
        }
        for number in self.first..self.end().chunk {
            let chunk = &mut self.chunks[(number - self.first) as usize];
            if !mostly_dead(chunk) {
                continue;
            }
            let bytes = std::mem::take(chunk).bytes;
            let mut at = 0;
            while at < bytes.len() {
                let Entry { pair, start, end } = entry(&bytes, at);
                if pair != DEAD {
                    self.live -= 1;
                    moved(pair, self.push(pair, &bytes[start..end]));
                }
                at = end;
            }
        }
        while self.chunks.front().is_some_and(|chunk| chunk.bytes.is_empty()) {
            self.chunks.pop_front();
            self.first += 1;
        }
    }

    /// All values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Pair, &[u8])> {
        self.iter_from(Place::default())
    }

    /// The values from a place on.
    pub(crate) fn iter_from(&self, from: Place) -> impl Iterator<Item = (Pair, &[u8])> {
        self.parts_from(from).flat_map(|(bytes, start)| {
            let mut at = start;
            std::iter::from_fn(move || {
                while at < bytes.len() {
                    let Entry { pair, start, end } = entry(bytes, at);
                    at = end;
                    if pair != DEAD {
                        return Some((pair, &bytes[start..end]));
                    }
                }
                None
            })
        })
    }

    /// The values from a place on that hold a literal, and perhaps some others. Chunks without it are not taken apart.
    pub(crate) fn with_literal(&self, from: Place, literal: &Finder<'_>, each: &mut dyn FnMut(Pair, &[u8])) {
        for (bytes, start) in self.parts_from(from) {
            let mut at = start;
            // The literal may begin in an entry's head; then it is looked for again in the text.
            let mut hit = literal.find(&bytes[at..]).map(|hit| at + hit);
            while let Some(found) = hit {
                let Entry { pair, start, end } = entry(bytes, at);
                if found < end {
                    if pair != DEAD {
                        each(pair, &bytes[start..end]);
                    }
                    hit = literal.find(&bytes[end..]).map(|hit| end + hit);
                }
                at = end;
                if at >= bytes.len() {
                    break;
                }
            }
        }
    }

    fn parts_from(&self, from: Place) -> impl Iterator<Item = (&[u8], usize)> {
        let skipped = from.chunk.saturating_sub(self.first) as usize;
        let offset = if from.chunk >= self.first { from.offset as usize } else { 0 };
        let starts = std::iter::once(offset).chain(std::iter::repeat(0));
        let parts = self.chunks.iter().skip(skipped).zip(starts);
        parts.map(|(chunk, start)| (&chunk.bytes[..], start.min(chunk.bytes.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &Texts) -> Vec<(Pair, Vec<u8>)> {
        texts.iter_from(Place::default()).map(|(pair, text)| (pair, text.to_vec())).collect()
    }

    #[test]
    fn texts_keep_their_place_until_their_chunk_is_mostly_dead() {
        let mut texts = Texts::default();
        let text = |i: u32| vec![b'a' + (i % 26) as u8; (i as usize * 7) % 400];
        let mut places: Vec<Place> = (0..5000).map(|i| texts.push(i, &text(i))).collect();
        places.push(texts.push(5000, &vec![b'x'; 3 * CHUNK_BYTES]));
        assert!((0..5000).all(|i| texts.get(places[i as usize]) == text(i)));
        assert_eq!(texts.get(places[5000]).len(), 3 * CHUNK_BYTES);
        let chunks = texts.chunks.len();
        (0..5000).filter(|i| i % 10 != 0).for_each(|i| texts.remove(places[i]));
        texts.remove(places[5000]);
        let read_up_to = texts.end();
        texts.shrink(&mut |pair, place| places[pair as usize] = place);
        assert!(texts.chunks.len() < chunks / 4);
        assert_eq!(texts.len(), 500);
        places.push(texts.push(5001, b"new"));
        assert!(texts.iter_from(read_up_to).any(|(pair, text)| pair == 5001 && text == b"new"));
        let mut kept = all(&texts);
        kept.sort();
        assert!((0..500).all(|i| kept[i] == (i as u32 * 10, text(i as u32 * 10))));
        assert!((0..500).all(|i| texts.get(places[i * 10]) == text(i as u32 * 10)));
    }

    #[test]
    fn a_literal_is_found_wherever_it_is() {
        let mut texts = Texts::default();
        for i in 0..70_000u32 {
            texts.push(i, format!("pod-{:x}", i.wrapping_mul(0x9e37_79b9)).as_bytes());
        }
        let middle = texts.end();
        texts.push(70_000, b"late-c0de-");
        for (from, literal) in
            [(Place::default(), "c0de"), (Place::default(), "pod"), (middle, "c0de"), (middle, "pod")]
        {
            let holds = |text: &[u8]| Finder::new(literal).find(text).is_some();
            let want: Vec<Pair> = texts.iter_from(from).filter(|(_, t)| holds(t)).map(|(p, _)| p).collect();
            let mut found = Vec::new();
            texts.with_literal(from, &Finder::new(literal), &mut |pair, text| {
                found.extend(holds(text).then_some(pair));
            });
            assert_eq!(found, want);
        }
    }
}
