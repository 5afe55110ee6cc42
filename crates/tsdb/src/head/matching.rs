//! Matchers over the labels of a head.

use std::convert::Infallible;
use std::sync::Arc;

use roaring::RoaringBitmap;
use thanoxide_model::Matcher;
use thanoxide_model::regexp::Regexp;

use super::Head;
use super::labels::{Name, Pair};
use crate::postings::{self, LabelIndex};

/// Looking at one series costs about as much as at so many values or their lists.
const SERIES_COST: u64 = 4;

impl Head {
    /// The slots of the series that satisfy all matchers.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> RoaringBitmap {
        match postings::select(self, matchers) {
            Ok(slots) => slots,
            Err(never) => match never {},
        }
    }

    /// The label names of series that satisfy all matchers, sorted.
    pub fn label_names(&self, matchers: &[Matcher]) -> Vec<Vec<u8>> {
        let mut names: Vec<Name> = self.labels.names().collect();
        if !matchers.is_empty() {
            let among = self.matching(matchers);
            names.retain(|name| self.has_any(*name, &among));
        }
        sorted(names.into_iter().map(|name| self.labels.name_text(name)))
    }

    /// Whether any of some series has a name.
    fn has_any(&self, name: Name, among: &RoaringBitmap) -> bool {
        match self.prefers_series(name, among) {
            true => among.iter().any(|slot| self.label_of(slot, name).is_some()),
            false => self.labels.values(name).iter().any(|(pair, _)| self.labels.intersects(pair, among)),
        }
    }

    /// The values of a label among series that satisfy all matchers, in no order: sorting is not for those who hold a lock.
    pub fn label_values(&self, name: &[u8], matchers: &[Matcher]) -> Vec<Vec<u8>> {
        let Some(name) = self.labels.find_name(name) else { return Vec::new() };
        let values = self.labels.values(name);
        if matchers.is_empty() {
            return copied(values.iter().map(|(_, value)| value));
        }
        let among = self.matching(matchers);
        if !self.prefers_series(name, &among) {
            let used = |pair: Pair| self.labels.intersects(pair, &among);
            return copied(values.iter().filter(|(pair, _)| used(*pair)).map(|(_, value)| value));
        }
        let mut pairs: Vec<Pair> = among.iter().filter_map(|slot| self.label_of(slot, name)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        copied(pairs.into_iter().map(|pair| self.labels.value(pair)))
    }

    /// At most so many series satisfy all matchers, as far as is known without evaluating them.
    pub fn estimate(&self, matchers: &[Matcher]) -> u64 {
        postings::estimate(self, matchers).unwrap_or_else(|never: Infallible| match never {})
    }

    /// How many series have each value of a label, the most frequent `limit` ones first.
    pub fn value_counts(&self, name: &[u8], limit: usize) -> Vec<(Vec<u8>, u64)> {
        let Some(name) = self.labels.find_name(name) else { return Vec::new() };
        let values = self.labels.values(name).iter();
        let mut counts: Vec<(u64, &[u8])> = values.map(|(pair, value)| (self.labels.count(pair), value)).collect();
        counts.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        counts.into_iter().take(limit).map(|(count, value)| (value.to_vec(), count)).collect()
    }

    /// How many values each label has, the most first.
    pub fn name_counts(&self, limit: usize) -> Vec<(Vec<u8>, u64)> {
        let counted = |name| (self.labels.values(name).len() as u64, self.labels.name_text(name));
        let mut counts: Vec<(u64, &[u8])> = self.labels.names().map(counted).collect();
        counts.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        counts.into_iter().take(limit).map(|(count, name)| (name.to_vec(), count)).collect()
    }

    fn prefers_series(&self, name: Name, among: &RoaringBitmap) -> bool {
        among.len().saturating_mul(SERIES_COST) < self.labels.values(name).len() as u64
    }

    /// The label of a name that a series has.
    fn label_of(&self, slot: u32, name: Name) -> Option<Pair> {
        let labels = self.slab.get(slot)?.labels.iter().copied();
        labels.into_iter().find(|pair| self.labels.name_of(*pair) == Some(name))
    }
}

fn copied<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    texts.map(<[u8]>::to_vec).collect()
}

fn sorted<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut texts = copied(texts);
    texts.sort_unstable();
    texts
}

impl LabelIndex for Head {
    type Error = Infallible;

    fn all(&self) -> Result<Arc<RoaringBitmap>, Infallible> {
        Ok(Arc::new(self.live.clone()))
    }

    fn series_count(&self) -> Result<u64, Infallible> {
        Ok(self.live.len())
    }

    fn value_count(&self, name: &[u8]) -> Result<u64, Infallible> {
        Ok(self.labels.find_name(name).map_or(0, |name| self.labels.values(name).len() as u64))
    }

    fn count(&self, name: &[u8], value: &[u8]) -> Result<u64, Infallible> {
        let pair = self.labels.find_name(name).and_then(|name| self.labels.find(name, value));
        Ok(pair.map_or(0, |pair| self.labels.count(pair)))
    }

    fn with_values(&self, name: &[u8], values: &[&[u8]]) -> Result<Arc<RoaringBitmap>, Infallible> {
        let Some(name) = self.labels.find_name(name) else { return Ok(Arc::default()) };
        Ok(Arc::new(self.labels.union(values.iter().filter_map(|value| self.labels.find(name, value)))))
    }

    fn with_pattern(&self, name: &[u8], regexp: &Regexp) -> Result<Arc<RoaringBitmap>, Infallible> {
        let Some(name) = self.labels.find_name(name) else { return Ok(Arc::default()) };
        Ok(Arc::new(self.labels.union(self.verdicts.taken(&self.labels, name, regexp).iter())))
    }

    fn without_pattern(&self, name: &[u8], regexp: &Regexp) -> Result<Arc<RoaringBitmap>, Infallible> {
        let Some(name) = self.labels.find_name(name) else { return Ok(Arc::default()) };
        let taken = self.verdicts.taken(&self.labels, name, regexp);
        let others = self.labels.values(name).iter().map(|(pair, _)| pair).filter(|pair| !taken.contains(*pair));
        Ok(Arc::new(self.labels.union(others)))
    }

    fn without_value(&self, name: &[u8], value: &[u8]) -> Result<Arc<RoaringBitmap>, Infallible> {
        let Some(name) = self.labels.find_name(name) else { return Ok(Arc::default()) };
        Ok(Arc::new(
            self.labels.union(self.labels.values(name).iter().filter(|(_, v)| *v != value).map(|(pair, _)| pair)),
        ))
    }

    fn retained(&self, among: &RoaringBitmap, matcher: &Matcher) -> Result<Option<RoaringBitmap>, Infallible> {
        let Some(name) = self.labels.find_name(matcher.name()) else { return Ok(None) };
        let known = matcher.regexp().is_some_and(|regexp| self.verdicts.knows(name, regexp));
        if known || !self.prefers_series(name, among) {
            return Ok(None);
        }
        let value = |slot| self.label_of(slot, name).map_or(&[] as &[u8], |pair| self.labels.value(pair));
        Ok(Some(among.iter().filter(|slot| matcher.matches(value(*slot))).collect()))
    }
}
