//! Sorted lists of series, and which of them satisfy matchers.
//!
//! A list is a `Vec<u32>`, strictly rising. Where the lists come from is behind [`LabelIndex`], so that a head and a block's
//! index answer alike.

use thanoxide_model::Matcher;
use thanoxide_model::matcher::MatchKind;

/// What knows which series have a label.
pub trait LabelIndex {
    /// Why it could not answer.
    type Error;

    /// All series.
    fn all(&self) -> Result<Vec<u32>, Self::Error>;

    /// The series with a label.
    fn with_label(&self, name: &[u8], value: &[u8]) -> Result<Vec<u32>, Self::Error>;

    /// The series whose value of a label `accepts` takes; series without the label are not asked for.
    fn with_value(&self, name: &[u8], accepts: &dyn Fn(&[u8]) -> bool) -> Result<Vec<u32>, Self::Error>;

    /// As [`LabelIndex::with_value`], where only values that begin with `prefix` need be looked at.
    fn with_prefix(
        &self,
        name: &[u8],
        prefix: &[u8],
        accepts: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<u32>, Self::Error> {
        self.with_value(name, &|value| value.starts_with(prefix) && accepts(value))
    }
}

/// The series whose value the pattern of a `=~` or `!~` takes, or the one of `=` or `!=`.
fn with_pattern<I: LabelIndex>(index: &I, matcher: &Matcher) -> Result<Vec<u32>, I::Error> {
    let Some(regexp) = matcher.regexp() else { return index.with_label(matcher.name(), matcher.value()) };
    match regexp.set_matches() {
        Some(values) => {
            let lists = values.iter().map(|value| index.with_label(matcher.name(), value));
            Ok(union(lists.collect::<Result<Vec<_>, _>>()?))
        }
        None => index.with_prefix(matcher.name(), regexp.prefix(), &|value| regexp.is_match(value)),
    }
}

/// The series that satisfy all matchers.
pub fn select<I: LabelIndex>(index: &I, matchers: &[Matcher]) -> Result<Vec<u32>, I::Error> {
    let (subtracting, adding): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(|m| m.matches_empty());
    let mut found: Option<Vec<u32>> = None;
    // Equality first: it is cheap to look up, and may end the search.
    let equal_first = |m: &&&Matcher| m.kind() == MatchKind::Equal;
    let ordered = adding.iter().filter(equal_first).chain(adding.iter().filter(|m| !equal_first(m)));
    for matcher in ordered {
        let with = match matcher.kind() {
            MatchKind::Equal | MatchKind::Regexp => with_pattern(index, matcher)?,
            _ => index.with_value(matcher.name(), &|value| matcher.matches(value))?,
        };
        let both = match found {
            None => with,
            Some(found) => intersect(&found, &with),
        };
        if both.is_empty() {
            return Ok(both);
        }
        found = Some(both);
    }
    let mut found = match found {
        Some(found) => found,
        None => index.all()?,
    };
    // These also hold where the label is absent: take away what has it with a value that does not match.
    for matcher in subtracting {
        if found.is_empty() {
            break;
        }
        let without = match matcher.kind() {
            MatchKind::NotEqual | MatchKind::NotRegexp => with_pattern(index, matcher)?,
            _ => index.with_value(matcher.name(), &|value| !matcher.matches(value))?,
        };
        found = subtract(&found, &without);
    }
    Ok(found)
}

/// What is in both.
pub fn intersect(left: &[u32], right: &[u32]) -> Vec<u32> {
    let (few, many) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    let mut out = Vec::with_capacity(few.len());
    let mut rest = many;
    for series in few {
        rest = skip_below(rest, *series);
        if rest.first() == Some(series) {
            out.push(*series);
        }
    }
    out
}

/// What is in `left` only.
pub fn subtract(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut rest = right;
    let mut keep = |series: &u32| {
        rest = skip_below(rest, *series);
        rest.first() != Some(series)
    };
    left.iter().copied().filter(|series| keep(series)).collect()
}

/// What is in any of the lists.
pub fn union(lists: Vec<Vec<u32>>) -> Vec<u32> {
    let mut lists = lists;
    match lists.len() {
        0 => return Vec::new(),
        1 => return lists.swap_remove(0),
        _ => {}
    }
    let total: usize = lists.iter().map(Vec::len).sum();
    let mut all = Vec::with_capacity(total);
    lists.iter().for_each(|list| all.extend_from_slice(list));
    all.sort_unstable();
    all.dedup();
    all
}

/// Steps over numbers below `target`, in growing strides: lists of very different lengths are common.
fn skip_below(list: &[u32], target: u32) -> &[u32] {
    let mut stride = 1;
    while stride < list.len() && list[stride] < target {
        stride *= 2;
    }
    let head = &list[..list.len().min(stride + 1)];
    &list[head.partition_point(|series| *series < target)..]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_are_sets(left in proptest::collection::btree_set(0u32..200, 0..60), right in proptest::collection::btree_set(0u32..200, 0..60)) {
            let (l, r): (Vec<u32>, Vec<u32>) = (left.iter().copied().collect(), right.iter().copied().collect());
            prop_assert_eq!(intersect(&l, &r), left.intersection(&right).copied().collect::<Vec<_>>());
            prop_assert_eq!(subtract(&l, &r), left.difference(&right).copied().collect::<Vec<_>>());
            prop_assert_eq!(union(vec![l, r]), left.union(&right).copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
        }
    }
}
