//! Matchers over the postings of an index.

use std::sync::Arc;

use roaring::RoaringBitmap;
use thanoxide_model::Matcher;
use thanoxide_model::matcher::MatchKind;
use thanoxide_model::regexp::Regexp;

use super::label_reader::LabelReader;
use super::lists::{self, Intersections};
use super::verdicts::Asked;
use super::{IndexError, IndexReader};
use crate::postings::{self, LabelIndex, Members};

/// Reading one label of a series costs about as much as looking at so many values.
const SERIES_COST: u64 = 8;
/// Lists of so many series are kept as bitmaps.
const LONG_LIST: u64 = 1 << 14;

impl IndexReader {
    /// The series that satisfy all matchers.
    pub fn matching(&self, matchers: &[Matcher]) -> Result<RoaringBitmap, IndexError> {
        postings::select(self, matchers)
    }

    /// All label names of the series that satisfy all matchers, sorted.
    pub fn names_among(&self, matchers: &[Matcher]) -> Result<Vec<Vec<u8>>, IndexError> {
        let all = self.label_names().map(<[u8]>::to_vec);
        if matchers.is_empty() {
            return Ok(all.collect());
        }
        let among = postings::members(self, matchers)?;
        let mut names = Vec::new();
        for name in all {
            if self.has_any(&name, &among)? {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Whether any of some series has a label.
    fn has_any(&self, name: &[u8], among: &Members) -> Result<bool, IndexError> {
        // Most series have most names: the first few usually tell.
        const TRIED: usize = 64;
        let mut reader = LabelReader::new(self, name);
        for series in among.iter().take(TRIED) {
            if reader.value_of(series)?.is_some() {
                return Ok(true);
            }
        }
        if among.iter().nth(TRIED).is_none() {
            return Ok(false);
        }
        let (mut found, mut lists) = (Ok(false), Intersections::new(&*self.source, among));
        self.for_each_value(name, &mut |_, offset| {
            found = lists.ask(offset);
            matches!(found, Ok(false))
        })?;
        found
    }

    /// All values of a label among the series that satisfy all matchers, sorted.
    pub fn values_among(&self, name: &[u8], matchers: &[Matcher]) -> Result<Vec<Vec<u8>>, IndexError> {
        if matchers.is_empty() {
            return self.label_values(name);
        }
        let among = postings::members(self, matchers)?;
        if self.prefers_series(name, among.at_most()) {
            let (mut reader, mut symbols) = (LabelReader::new(self, name), Vec::new());
            for series in among.iter() {
                symbols.extend(reader.value_of(series)?);
            }
            symbols.sort_unstable();
            symbols.dedup();
            let values = symbols.into_iter().map(|symbol| self.symbol(symbol).map(<[u8]>::to_vec));
            let mut values = values.collect::<Result<Vec<_>, _>>()?;
            values.retain(|value| !value.is_empty());
            // Version 1 numbers symbols by their place, and need not sort them.
            values.sort_unstable();
            return Ok(values);
        }
        let (mut values, mut failed) = (Vec::new(), None);
        let mut lists = Intersections::new(&*self.source, &among);
        self.for_each_value(name, &mut |value, offset| match lists.ask(offset) {
            Ok(used) => {
                values.extend(used.then(|| value.to_vec()));
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        })?;
        failed.map_or(Ok(values), Err)
    }

    /// At most so many series satisfy all matchers, as far as the lengths of lists tell.
    pub fn estimate(&self, matchers: &[Matcher]) -> Result<u64, IndexError> {
        postings::estimate(self, matchers)
    }

    fn prefers_series(&self, name: &[u8], series: u64) -> bool {
        series.saturating_mul(SERIES_COST) < self.values_about(name)
    }

    fn with(&self, name: &[u8], regexp: &Regexp, asked: Asked) -> Result<Arc<RoaringBitmap>, IndexError> {
        self.verdicts.get(asked, name, regexp.pattern(), || {
            let mut offsets = Vec::new();
            let mut judge = |value: &[u8], offset| {
                // An empty value is no label, whatever a writer may have listed.
                if !value.is_empty() && regexp.is_match(value) == (asked == Asked::Taken) {
                    offsets.push(offset);
                }
            };
            match regexp.required().filter(|_| asked == Asked::Taken) {
                Some(literal) => self.offsets.with_literal(name, regexp.prefix(), literal, &mut judge)?,
                None => self.for_each_value(name, &mut |value, offset| {
                    judge(value, offset);
                    true
                })?,
            }
            lists::union(&*self.source, offsets)
        })
    }
}

impl LabelIndex for IndexReader {
    type Error = IndexError;

    fn all(&self) -> Result<Arc<RoaringBitmap>, IndexError> {
        self.verdicts.get(Asked::All, b"", b"", || self.all_postings().map(lists::bitmap))
    }

    fn series_count(&self) -> Result<u64, IndexError> {
        self.count(b"", b"")
    }

    fn value_count(&self, name: &[u8]) -> Result<u64, IndexError> {
        Ok(self.values_about(name))
    }

    fn count(&self, name: &[u8], value: &[u8]) -> Result<u64, IndexError> {
        match self.offsets.find(name, value)? {
            Some(offset) => lists::count(&*self.source, offset),
            None => Ok(0),
        }
    }

    /// Long lists are kept: to make a bitmap of one takes longer than all else.
    fn with_values(&self, name: &[u8], values: &[&[u8]]) -> Result<Arc<RoaringBitmap>, IndexError> {
        let (mut long, mut offsets) = (Vec::new(), Vec::new());
        for value in values {
            if let Some(kept) = self.verdicts.find(Asked::Value, name, value) {
                long.push(kept);
                continue;
            }
            let Some(offset) = self.offsets.find(name, value)? else { continue };
            if lists::count(&*self.source, offset)? < LONG_LIST {
                offsets.push(offset);
                continue;
            }
            let read = || lists::union(&*self.source, vec![offset]);
            long.push(self.verdicts.get(Asked::Value, name, value, read)?);
        }
        if let ([only], true) = (long.as_slice(), offsets.is_empty()) {
            return Ok(Arc::clone(only));
        }
        let mut all = lists::union(&*self.source, offsets)?;
        long.iter().for_each(|list| all |= &**list);
        Ok(Arc::new(all))
    }

    fn with_pattern(&self, name: &[u8], regexp: &Regexp) -> Result<Arc<RoaringBitmap>, IndexError> {
        self.with(name, regexp, Asked::Taken)
    }

    fn without_pattern(&self, name: &[u8], regexp: &Regexp) -> Result<Arc<RoaringBitmap>, IndexError> {
        self.with(name, regexp, Asked::Refused)
    }

    fn without_value(&self, name: &[u8], value: &[u8]) -> Result<Arc<RoaringBitmap>, IndexError> {
        self.verdicts.get(Asked::Other, name, value, || {
            let mut offsets = Vec::new();
            self.for_each_value(name, &mut |found, offset| {
                if found != value && !found.is_empty() {
                    offsets.push(offset);
                }
                true
            })?;
            lists::union(&*self.source, offsets)
        })
    }

    fn retained(&self, among: &RoaringBitmap, matcher: &Matcher) -> Result<Option<RoaringBitmap>, IndexError> {
        let known = |asked| self.verdicts.find(asked, matcher.name(), matcher.value()).is_some();
        let known = matcher.regexp().is_some() && (known(Asked::Taken) || known(Asked::Refused));
        let listed = matcher.kind() == MatchKind::Equal || matcher.regexp().is_some_and(|r| r.set_matches().is_some());
        if known || listed || !self.prefers_series(matcher.name(), among.len()) {
            return Ok(None);
        }
        let (mut reader, mut kept) = (LabelReader::new(self, matcher.name()), RoaringBitmap::new());
        for series in among.iter() {
            let value = match reader.value_of(series)? {
                Some(value) => self.symbol(value)?,
                None => b"",
            };
            if matcher.matches(value) {
                kept.insert(series);
            }
        }
        Ok(Some(kept))
    }
}
