//! The answers of several blocks as one, sorted by labels.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use futures::StreamExt;
use thanoxide_model::Labels;
use thanoxide_storeapi::{AggrChunk, PartialResponse, SeriesFrame, SeriesStream, StoreError, StoreSeries};

use crate::bucket_store::Admission;
use crate::snapshot::Chosen;
use crate::source::{Source, SourceContext, SourceEvent};

/// A frame ends once it has so many chunk bytes.
const FRAME_BYTES: usize = 1 << 20;
/// A frame has no more series. Each one is handed from task to task, so short ones cost more than their chunks.
const FRAME_SERIES: usize = 1024;

/// A k-way merge over the blocks of one request.
#[derive(Debug)]
pub(crate) struct Merge {
    context: SourceContext,
    sources: Vec<MergedSource>,
    /// The next series of each source that has one.
    heads: BinaryHeap<Reverse<(Labels, usize)>>,
    warnings: VecDeque<String>,
    /// Whether a block that vanished is no failure yet, because the caller can look again.
    may_look_again: bool,
    lost_a_block: bool,
    result_series: usize,
    /// What of a long series did not fit into its frame.
    rest: VecDeque<StoreSeries>,
}

#[derive(Debug)]
struct MergedSource {
    source: Source,
    /// The rest of the current batch.
    batch: VecDeque<StoreSeries>,
}

impl Merge {
    /// Starts all blocks and waits for the first batch of each.
    pub(crate) async fn open(
        context: SourceContext,
        chosen: Vec<Chosen>,
        warnings: Vec<String>,
        may_look_again: bool,
    ) -> Result<Self, StoreError> {
        let start = |chosen| MergedSource { source: context.spawn(chosen), batch: VecDeque::new() };
        let sources: Vec<_> = chosen.into_iter().map(start).collect();
        let mut merge = Merge {
            context,
            sources,
            heads: BinaryHeap::new(),
            warnings: VecDeque::new(),
            may_look_again,
            lost_a_block: false,
            result_series: 0,
            rest: VecDeque::new(),
        };
        for warning in warnings {
            merge.warn(warning)?;
        }
        for index in 0..merge.sources.len() {
            merge.refill(index).await?;
        }
        merge.may_look_again = false;
        Ok(merge)
    }

    /// Whether a block was not there any more when it was asked first: this answer must be thrown away.
    pub(crate) fn lost_a_block(&self) -> bool {
        self.lost_a_block
    }

    fn warn(&mut self, warning: String) -> Result<(), StoreError> {
        if self.context.request.partial_response == PartialResponse::Abort {
            return Err(StoreError::Aborted(warning));
        }
        self.warnings.push_back(warning);
        Ok(())
    }

    /// Puts the next series of a source into the heap, if there is one.
    async fn refill(&mut self, index: usize) -> Result<(), StoreError> {
        self.fill(index).await?;
        let next = self.sources[index].batch.front().map(|series| series.labels.clone());
        self.heads.extend(next.map(|labels| Reverse((labels, index))));
        Ok(())
    }

    /// Waits for a batch of a source where none is left, if there is one.
    async fn fill(&mut self, index: usize) -> Result<(), StoreError> {
        while self.sources[index].batch.is_empty() {
            match self.sources[index].source.events.recv().await {
                None => return Ok(()),
                Some(SourceEvent::Batch(batch)) => self.sources[index].batch = batch.into(),
                Some(SourceEvent::Warning(warning)) => self.warn(warning)?,
                Some(SourceEvent::Failed { message, vanished }) => {
                    if vanished && self.may_look_again {
                        self.lost_a_block = true;
                    } else {
                        self.warn(message)?;
                    }
                }
                Some(SourceEvent::Exceeded(exceeded)) => {
                    self.context.metrics.dropped(exceeded.reason);
                    return Err(exceeded.into());
                }
            }
        }
        Ok(())
    }

    /// The next series of the only block: there is nothing to compare it with but the one that follows it.
    async fn next_of_only(&mut self) -> Result<Option<StoreSeries>, StoreError> {
        self.fill(0).await?;
        let Some(mut series) = self.sources[0].batch.pop_front() else { return Ok(None) };
        self.fill(0).await?;
        let mut pieces = 1;
        while let Some(next) = self.sources[0].batch.pop_front_if(|next| next.labels == series.labels) {
            series.chunks.extend(next.chunks);
            self.fill(0).await?;
            pieces += 1;
        }
        in_order(&mut series.chunks, pieces);
        Ok(Some(series))
    }

    /// The next series, with the chunks of all blocks that have it.
    async fn next_series(&mut self) -> Result<Option<StoreSeries>, StoreError> {
        if self.sources.len() == 1 {
            return self.next_of_only().await;
        }
        let Some(Reverse((labels, first))) = self.heads.pop() else { return Ok(None) };
        let mut chunks = self.take_chunks(first).await?;
        let mut pieces = 1;
        while self.heads.peek().is_some_and(|Reverse((next, _))| *next == labels) {
            let Some(Reverse((_, index))) = self.heads.pop() else { break };
            chunks.extend(self.take_chunks(index).await?);
            pieces += 1;
        }
        in_order(&mut chunks, pieces);
        Ok(Some(StoreSeries { labels, chunks }))
    }

    async fn take_chunks(&mut self, index: usize) -> Result<Vec<AggrChunk>, StoreError> {
        let series = self.sources[index].batch.pop_front();
        self.refill(index).await?;
        Ok(series.map(|series| series.chunks).unwrap_or_default())
    }

    /// The next series that the answer still takes, long ones piece by piece.
    async fn next_piece(&mut self) -> Result<Option<StoreSeries>, StoreError> {
        if let Some(piece) = self.rest.pop_front() {
            return Ok(Some(piece));
        }
        let limit = self.context.request.limit;
        if limit > 0 && self.result_series >= limit {
            return Ok(None);
        }
        let Some(series) = self.next_series().await? else { return Ok(None) };
        self.result_series += 1;
        if series.chunks.iter().map(AggrChunk::data_bytes).sum::<usize>() < FRAME_BYTES {
            return Ok(Some(series));
        }
        self.rest = pieces(series);
        Ok(self.rest.pop_front())
    }

    async fn next_frame(&mut self) -> Result<Option<SeriesFrame>, StoreError> {
        let (mut frame, mut frame_bytes) = (Vec::new(), 0);
        while self.warnings.is_empty() && frame.len() < FRAME_SERIES && frame_bytes < FRAME_BYTES {
            let Some(series) = self.next_piece().await? else { break };
            frame_bytes += series.chunks.iter().map(AggrChunk::data_bytes).sum::<usize>();
            frame.push(series);
        }
        if !frame.is_empty() {
            return Ok(Some(SeriesFrame::Series(frame)));
        }
        Ok(self.warnings.pop_front().map(SeriesFrame::Warning))
    }

    /// The answer; an error ends it.
    pub(crate) fn into_stream(self, admission: Admission) -> SeriesStream {
        let stream = futures::stream::unfold(Some((self, admission)), |state| async move {
            let (mut merge, admission) = state?;
            match merge.next_frame().await {
                Ok(Some(frame)) => Some((Ok(frame), Some((merge, admission)))),
                Ok(None) => {
                    merge.context.metrics.result_series.observe(merge.result_series as f64);
                    None
                }
                Err(e) => Some((Err(e), None)),
            }
        });
        stream.boxed()
    }
}

/// Chunks that came in several pieces, by time, each once.
fn in_order(chunks: &mut Vec<AggrChunk>, pieces: usize) {
    if pieces > 1 {
        chunks.sort_by_key(|chunk| (chunk.min_time_ms, chunk.max_time_ms));
        chunks.dedup();
    }
}

/// A series in pieces of about a frame's size; one at least.
fn pieces(series: StoreSeries) -> VecDeque<StoreSeries> {
    let StoreSeries { labels, chunks } = series;
    let mut pieces = VecDeque::from([StoreSeries { labels: labels.clone(), chunks: Vec::new() }]);
    let mut piece_bytes = 0;
    for chunk in chunks {
        if piece_bytes >= FRAME_BYTES {
            pieces.push_back(StoreSeries { labels: labels.clone(), chunks: Vec::new() });
            piece_bytes = 0;
        }
        piece_bytes += chunk.data_bytes();
        if let Some(piece) = pieces.back_mut() {
            piece.chunks.push(chunk);
        }
    }
    pieces
}
