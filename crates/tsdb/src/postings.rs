//! Which series satisfy matchers.
//!
//! Series are numbers in roaring bitmaps. Where these come from is behind [`LabelIndex`], so that a head and a block's
//! index answer alike. A pattern is run over the distinct values of its label only, and over none where it is a set of
//! literals; what every matcher costs decides about their order, and a matcher that is dear beside the few series that are
//! left is put to these alone.

use std::sync::Arc;

use roaring::RoaringBitmap;
use thanoxide_model::Matcher;
use thanoxide_model::matcher::MatchKind;
use thanoxide_model::regexp::Regexp;

/// What knows which series have a label.
pub trait LabelIndex {
    /// Why it could not answer.
    type Error;

    /// All series.
    fn all(&self) -> Result<Arc<RoaringBitmap>, Self::Error>;

    /// How many series there are.
    fn series_count(&self) -> Result<u64, Self::Error>;

    /// How many values a label has, about.
    fn value_count(&self, name: &[u8]) -> Result<u64, Self::Error>;

    /// How many series have a label.
    fn count(&self, name: &[u8], value: &[u8]) -> Result<u64, Self::Error>;

    /// The series with any of some values of a label.
    fn with_values(&self, name: &[u8], values: &[&[u8]]) -> Result<Arc<RoaringBitmap>, Self::Error>;

    /// The series whose value of a label a pattern takes; those without the label are not asked for.
    fn with_pattern(&self, name: &[u8], regexp: &Regexp) -> Result<Arc<RoaringBitmap>, Self::Error>;

    /// The series that have a label whose value a pattern refuses.
    fn without_pattern(&self, name: &[u8], regexp: &Regexp) -> Result<Arc<RoaringBitmap>, Self::Error>;

    /// The series that have a label with any value but one.
    fn without_value(&self, name: &[u8], value: &[u8]) -> Result<Arc<RoaringBitmap>, Self::Error>;

    /// Where looking at each of some series is cheaper than at the label's values: those of them that satisfy the matcher.
    fn retained(&self, among: &RoaringBitmap, matcher: &Matcher) -> Result<Option<RoaringBitmap>, Self::Error>;
}

/// The series that have the matcher's label with a value that it accepts, or refuses.
fn having<I: LabelIndex>(index: &I, matcher: &Matcher, accepted: bool) -> Result<Arc<RoaringBitmap>, I::Error> {
    let (name, value) = (matcher.name(), matcher.value());
    let positive = matches!(matcher.kind(), MatchKind::Equal | MatchKind::Regexp) == accepted;
    match (matcher.regexp(), positive) {
        (None, true) => index.with_values(name, &[value]),
        (None, false) => index.without_value(name, value),
        (Some(regexp), true) => match regexp.set_matches() {
            Some(values) => index.with_values(name, &values.iter().map(|value| &**value).collect::<Vec<_>>()),
            None if regexp.takes_all() => index.without_value(name, b""),
            None => index.with_pattern(name, regexp),
        },
        // No value is empty, so one that takes all that is not empty refuses none.
        (Some(regexp), false) if regexp.takes_all() => Ok(Arc::default()),
        (Some(regexp), false) => index.without_pattern(name, regexp),
    }
}

/// What a matcher costs, in values to look at.
fn cost<I: LabelIndex>(index: &I, matcher: &Matcher) -> Result<u64, I::Error> {
    let positive = matches!(matcher.kind(), MatchKind::Equal | MatchKind::Regexp) != matcher.matches_empty();
    let few = match matcher.regexp() {
        None => Some(1),
        Some(regexp) => regexp.set_matches().map(|values| values.len() as u64),
    };
    match few.filter(|_| positive) {
        Some(values) => Ok(values),
        None => index.value_count(matcher.name()),
    }
}

/// Series that satisfy matchers: some, and not those of any of a few lists. Lists may be kept by the index, and to take a long one
/// away from another costs more than to look whether a few series are in both.
#[derive(Clone, Debug)]
pub struct Members {
    among: Arc<RoaringBitmap>,
    without: Vec<Arc<RoaringBitmap>>,
}

impl Members {
    /// Whether a series is among them.
    pub fn contains(&self, series: u32) -> bool {
        self.among.contains(series) && self.is_left(series)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.among.iter().filter(|series| self.is_left(*series))
    }

    /// There are no more.
    pub fn at_most(&self) -> u64 {
        self.among.len()
    }

    /// As one list.
    pub fn into_bitmap(self) -> RoaringBitmap {
        let Some((first, rest)) = self.without.split_first() else { return Arc::unwrap_or_clone(self.among) };
        let mut left = &*self.among - &**first;
        rest.iter().for_each(|without| left -= &**without);
        left
    }

    fn is_left(&self, series: u32) -> bool {
        !self.without.iter().any(|without| without.contains(series))
    }
}

/// The series that satisfy all matchers; all series where there is none.
pub fn select<I: LabelIndex>(index: &I, matchers: &[Matcher]) -> Result<RoaringBitmap, I::Error> {
    Ok(members(index, matchers)?.into_bitmap())
}

/// As [`select`], to be asked about.
pub fn members<I: LabelIndex>(index: &I, matchers: &[Matcher]) -> Result<Members, I::Error> {
    let mut ordered = Vec::with_capacity(matchers.len());
    for matcher in matchers {
        // A matcher that accepts the empty value holds also where the label is absent: it takes series away. Any other one
        // chooses among those that have the label, which comes first.
        let removes = matcher.matches_empty();
        ordered.push((removes, cost(index, matcher)?, matcher));
    }
    ordered.sort_by_key(|(removes, cost, _)| (*removes, *cost));
    let (mut found, mut without) = (None, Vec::new());
    for (removes, _, matcher) in ordered {
        let among: Arc<RoaringBitmap> = match (found.take(), removes) {
            (Some(among), _) => among,
            (None, true) => index.all()?,
            (None, false) => {
                found = Some(having(index, matcher, true)?);
                continue;
            }
        };
        if among.is_empty() {
            return Ok(Members { among, without });
        }
        found = Some(match (index.retained(&among, matcher)?, removes) {
            (Some(retained), _) => Arc::new(retained),
            (None, true) => {
                without.push(having(index, matcher, false)?);
                among
            }
            (None, false) => Arc::new(&*among & &*having(index, matcher, true)?),
        });
    }
    let among = found.map_or_else(|| index.all(), Ok)?;
    Ok(Members { among, without })
}

/// At most so many series satisfy all matchers, as far as the lengths of lists tell.
pub fn estimate<I: LabelIndex>(index: &I, matchers: &[Matcher]) -> Result<u64, I::Error> {
    let mut least = index.series_count()?;
    for matcher in matchers.iter().filter(|matcher| !matcher.matches_empty()) {
        let values = match (matcher.kind(), matcher.regexp().and_then(Regexp::set_matches)) {
            (MatchKind::Equal, _) => vec![matcher.value()],
            (MatchKind::Regexp, Some(values)) => values.iter().map(|value| &**value).collect(),
            _ => continue,
        };
        let mut sum = 0;
        for value in values {
            sum += index.count(matcher.name(), value)?;
        }
        least = least.min(sum);
    }
    Ok(least)
}
