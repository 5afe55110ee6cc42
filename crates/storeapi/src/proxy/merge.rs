//! Joins sorted answers into one: equal series become one, with the chunks of all, each once.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use futures::{StreamExt, stream};
use thanoxide_model::Labels;

use super::pump::Input;
use crate::{AggrChunk, PartialResponse, SeriesFrame, SeriesStream, StoreError, StoreSeries};

/// A frame of the answer is full at so many series …
const FRAME_SERIES: usize = 64;
/// … or so many bytes of chunks.
const FRAME_CHUNK_BYTES: usize = 1 << 20;

/// Merges inputs; `warnings` are told first.
pub(super) fn merge(
    inputs: Vec<Input>,
    warnings: Vec<String>,
    partial_response: PartialResponse,
    limit: usize,
) -> SeriesStream {
    let merge = Merge {
        queues: inputs.iter().map(|_| VecDeque::new()).collect(),
        inputs,
        heads: BinaryHeap::new(),
        warnings: warnings.into(),
        partial_response,
        left: if limit == 0 { usize::MAX } else { limit },
        state: State::Fresh,
    };
    stream::unfold(merge, |mut merge| async move { merge.next_frame().await.map(|frame| (frame, merge)) }).boxed()
}

#[derive(PartialEq)]
enum State {
    /// No input was looked at.
    Fresh,
    Running,
    /// Nothing more is said.
    Over,
}

struct Merge {
    inputs: Vec<Input>,
    /// Series that came with a frame but are not due yet, for each input.
    queues: Vec<VecDeque<StoreSeries>>,
    /// The first series of each input that has one.
    heads: BinaryHeap<Reverse<Head>>,
    warnings: VecDeque<String>,
    partial_response: PartialResponse,
    left: usize,
    state: State,
}

struct Head {
    series: StoreSeries,
    input: usize,
}

impl Merge {
    async fn next_frame(&mut self) -> Option<Result<SeriesFrame, StoreError>> {
        if self.state == State::Over {
            return None;
        }
        match self.try_next_frame().await {
            Ok(Some(frame)) => Some(Ok(frame)),
            Ok(None) => self.end(None),
            Err(error) => self.end(Some(Err(error))),
        }
    }

    /// Lets go of the inputs, which ends their calls.
    fn end<T>(&mut self, last: Option<T>) -> Option<T> {
        self.state = State::Over;
        self.inputs.clear();
        last
    }

    async fn try_next_frame(&mut self) -> Result<Option<SeriesFrame>, StoreError> {
        if self.state == State::Fresh {
            self.state = State::Running;
            for input in 0..self.inputs.len() {
                self.refill(input).await?;
            }
        }
        if let Some(warning) = self.warnings.pop_front() {
            return Ok(Some(SeriesFrame::Warning(warning)));
        }
        if let ([_], usize::MAX) = (self.inputs.as_slice(), self.left) {
            return self.only_input().await;
        }
        let (mut series, mut chunk_bytes) = (Vec::new(), 0);
        while self.left > 0 && series.len() < FRAME_SERIES && chunk_bytes < FRAME_CHUNK_BYTES {
            let Some(next) = self.next_series().await? else { break };
            chunk_bytes += next.chunks.iter().map(AggrChunk::data_bytes).sum::<usize>();
            series.push(next);
            self.left -= 1;
        }
        if series.is_empty() {
            // The end of an input may have come with a warning.
            return Ok(self.warnings.pop_front().map(SeriesFrame::Warning));
        }
        Ok(Some(SeriesFrame::Series(series)))
    }

    /// The frames of the only input as they come: pieces of a series follow each other there.
    async fn only_input(&mut self) -> Result<Option<SeriesFrame>, StoreError> {
        let mut series: Vec<StoreSeries> = self.heads.drain().map(|Reverse(head)| head.series).collect();
        series.extend(self.queues[0].drain(..));
        if !series.is_empty() {
            return Ok(Some(SeriesFrame::Series(series)));
        }
        self.refill(0).await?;
        let has_more = !self.heads.is_empty() || !self.warnings.is_empty();
        if has_more { Box::pin(self.try_next_frame()).await } else { Ok(None) }
    }

    /// The least series of all inputs, with the chunks of all pieces that have its labels.
    async fn next_series(&mut self) -> Result<Option<StoreSeries>, StoreError> {
        let Some(Reverse(Head { mut series, input })) = self.heads.pop() else { return Ok(None) };
        self.refill(input).await?;
        let mut joined = false;
        while self.heads.peek().is_some_and(|Reverse(h)| h.series.labels == series.labels)
            && let Some(Reverse(other)) = self.heads.pop()
        {
            series.chunks.extend(other.series.chunks);
            joined = true;
            self.refill(other.input).await?;
        }
        if joined {
            join_chunks(&mut series.chunks);
        }
        Ok(Some(series))
    }

    /// Puts the next series of an input among the heads.
    async fn refill(&mut self, input: usize) -> Result<(), StoreError> {
        loop {
            if let Some(series) = self.queues[input].pop_front() {
                self.heads.push(Reverse(Head { series, input }));
                return Ok(());
            }
            match self.inputs[input].frames.recv().await {
                None => return Ok(()),
                Some(Ok(SeriesFrame::Series(series))) => self.queues[input].extend(series),
                Some(Ok(SeriesFrame::Warning(warning))) => self.missing(warning)?,
                Some(Err(error)) => {
                    let title = &self.inputs[input].title;
                    self.missing(format!("fetch series for {title}: {}", error.rpc_text()))?;
                }
            }
        }
    }

    fn missing(&mut self, what: String) -> Result<(), StoreError> {
        match self.partial_response {
            PartialResponse::Warn => self.warnings.push_back(what),
            PartialResponse::Abort => return Err(StoreError::Aborted(what)),
        }
        Ok(())
    }
}

impl Head {
    fn key(&self) -> (&Labels, usize) {
        (&self.series.labels, self.input)
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// Sorts chunks by time and drops those that are there already. Of equal times the greater bytes come first, as in
/// Thanos.
fn join_chunks(chunks: &mut Vec<AggrChunk>) {
    chunks.sort_by(|a, b| {
        let times = |c: &AggrChunk| (c.min_time_ms, c.max_time_ms);
        // Equal chunks have to become neighbours, so ties are broken by content.
        times(a).cmp(&times(b)).then_with(|| content(a).cmp(content(b)))
    });
    chunks.dedup();
}

fn content(chunk: &AggrChunk) -> impl Iterator<Item = Option<(Reverse<&[u8]>, u8)>> {
    let aggregates = chunk.aggregates.as_ref().map_or([&None; 5], |aggregates| aggregates.all());
    std::iter::once(&chunk.raw).chain(aggregates).map(|c| c.as_ref().map(|c| (Reverse(&c.data[..]), c.encoding as u8)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use thanoxide_tsdb::chunk::{Chunk, Encoding};

    use super::*;

    #[test]
    fn identical_chunks_are_kept_once() {
        let chunk = |min: i64, data: &'static [u8]| {
            AggrChunk::from(Chunk {
                min_time_ms: min,
                max_time_ms: 10,
                encoding: Encoding::Xor,
                data: Bytes::from_static(data),
            })
        };
        let mut chunks = vec![chunk(1, b"b"), chunk(1, b"a"), chunk(0, b"z"), chunk(1, b"b"), chunk(1, b"a")];
        join_chunks(&mut chunks);
        assert_eq!(chunks, [chunk(0, b"z"), chunk(1, b"b"), chunk(1, b"a")]);
    }
}
