//! The table of postings offsets, of which memory holds every 32nd value of a name only.

use std::sync::Arc;

use memchr::memmem::Finder;

use super::lists::WINDOW_BYTES;
use super::{InSection, IndexError};
use crate::encoding::{ByteSource, DecodeError, Reader};

const SAMPLE_EVERY: usize = 32;

/// A label value and where its series are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The value.
    pub value: Vec<u8>,
    /// File offset of the list.
    pub offset: u64,
}

/// One name of the table.
#[derive(Debug)]
struct Name {
    name: Box<[u8]>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// Version 1 does not sort its table: all values.
    All(Vec<Posting>),
    /// Every 32nd value, with their places in the table, and where the name's entries end.
    Sampled { samples: Vec<(Box<[u8]>, u32)>, end: u32 },
}

/// The table.
#[derive(Debug)]
pub(super) struct Offsets {
    names: Vec<Name>,
    source: Arc<dyn ByteSource>,
    /// Where the entries begin in the file.
    start: u64,
}

struct Entry<'a> {
    name: &'a [u8],
    value: &'a [u8],
    offset: u64,
}

fn read_entry<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, DecodeError> {
    reader.uvarint()?;
    Ok(Entry { name: reader.uvarint_bytes()?, value: reader.uvarint_bytes()?, offset: reader.uvarint()? })
}

impl Offsets {
    /// `table` is the count and the entries, checked already; it begins at `start` in the file.
    pub(super) fn read(
        table: &[u8],
        source: &Arc<dyn ByteSource>,
        start: u64,
        version: u8,
    ) -> Result<Self, IndexError> {
        let mut reader = Reader::new(table);
        let count = reader.u32().in_section("postings offset table")?;
        let entries = reader.rest();
        let mut offsets = Offsets { names: Vec::new(), source: Arc::clone(source), start: start + 4 };
        for _ in 0..count {
            let place = (entries.len() - reader.len()) as u32;
            let entry = read_entry(&mut reader).in_section("postings offset table")?;
            if version == 1 { offsets.push_v1(&entry) } else { offsets.push(&entry, place)? }
        }
        offsets.finish(entries.len() as u32);
        Ok(offsets)
    }

    fn push_v1(&mut self, entry: &Entry<'_>) {
        let posting = Posting { value: entry.value.to_vec(), offset: entry.offset };
        match self.names.iter_mut().find(|n| &*n.name == entry.name) {
            Some(Name { values: Values::All(all), .. }) => all.push(posting),
            _ => self.names.push(Name { name: Box::from(entry.name), values: Values::All(vec![posting]) }),
        }
    }

    fn push(&mut self, entry: &Entry<'_>, place: u32) -> Result<(), IndexError> {
        let last = self.names.last();
        if last.is_none_or(|n| &*n.name < entry.name) {
            let samples = vec![(Box::from(entry.value), place)];
            let values = Values::Sampled { samples, end: 1 };
            self.names.push(Name { name: Box::from(entry.name), values });
            return Ok(());
        }
        match self.names.last_mut() {
            Some(Name { name, values: Values::Sampled { samples, end } }) if **name == *entry.name => {
                // Until the name is done, `end` counts its values; see `finish`.
                if (*end as usize).is_multiple_of(SAMPLE_EVERY) {
                    samples.push((Box::from(entry.value), place));
                }
                *end += 1;
                Ok(())
            }
            _ => Err(IndexError::corrupt("postings offset table", "names are not sorted")),
        }
    }

    /// Sorts what version 1 left unsorted; turns counts of values into ends.
    fn finish(&mut self, table_end: u32) {
        self.names.sort_by(|a, b| a.name.cmp(&b.name));
        let starts: Vec<u32> = self
            .names
            .iter()
            .map(|n| match &n.values {
                Values::Sampled { samples, .. } => samples[0].1,
                Values::All(_) => 0,
            })
            .collect();
        for (i, name) in self.names.iter_mut().enumerate() {
            match &mut name.values {
                Values::All(all) => all.sort_by(|a, b| a.value.cmp(&b.value)),
                Values::Sampled { end, .. } => *end = starts.get(i + 1).copied().unwrap_or(table_end),
            }
        }
    }

    /// The names in order, without that of the list of all series.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(|n| &*n.name).filter(|n| !n.is_empty())
    }

    fn name(&self, name: &[u8]) -> Option<&Values> {
        let at = self.names.binary_search_by(|n| (*n.name).cmp(name)).ok()?;
        Some(&self.names[at].values)
    }

    /// Calls `each` for the values of a name that are not below `from`, in order, until it says false.
    pub(super) fn for_each(
        &self,
        name: &[u8],
        from: &[u8],
        each: &mut dyn FnMut(&[u8], u64) -> bool,
    ) -> Result<(), IndexError> {
        match self.name(name) {
            None => Ok(()),
            Some(Values::All(all)) => {
                let first = all.partition_point(|posting| posting.value[..] < *from);
                let _ = all[first..].iter().all(|posting| each(&posting.value, posting.offset));
                Ok(())
            }
            Some(Values::Sampled { samples, end }) => {
                let first = samples.partition_point(|(sample, _)| **sample <= *from).saturating_sub(1);
                // Comparing no bytes where no memory is takes processors with masked loads 80 ns.
                let mut each = |value: &[u8], offset| !from.is_empty() && value < from || each(value, offset);
                let mut bytes = Vec::new();
                for part in Parts::new(&samples[first..], *end) {
                    self.read_part(&part, &mut bytes)?;
                    if !scan(&bytes, &mut each)? {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// Calls `each` for the values of a name that hold a literal and begin with `prefix`, and for some others. Parts of
    /// the table without the literal are not taken apart.
    pub(super) fn with_literal(
        &self,
        name: &[u8],
        prefix: &[u8],
        literal: &Finder<'_>,
        each: &mut dyn FnMut(&[u8], u64),
    ) -> Result<(), IndexError> {
        let Some(Values::Sampled { samples, end }) = self.name(name) else {
            return self.for_each(name, prefix, &mut |value, offset| {
                each(value, offset);
                value.starts_with(prefix)
            });
        };
        let first = samples.partition_point(|(sample, _)| **sample <= *prefix).saturating_sub(1);
        let behind = |sample: &[u8]| sample > prefix && !sample.starts_with(prefix);
        let last = first + samples[first..].partition_point(|(sample, _)| !behind(sample));
        let end = samples.get(last).map_or(*end, |(_, place)| *place);
        let mut bytes = Vec::new();
        for part in Parts::new(&samples[first..last], end) {
            self.read_part(&part, &mut bytes)?;
            search(&bytes, &part, literal, each)?;
        }
        Ok(())
    }

    /// Reads the part of the table between the first and the last of some places.
    fn read_part(&self, places: &[u32], into: &mut Vec<u8>) -> Result<(), IndexError> {
        let place = |place: u32| self.start + u64::from(place);
        Ok(self.source.read(place(places[0])..place(places[places.len() - 1]), into)?)
    }

    /// How many values a name has, up to 31 more or less.
    pub(super) fn values_about(&self, name: &[u8]) -> u64 {
        match self.name(name) {
            None => 0,
            Some(Values::All(all)) => all.len() as u64,
            Some(Values::Sampled { samples, .. }) => (samples.len() * SAMPLE_EVERY) as u64,
        }
    }

    /// Where the series of a label are listed.
    pub(super) fn find(&self, name: &[u8], value: &[u8]) -> Result<Option<u64>, IndexError> {
        match self.name(name) {
            None => Ok(None),
            Some(Values::All(all)) => {
                let at = all.binary_search_by(|posting| posting.value[..].cmp(value)).ok();
                Ok(at.map(|at| all[at].offset))
            }
            Some(Values::Sampled { samples, end }) => {
                let after = samples.partition_point(|(sample, _)| **sample <= *value);
                let Some(first) = after.checked_sub(1) else { return Ok(None) };
                let to = samples.get(after).map_or(*end, |(_, place)| *place);
                let (mut bytes, mut found) = (Vec::new(), None);
                self.read_part(&[samples[first].1, to], &mut bytes)?;
                scan(&bytes, &mut |entry, offset| {
                    if entry == value {
                        found = Some(offset);
                    }
                    entry < value
                })?;
                Ok(found)
            }
        }
    }
}

/// Looks for a literal in a part of the table, of which the places of some entries are known, first and end among them.
fn search(
    bytes: &[u8],
    places: &[u32],
    literal: &Finder<'_>,
    each: &mut dyn FnMut(&[u8], u64),
) -> Result<(), IndexError> {
    let (from, mut at) = (places[0], 0);
    while let Some(hit) = literal.find(&bytes[at..]) {
        let hit = from + (at + hit) as u32;
        let after = places.partition_point(|place| *place <= hit).min(places.len() - 1);
        let (group, end) = ((places[after - 1] - from) as usize, (places[after] - from) as usize);
        let all = &mut |value: &[u8], offset| {
            each(value, offset);
            true
        };
        scan(&bytes[group..end], all)?;
        at = end;
    }
    Ok(())
}

/// Takes a part of the table apart. Says whether `each` wants more.
fn scan(bytes: &[u8], each: &mut dyn FnMut(&[u8], u64) -> bool) -> Result<bool, IndexError> {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let entry = read_entry(&mut reader).in_section("postings offset table")?;
        if !each(entry.value, entry.offset) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Cuts a name's entries into parts that are read at once: the places of sampled entries, and where the part ends.
struct Parts<'a> {
    samples: &'a [(Box<[u8]>, u32)],
    end: u32,
}

impl<'a> Parts<'a> {
    fn new(samples: &'a [(Box<[u8]>, u32)], end: u32) -> Self {
        Parts { samples, end }
    }
}

impl Iterator for Parts<'_> {
    type Item = Vec<u32>;

    fn next(&mut self) -> Option<Vec<u32>> {
        let (_, first) = self.samples.first()?;
        let fits = |place: u32| u64::from(place - first) <= WINDOW_BYTES;
        let len = self.samples.partition_point(|(_, place)| fits(*place)).max(1);
        let (part, rest) = self.samples.split_at(len);
        self.samples = rest;
        let end = rest.first().map_or(self.end, |(_, place)| *place);
        Some(part.iter().map(|(_, place)| *place).chain([end]).collect())
    }
}
