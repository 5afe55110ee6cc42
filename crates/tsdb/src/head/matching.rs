//! Matchers over the postings of a head.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;
use thanoxide_model::{MatchKind, Matcher};

use super::Head;
use super::symbols::Symbol;

impl Head {
    /// The slots of the series that satisfy all matchers.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> RoaringBitmap {
        // A matcher that accepts the empty value takes series away; any other one chooses among those that have the label.
        let (removing, choosing): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| m.matches_empty());
        let mut found: Option<RoaringBitmap> = None;
        for matcher in choosing {
            let chosen = self.having(matcher, true);
            let both = match found {
                None => chosen,
                Some(before) => before & chosen,
            };
            if both.is_empty() {
                return both;
            }
            found = Some(both);
        }
        let mut found = found.unwrap_or_else(|| self.live.clone());
        for matcher in removing {
            found -= self.having(matcher, false);
        }
        found
    }

    /// The series that have the matcher's label with a value that it accepts, or refuses.
    fn having(&self, matcher: &Matcher, accepted: bool) -> RoaringBitmap {
        let mut slots = RoaringBitmap::new();
        let Some(name) = self.symbols.find(matcher.name()) else { return slots };
        if accepted && matcher.kind() == MatchKind::Equal {
            if let Some(value) = self.symbols.find(matcher.value()) {
                self.postings.union_into(name, value, &mut slots);
            }
            return slots;
        }
        for value in self.postings.values(name) {
            if matcher.matches(self.symbols.text(value)) == accepted {
                self.postings.union_into(name, value, &mut slots);
            }
        }
        slots
    }

    /// The label names of series that satisfy all matchers.
    pub fn label_names(&self, matchers: &[Matcher], into: &mut BTreeSet<Vec<u8>>) {
        if matchers.is_empty() {
            return self.add_texts(self.postings.names(), into);
        }
        let among = self.matching(matchers);
        let used = |name: &Symbol| self.postings.values(*name).any(|v| self.postings.intersects(*name, v, &among));
        self.add_texts(self.postings.names().filter(used), into);
    }

    /// The values of a label among series that satisfy all matchers.
    pub fn label_values(&self, name: &[u8], matchers: &[Matcher], into: &mut BTreeSet<Vec<u8>>) {
        let Some(name) = self.symbols.find(name) else { return };
        if matchers.is_empty() {
            return self.add_texts(self.postings.values(name), into);
        }
        let among = self.matching(matchers);
        let values = self.postings.values(name);
        self.add_texts(values.filter(|value| self.postings.intersects(name, *value, &among)), into);
    }

    fn add_texts(&self, symbols: impl Iterator<Item = Symbol>, into: &mut BTreeSet<Vec<u8>>) {
        into.extend(symbols.map(|symbol| self.symbols.text(symbol).to_vec()));
    }
}
