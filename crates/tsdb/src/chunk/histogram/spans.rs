//! Fitting one layout of buckets to another.

use thanoxide_model::histogram::Span;

use super::number::Number;

/// How many buckets the spans hold.
pub(super) fn bucket_count(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

/// The index of each bucket.
pub(super) fn bucket_indexes(spans: &[Span]) -> impl Iterator<Item = i64> {
    let mut end = 0i64;
    spans.iter().flat_map(move |span| {
        let start = end + i64::from(span.offset);
        end = start + i64::from(span.length);
        start..end
    })
}

/// The spans of sorted bucket indexes, as few as there can be.
fn spans_of(indexes: &[i64]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut end = 0;
    for index in indexes {
        match spans.last_mut() {
            Some(last) if *index == end => last.length += 1,
            _ => spans.push(Span { offset: (index - end) as i32, length: 1 }),
        }
        end = index + 1;
    }
    spans
}

/// What has to change so that a sample and a chunk have the same buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// The sample has buckets that the chunk does not have.
    pub(super) chunk_grows: bool,
    /// The chunk has buckets that the sample does not have.
    pub(super) sample_grows: bool,
    /// The buckets of both; empty where neither grows.
    union: Vec<i64>,
}

impl Fit {
    /// Nothing.
    pub(super) const SAME: Fit = Fit { chunk_grows: false, sample_grows: false, union: Vec::new() };

    /// The spans of both, as few as there can be.
    pub(super) fn merged_spans(&self, otherwise: &[Span]) -> Vec<Span> {
        if self.chunk_grows || self.sample_grows { spans_of(&self.union) } else { otherwise.to_vec() }
    }
}

/// Fits without looking at counts: gauges may go anywhere.
pub(super) fn fit_gauge(chunk: &[Span], sample: &[Span]) -> Fit {
    if chunk == sample {
        return Fit::SAME;
    }
    merge(bucket_indexes(chunk).map(|i| (i, ())), bucket_indexes(sample).map(|i| (i, ())), |_, _| true)
        .unwrap_or(Fit::SAME)
}

/// A NaN neither falls nor is fallen from.
fn fell<N: Number>(before: N, now: N) -> bool {
    before > now
}

/// Fits a counter: `None` where a bucket went down or is gone, which is a reset.
pub(super) fn fit_counter<N: Number>(chunk: (&[Span], &[N]), sample: (&[Span], &[N])) -> Option<Fit> {
    if chunk.0 == sample.0 {
        let reset = N::absolute(chunk.1).zip(N::absolute(sample.1)).any(|(before, now)| fell(before, now));
        return (!reset).then_some(Fit::SAME);
    }
    merge(
        bucket_indexes(chunk.0).zip(N::absolute(chunk.1)),
        bucket_indexes(sample.0).zip(N::absolute(sample.1)),
        |before, now| match (before, now) {
            (Some(before), Some(now)) => !fell(before, now),
            (Some(before), None) => before.is_zero(),
            _ => true,
        },
    )
}

fn merge<C: Copy>(
    chunk: impl Iterator<Item = (i64, C)>,
    sample: impl Iterator<Item = (i64, C)>,
    fits: impl Fn(Option<C>, Option<C>) -> bool,
) -> Option<Fit> {
    let (mut chunk, mut sample) = (chunk.peekable(), sample.peekable());
    let mut fit = Fit::SAME;
    loop {
        let (left, right) = (chunk.peek().copied(), sample.peek().copied());
        let index = match (left, right) {
            (None, None) => break,
            (Some((l, _)), Some((r, _))) => l.min(r),
            (Some((i, _)), None) | (None, Some((i, _))) => i,
        };
        let before = left.filter(|(i, _)| *i == index).map(|(_, count)| count);
        let now = right.filter(|(i, _)| *i == index).map(|(_, count)| count);
        if !fits(before, now) {
            return None;
        }
        match before {
            Some(_) => drop(chunk.next()),
            None => fit.chunk_grows = true,
        }
        match now {
            Some(_) => drop(sample.next()),
            None => fit.sample_grows = true,
        }
        fit.union.push(index);
    }
    Some(fit)
}

/// The buckets of `from` laid out as `to`, zero where there was none.
pub(super) fn spread<N: Number>(from: &[Span], buckets: &[N], to: &[Span]) -> Vec<N> {
    if from == to {
        return buckets.to_vec();
    }
    let mut old = bucket_indexes(from).zip(N::absolute(buckets)).peekable();
    let counts = bucket_indexes(to).map(|index| {
        while old.next_if(|(i, _)| *i < index).is_some() {}
        old.next_if(|(i, _)| *i == index).map(|(_, count)| count).unwrap_or_default()
    });
    N::stored(counts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    #[test]
    fn an_unused_bucket_may_go_and_new_ones_may_come() {
        let chunk = [span(0, 2), span(1, 1)];
        let sample = [span(-2, 1), span(1, 2)];
        let fit = fit_counter::<i64>((&chunk, &[1, 0, -1]), (&sample, &[5, 0, -2])).unwrap();
        assert!(fit.chunk_grows && fit.sample_grows);
        assert_eq!(fit.merged_spans(&[]), [span(-2, 1), span(1, 2), span(1, 1)]);
        assert_eq!(spread::<i64>(&sample, &[5, 0, -2], &fit.merged_spans(&[])), [5, 0, -2, -3]);
        assert_eq!(fit_counter::<i64>((&chunk, &[1, 0, 0]), (&sample, &[5, 0, -2])), None);
    }
}
