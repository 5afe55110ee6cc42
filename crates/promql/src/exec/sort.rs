//! `sort` and its like: they order instant vectors, and do nothing to ranges.

use std::cmp::Ordering;

use thanoxide_model::Labels;

use super::{Batch, Context, SeriesColumn, Stream, collect};
use crate::annotations::{Note, Place};
use crate::engine::QueryError;
use crate::functions::natural;
use crate::limits::Deadline;

/// What is sorted by.
#[derive(Clone, Debug)]
pub(crate) enum SortBy {
    /// The value; histograms are left out.
    Value,
    /// These labels in natural order, then all labels.
    Labels(Vec<Vec<u8>>),
}

/// A sorted vector.
pub(crate) struct Sort {
    pub(crate) inner: Option<Box<dyn Stream>>,
    pub(crate) by: SortBy,
    pub(crate) descending: bool,
    /// Whether the evaluation starts and ends at the same time.
    pub(crate) one_time: bool,
    pub(crate) position: Place,
}

impl Stream for Sort {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(mut inner) = self.inner.take() else { return Ok(None) };
        let mut all = collect(&mut *inner, cx)?;
        if matches!(self.by, SortBy::Value) {
            all.series.iter_mut().for_each(|s| s.column.keep_floats());
            all.series.retain(|s| !s.column.is_empty());
        }
        if !self.one_time {
            cx.note(Note::sort_in_range_query(self.position));
            return Ok(Some(all));
        }
        let descending = self.descending;
        match &self.by {
            SortBy::Value => {
                let is_less = |a: &SeriesColumn, b: &SeriesColumn| by_value(value(a), value(b), descending).is_lt();
                all.series = merge_sort(all.series, &is_less, &cx.deadline)?;
            }
            SortBy::Labels(names) => {
                let is_less = |a: &SeriesColumn, b: &SeriesColumn| match descending {
                    false => by_labels(&a.labels, &b.labels, names) == Ordering::Less,
                    true => by_labels(&a.labels, &b.labels, names) == Ordering::Greater,
                };
                all.series = merge_sort(all.series, &is_less, &cx.deadline)?;
            }
        }
        Ok(Some(all))
    }
}

fn value(series: &SeriesColumn) -> f64 {
    series.column.values.first().copied().unwrap_or(f64::NAN)
}

/// NaN is last either way.
fn by_value(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    }
}

/// Few elements are sorted by insertion, as in Go, more by merging. Natural order contradicts itself now and then: a label
/// that is missing is neither less nor greater than one that is set. The sorting of the standard library panics at that,
/// and nobody can interrupt it.
pub(crate) fn merge_sort<T>(
    mut items: Vec<T>,
    is_less: &impl Fn(&T, &T) -> bool,
    deadline: &Deadline,
) -> Result<Vec<T>, QueryError> {
    const FEW: usize = 12;
    deadline.check()?;
    if items.len() <= FEW {
        for end in 1..items.len() {
            let mut at = end;
            while at > 0 && is_less(&items[at], &items[at - 1]) {
                items.swap(at, at - 1);
                at -= 1;
            }
        }
        return Ok(items);
    }
    let upper = items.split_off(items.len() / 2);
    let mut sorted = Vec::with_capacity(items.len() + upper.len());
    let (lower, upper) = (merge_sort(items, is_less, deadline)?, merge_sort(upper, is_less, deadline)?);
    let (mut lower, mut upper) = (lower.into_iter().peekable(), upper.into_iter().peekable());
    loop {
        let from = match (lower.peek(), upper.peek()) {
            (Some(a), Some(b)) if is_less(b, a) => &mut upper,
            (None, _) => &mut upper,
            _ => &mut lower,
        };
        match from.next() {
            Some(item) => sorted.push(item),
            None => return Ok(sorted),
        }
    }
}

fn by_labels(a: &Labels, b: &Labels, names: &[Vec<u8>]) -> Ordering {
    let differing = names.iter().map(|n| (a.value(n), b.value(n))).find(|(a, b)| a != b);
    match differing {
        Some((a, b)) if natural::is_less(a, b) => Ordering::Less,
        Some(_) => Ordering::Greater,
        None => a.cmp(b),
    }
}
