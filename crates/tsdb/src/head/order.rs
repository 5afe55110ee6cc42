//! The order of a head's series by their labels, made while appends go on.
//!
//! Series are noted slice by slice, each under a short lock of the caller's; texts are copied once for each label. Sorting
//! needs no lock then: labels get ranks, and series are sorted by the ranks of their labels.

use roaring::RoaringBitmap;

use super::labels::Pair;
use super::{Head, Slot};
use crate::index::SymbolSet;

/// So many slots are looked at under one lock.
const SLICE_SLOTS: Slot = 8192;

/// A label, its texts end to end in a buffer.
#[derive(Debug)]
struct Text {
    pair: Pair,
    start: usize,
    name_len: u32,
    value_len: u32,
}

/// Series on their way into order.
#[derive(Debug, Default)]
pub(crate) struct SeriesOrder {
    slots: Vec<Slot>,
    /// The labels of all series end to end, and where those of each end.
    labels: Vec<Pair>,
    ends: Vec<usize>,
    known: RoaringBitmap,
    texts: Vec<Text>,
    bytes: Vec<u8>,
}

impl SeriesOrder {
    /// Notes the series of some slots that have samples of `min_ms..=max_ms`. Gives the slot to go on with.
    pub(crate) fn take(&mut self, head: &Head, from: Slot, min_ms: i64, max_ms: i64) -> Option<Slot> {
        let end = head.slab.end();
        let until = from.saturating_add(SLICE_SLOTS).min(end);
        for slot in from..until {
            let Some(series) = head.slab.get(slot) else { continue };
            let times = series.min_time_ms().zip(series.max_time_ms());
            if times.is_some_and(|(min, max)| min <= max_ms && max >= min_ms) {
                self.slots.push(slot);
                self.labels.extend_from_slice(&series.labels);
                self.ends.push(self.labels.len());
                series.labels.iter().for_each(|pair| self.note(head, *pair));
            }
        }
        (until < end).then_some(until)
    }

    fn note(&mut self, head: &Head, pair: Pair) {
        if self.known.insert(pair) {
            let ((name, value), start) = (head.labels.text(pair), self.bytes.len());
            self.bytes.extend_from_slice(name);
            self.bytes.extend_from_slice(value);
            self.texts.push(Text { pair, start, name_len: name.len() as u32, value_len: value.len() as u32 });
        }
    }

    /// The series sorted by labels; their label texts, and the empty one, which stock's blocks have.
    pub(crate) fn finish(mut self) -> (Vec<Slot>, SymbolSet) {
        let mut symbols = SymbolSet::default();
        symbols.add(b"");
        for text in &self.texts {
            let (name, value) = split(&self.bytes, text);
            symbols.add(name);
            symbols.add(value);
        }
        let ranks = self.ranks();
        self.labels.iter_mut().for_each(|label| *label = ranks[*label as usize]);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let mut order: Vec<(&[u32], Slot)> =
            starts.zip(&self.ends).map(|(start, end)| &self.labels[start..*end]).zip(self.slots).collect();
        order.sort_unstable();
        (order.into_iter().map(|(_, slot)| slot).collect(), symbols)
    }

    /// The rank of each label, by its number.
    fn ranks(&mut self) -> Vec<u32> {
        let bytes = &self.bytes;
        self.texts.sort_unstable_by(|a, b| split(bytes, a).cmp(&split(bytes, b)));
        let mut ranks = vec![0; self.known.max().map_or(0, |pair| pair as usize + 1)];
        for (rank, text) in (0..).zip(&self.texts) {
            ranks[text.pair as usize] = rank;
        }
        ranks
    }
}

/// Name and value.
fn split<'a>(bytes: &'a [u8], text: &Text) -> (&'a [u8], &'a [u8]) {
    let (name_len, value_len) = (text.name_len as usize, text.value_len as usize);
    bytes[text.start..text.start + name_len + value_len].split_at(name_len)
}
