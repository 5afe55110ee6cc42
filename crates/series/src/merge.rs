//! Many sorted streams of series as one.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use thanoxide_model::Labels;
use thanoxide_tsdb::chunk::Chunk;

/// A series as stores give it: its name, and chunks sorted by time that may overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkSeries {
    /// What names it.
    pub labels: Labels,
    /// Its samples.
    pub chunks: Vec<Chunk>,
}

/// Merges streams that are sorted by labels. Series of equal labels, of one stream or of several, become one.
///
/// A stream's error is handed on and ends that stream alone; the caller decides whether the rest is still an answer.
#[derive(Debug)]
pub struct Merge<S, E> {
    streams: Vec<S>,
    heads: BinaryHeap<Reverse<Head>>,
    errors: Vec<E>,
    started: bool,
}

/// The next series of a stream.
#[derive(Debug)]
struct Head {
    series: ChunkSeries,
    stream: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.series.labels.cmp(&other.series.labels).then(self.stream.cmp(&other.stream))
    }
}

impl<E, S: Iterator<Item = Result<ChunkSeries, E>>> Merge<S, E> {
    /// Nothing is read before the first series is asked for.
    pub fn new(streams: impl IntoIterator<Item = S>) -> Self {
        let streams: Vec<S> = streams.into_iter().collect();
        Merge { heads: BinaryHeap::with_capacity(streams.len()), streams, errors: Vec::new(), started: false }
    }

    fn start(&mut self) {
        self.started = true;
        for stream in 0..self.streams.len() {
            match self.streams[stream].next() {
                Some(Ok(series)) => self.heads.push(Reverse(Head { series, stream })),
                Some(Err(error)) => self.errors.push(error),
                None => {}
            }
        }
    }

    /// Takes the smallest head, putting the next one of its stream in its place.
    fn pop(&mut self, wanted: impl Fn(&Labels) -> bool) -> Option<ChunkSeries> {
        let mut head = self.heads.peek_mut().filter(|head| wanted(&head.0.series.labels))?;
        match self.streams[head.0.stream].next() {
            Some(Ok(next)) => return Some(std::mem::replace(&mut head.0.series, next)),
            Some(Err(error)) => self.errors.push(error),
            None => {}
        }
        Some(PeekMut::pop(head).0.series)
    }
}

impl<E, S: Iterator<Item = Result<ChunkSeries, E>>> Iterator for Merge<S, E> {
    type Item = Result<ChunkSeries, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.started {
            self.start();
        }
        if let Some(error) = self.errors.pop() {
            return Some(Err(error));
        }
        let mut series = self.pop(|_| true)?;
        let mut joined = false;
        while let Some(more) = self.pop(|labels| *labels == series.labels) {
            series.chunks.extend(more.chunks);
            joined = true;
        }
        if joined {
            join_chunks(&mut series.chunks);
        }
        Some(Ok(series))
    }
}

/// Sorts chunks by time and drops those that are there twice (same range, encoding and bytes).
///
/// Of chunks over the same time the one with the greater bytes is first, as Thanos has it: which of several replicas is
/// read first depends on it.
pub fn join_chunks(chunks: &mut Vec<Chunk>) {
    // One after the other without overlap: the usual case.
    if chunks.is_sorted_by(|a, b| a.min_time_ms <= a.max_time_ms && a.max_time_ms < b.min_time_ms) {
        return;
    }
    let key = |chunk: &Chunk| (chunk.min_time_ms, chunk.max_time_ms);
    chunks.sort_by(|a, b| {
        key(a).cmp(&key(b)).then_with(|| b.data.cmp(&a.data)).then_with(|| a.encoding.cmp(&b.encoding))
    });
    chunks.dedup();
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use thanoxide_tsdb::chunk::Encoding;

    use super::*;

    fn chunk(min_time_ms: i64, data: &'static str) -> Chunk {
        let data = Bytes::from_static(data.as_bytes());
        Chunk { min_time_ms, max_time_ms: min_time_ms + 9, encoding: Encoding::Xor, data }
    }

    fn series(name: &str, chunks: Vec<Chunk>) -> ChunkSeries {
        ChunkSeries { labels: Labels::from_pairs([("a", name)]), chunks }
    }

    #[test]
    fn equal_series_are_joined() {
        let left = vec![Ok(series("1", vec![chunk(0, "x"), chunk(20, "y")])), Ok(series("3", vec![chunk(0, "z")]))];
        let right = vec![Ok(series("1", vec![chunk(0, "x"), chunk(10, "w")])), Ok(series("2", vec![]))];
        let merged: Vec<Result<ChunkSeries, ()>> = Merge::new([left.into_iter(), right.into_iter()]).collect();
        let joined = vec![chunk(0, "x"), chunk(10, "w"), chunk(20, "y")];
        assert_eq!(merged, [Ok(series("1", joined)), Ok(series("2", vec![])), Ok(series("3", vec![chunk(0, "z")]))]);
    }

    #[test]
    fn an_error_ends_its_stream_alone() {
        let broken = vec![Ok(series("1", vec![])), Err("gone"), Ok(series("4", vec![]))];
        let good = vec![Ok(series("2", vec![])), Ok(series("3", vec![]))];
        let merged: Vec<_> = Merge::new([broken.into_iter(), good.into_iter()]).collect();
        let (errors, rest): (Vec<_>, Vec<_>) = merged.into_iter().partition(Result::is_err);
        assert_eq!(errors, [Err("gone")]);
        assert_eq!(rest, [Ok(series("1", vec![])), Ok(series("2", vec![])), Ok(series("3", vec![]))]);
    }

    proptest! {
        #[test]
        fn the_merge_is_sorted_and_whole(streams in prop::collection::vec(prop::collection::btree_set("[a-f]{1,2}", 0..9), 0..6)) {
            let all: std::collections::BTreeSet<_> = streams.iter().flatten().cloned().collect();
            let streams = streams.iter().map(|s| s.iter().map(|name| Ok::<_, ()>(series(name, vec![]))));
            let merged: Vec<_> = Merge::new(streams).map(|s| s.unwrap().labels).collect();
            prop_assert_eq!(merged, all.iter().map(|n| series(n, vec![]).labels).collect::<Vec<_>>());
        }
    }
}
