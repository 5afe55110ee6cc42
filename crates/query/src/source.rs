//! How PromQL reads the StoreAPI: series by series from a stream, on a thread that may wait.

use std::sync::Arc;

use futures::StreamExt;
use thanoxide_model::series::{SelectHints, Series, SeriesSet, SeriesSource, SourceError};
use thanoxide_model::{Labels, Matcher};
use thanoxide_series::{DedupSeriesData, Deduplication, join_chunks};
use thanoxide_storeapi::{
    AggrChunk, Aggregate, PartialResponse, SeriesFrame, SeriesRequest, SeriesStream, Store, StoreError, StoreSeries,
};
use thanoxide_tsdb::chunk::Chunk;
use tokio::runtime::Handle;

/// A store seen as a source of series. Its calls block: use it from a thread outside the runtime.
#[derive(Clone, Debug)]
pub struct StoreSource {
    store: Arc<dyn Store>,
    runtime: Handle,
    partial_response: PartialResponse,
    /// Labels removed to make replicas equal; empty is no deduplication.
    replica_labels: Vec<String>,
}

impl StoreSource {
    /// Reads `store` with the streams driven by `runtime`.
    pub fn new(
        store: Arc<dyn Store>,
        runtime: Handle,
        partial_response: PartialResponse,
        replica_labels: Vec<String>,
    ) -> Self {
        StoreSource { store, runtime, partial_response, replica_labels }
    }

    /// Without deduplication two chunks over the same time are copies of one stream, from two places.
    fn deduplication(&self, function: &str) -> Deduplication {
        if self.replica_labels.is_empty() { Deduplication::Chain } else { Deduplication::penalty_for(function) }
    }

    fn request(&self, hints: &SelectHints, matchers: &[Matcher]) -> SeriesRequest {
        SeriesRequest {
            min_time_ms: hints.start_ms,
            max_time_ms: hints.end_ms,
            matchers: matchers.to_vec(),
            aggregates: vec![Aggregate::Raw],
            partial_response: self.partial_response,
            hints: hints.clone(),
            without_replica_labels: self.replica_labels.clone(),
            limit: hints.limit,
            ..SeriesRequest::default()
        }
    }
}

impl SeriesSource for StoreSource {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, SourceError> {
        let stream = self.runtime.block_on(self.store.series(self.request(hints, matchers))).map_err(source_error)?;
        Ok(Box::new(StreamedSet {
            // Asking once more after the end is legal here and not for every stream.
            stream: stream.fuse().boxed(),
            runtime: self.runtime.clone(),
            buffered: Vec::new().into_iter(),
            ahead: None,
            how: self.deduplication(&hints.function),
            start_ms: hints.start_ms,
            warnings: Vec::new(),
        }))
    }
}

fn source_error(error: StoreError) -> SourceError {
    match error {
        StoreError::Limit(text) => SourceError::Limit(text),
        StoreError::Canceled => SourceError::Canceled("series fetch".to_string()),
        StoreError::Deadline(text) => SourceError::Timeout(text),
        other => SourceError::Storage(other.to_string()),
    }
}

struct StreamedSet {
    stream: SeriesStream,
    runtime: Handle,
    buffered: std::vec::IntoIter<StoreSeries>,
    ahead: Option<StoreSeries>,
    how: Deduplication,
    start_ms: i64,
    warnings: Vec<String>,
}

impl StreamedSet {
    /// The next piece of a series, whoever sent it.
    fn next_piece(&mut self) -> Result<Option<StoreSeries>, SourceError> {
        loop {
            if let Some(piece) = self.buffered.next() {
                return Ok(Some(piece));
            }
            match self.runtime.block_on(self.stream.next()) {
                None => return Ok(None),
                Some(Err(error)) => return Err(source_error(error)),
                Some(Ok(SeriesFrame::Warning(text))) => self.warnings.push(text),
                Some(Ok(SeriesFrame::Series(batch))) => self.buffered = batch.into_iter(),
            }
        }
    }

    /// All chunks of the next series: pieces with equal labels follow each other.
    fn next_whole(&mut self) -> Result<Option<(Labels, Vec<Chunk>)>, SourceError> {
        let first = match self.ahead.take() {
            Some(piece) => Some(piece),
            None => self.next_piece()?,
        };
        let Some(first) = first else { return Ok(None) };
        let labels = first.labels;
        let mut chunks = raw_chunks(first.chunks)?;
        while let Some(piece) = self.next_piece()? {
            if piece.labels != labels {
                self.ahead = Some(piece);
                break;
            }
            chunks.extend(raw_chunks(piece.chunks)?);
        }
        join_chunks(&mut chunks);
        Ok(Some((labels, chunks)))
    }
}

fn raw_chunks(chunks: Vec<AggrChunk>) -> Result<Vec<Chunk>, SourceError> {
    let raw = |chunk: AggrChunk| {
        let downsampled = || SourceError::Storage("downsampled chunks cannot be queried yet".to_string());
        chunk.raw.ok_or_else(downsampled)
    };
    chunks.into_iter().map(raw).collect()
}

impl SeriesSet for StreamedSet {
    fn next(&mut self) -> Result<Option<Series>, SourceError> {
        let Some((labels, chunks)) = self.next_whole()? else { return Ok(None) };
        let data = DedupSeriesData::new(chunks, self.how, self.start_ms);
        Ok(Some(Series { labels, data: Box::new(data) }))
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}
