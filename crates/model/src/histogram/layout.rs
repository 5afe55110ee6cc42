//! Spans to bucket indexes and back.
//!
//! Operations that change the layout work on [`Cells`], the buckets of one side with their indexes written out, and
//! build the spans anew at the end. Indexes are 64-bit, so that no sum of hostile offsets overflows.

use super::Span;

/// The indexes that spans stand for, in order.
#[derive(Clone, Debug)]
pub(super) struct Indexes<'a> {
    spans: std::slice::Iter<'a, Span>,
    next: i64,
    left: u32,
}

impl<'a> Indexes<'a> {
    pub(super) fn new(spans: &'a [Span]) -> Self {
        Indexes { spans: spans.iter(), next: 0, left: 0 }
    }
}

impl Iterator for Indexes<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        while self.left == 0 {
            let span = self.spans.next()?;
            self.next += i64::from(span.offset);
            self.left = span.length;
        }
        self.left -= 1;
        self.next += 1;
        Some(self.next - 1)
    }
}

/// A count that may be nothing.
pub(super) trait Count: Copy + Default {
    /// Whether the bucket may be dropped.
    fn is_empty(&self) -> bool;
}

impl Count for f64 {
    fn is_empty(&self) -> bool {
        *self == 0.0
    }
}

impl Count for i64 {
    fn is_empty(&self) -> bool {
        *self == 0
    }
}

/// A sum and what rounding took from it.
impl Count for (f64, f64) {
    fn is_empty(&self) -> bool {
        self.0 == 0.0 && self.1 == 0.0
    }
}

/// The buckets of one side, sorted by index.
#[derive(Clone, Debug)]
pub(super) struct Cells<T>(pub(super) Vec<(i64, T)>);

impl<T: Count> Cells<T> {
    /// Buckets beyond the spans (which no valid histogram has) are dropped.
    pub(super) fn read(spans: &[Span], counts: &[T]) -> Self {
        Cells(counts.iter().zip(Indexes::new(spans)).map(|(count, index)| (index, *count)).collect())
    }

    /// Merges buckets of schema `from` into those of the coarser `to`.
    pub(super) fn reduce(self, from: i32, to: i32, mut add: impl FnMut(&mut T, &T)) -> Self {
        let mut cells: Vec<(i64, T)> = Vec::with_capacity(self.0.len());
        for (index, count) in self.0 {
            let index = coarser_index(index, from, to);
            match cells.last_mut() {
                Some((last, sum)) if *last == index => add(sum, &count),
                _ => cells.push((index, count)),
            }
        }
        Cells(cells)
    }

    /// Adds the buckets of `other`, which has the same schema.
    pub(super) fn merge(self, other: Self, mut add: impl FnMut(&mut T, &T)) -> Self {
        let mut cells = Vec::with_capacity(self.0.len().max(other.0.len()));
        let (mut left, mut right) = (self.0.into_iter().peekable(), other.0.into_iter().peekable());
        while let (Some(l), Some(r)) = (left.peek_mut(), right.peek()) {
            let (index, other_index) = (l.0, r.0);
            if index == other_index {
                add(&mut l.1, &r.1);
                right.next();
            }
            cells.extend(if index <= other_index { left.next() } else { right.next() });
        }
        cells.extend(left);
        cells.extend(right);
        Cells(cells)
    }

    /// Drops empty buckets, then fills gaps of up to `max_empty` again.
    pub(super) fn compact(self, max_empty: usize) -> Self {
        let mut cells: Vec<(i64, T)> = Vec::with_capacity(self.0.len());
        for (index, count) in self.0.into_iter().filter(|(_, count)| !count.is_empty()) {
            if let Some((last, _)) = cells.last() {
                let gap = last + 1..index;
                if (index - last - 1) as u64 <= max_empty as u64 {
                    cells.extend(gap.map(|i| (i, T::default())));
                }
            }
            cells.push((index, count));
        }
        Cells(cells)
    }

    /// Spans and counts.
    pub(super) fn into_layout(self) -> (Vec<Span>, Vec<T>) {
        let mut spans: Vec<Span> = Vec::new();
        let mut end = 0;
        for (index, _) in &self.0 {
            push_index(&mut spans, *index, &mut end);
        }
        (spans, self.0.into_iter().map(|(_, count)| count).collect())
    }
}

/// The bucket of schema `to` in which bucket `index` of the finer schema `from` lies.
pub(super) fn coarser_index(index: i64, from: i32, to: i32) -> i64 {
    let shift = from.saturating_sub(to).clamp(0, 62);
    ((index - 1) >> shift) + 1
}

/// What `compact(0)` of [`Cells`] does, in place.
pub(super) fn drop_empty<T: Count>(spans: &mut Vec<Span>, counts: &mut Vec<T>) {
    let mut kept_spans: Vec<Span> = Vec::with_capacity(spans.len() + 2);
    let (mut kept, mut end) = (0, 0);
    for (at, index) in (0..counts.len()).zip(Indexes::new(spans)) {
        if counts[at].is_empty() {
            continue;
        }
        counts[kept] = counts[at];
        kept += 1;
        push_index(&mut kept_spans, index, &mut end);
    }
    counts.truncate(kept);
    *spans = kept_spans;
}

/// Adds a bucket to spans that end before `end`. Indexes that no span can express end at the edge of what one can.
fn push_index(spans: &mut Vec<Span>, index: i64, end: &mut i64) {
    match spans.last_mut() {
        Some(span) if index == *end => span.length += 1,
        _ => {
            let offset = (index - *end).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
            spans.push(Span { offset, length: 1 });
        }
    }
    *end = index + 1;
}

/// Whether [`Cells::compact`] would change nothing; never wrongly yes.
pub(super) fn is_compact<T: Count>(spans: &[Span], counts: &[T], max_empty: usize) -> bool {
    let apart = |span: &Span| i64::from(span.offset) > max_empty as i64 && span.length > 0;
    !counts.iter().any(Count::is_empty)
        && spans.first().is_none_or(|span| span.length > 0)
        && spans.iter().skip(1).all(apart)
        && spans.iter().map(|span| u64::from(span.length)).sum::<u64>() == counts.len() as u64
}

/// Whether spans stand for the same buckets in the same runs; empty spans do not count.
pub(super) fn spans_match(left: &[Span], right: &[Span]) -> bool {
    left == right || filled_spans(left).eq(filled_spans(right))
}

/// Offset and length of the spans that are not empty.
fn filled_spans(spans: &[Span]) -> impl Iterator<Item = (i64, u32)> {
    let mut skipped = 0;
    spans.iter().filter_map(move |span| {
        skipped += i64::from(span.offset);
        (span.length > 0).then(|| (std::mem::take(&mut skipped), span.length))
    })
}

/// Absolute counts of deltas. Overflow wraps: only invalid histograms have it.
pub(super) fn absolute(deltas: &[i64]) -> Vec<i64> {
    let mut count = 0i64;
    deltas
        .iter()
        .map(|delta| {
            count = count.wrapping_add(*delta);
            count
        })
        .collect()
}

/// Deltas of absolute counts.
pub(super) fn deltas(counts: &[i64]) -> Vec<i64> {
    let mut last = 0i64;
    counts.iter().map(|count| count.wrapping_sub(std::mem::replace(&mut last, *count))).collect()
}
