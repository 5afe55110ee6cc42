//! How PromQL reads the StoreAPI: series by series from a stream, on a thread that may wait.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use thanoxide_model::series::{SelectHints, Series, SeriesData, SeriesSet, SeriesSource, SourceError};
use thanoxide_model::{Labels, Matcher};
use thanoxide_promql::Interrupt;
use thanoxide_series::{DedupSeriesData, Deduplication, DownsampledSeriesData, Piece};
use thanoxide_spans::{Place, Span, tag};
use thanoxide_storeapi::{
    AggrChunk, Aggregate, AggregateChunks, PartialResponse, SeriesFrame, SeriesRequest, SeriesStream, ShardInfo, Store,
    StoreError, StoreSeries,
};
use tokio::runtime::Handle;

/// How one query reads.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// What to do about stores that fail.
    pub partial_response: PartialResponse,
    /// Labels removed to make replicas equal; empty is no deduplication.
    pub replica_labels: Vec<String>,
    /// Takes all samples of all replicas instead of one replica at a time.
    pub chain_replicas: bool,
    /// The coarsest downsampled data that will do; 0 is raw data only.
    pub max_resolution_ms: i64,
    /// Only one shard of the series.
    pub shard: Option<ShardInfo>,
    /// Which endpoints may answer; see [`SeriesRequest::endpoint_matchers`].
    pub endpoint_matchers: Vec<Vec<Matcher>>,
}

/// A store seen as a source of series. Its calls block: use it from a thread outside the runtime.
#[derive(Clone, Debug)]
pub struct StoreSource {
    store: Arc<dyn Store>,
    runtime: Handle,
    options: ReadOptions,
    interrupt: Interrupt,
    place: Place,
}

/// How long it waits for a store before it looks whether the query is to end.
const PATIENCE: Duration = Duration::from_millis(50);

/// Functions that are nothing without two samples in their range.
const NEED_TWO_SAMPLES: [&str; 9] = [
    "rate",
    "irate",
    "increase",
    "delta",
    "idelta",
    "deriv",
    "predict_linear",
    "holt_winters",
    "double_exponential_smoothing",
];

/// What a function wants of downsampled data: one aggregate, or sum and count for the mean.
fn aggregates(function: &str) -> &'static [Aggregate] {
    let is = |name: &str| function == name || function.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    match function {
        _ if is("min") => &[Aggregate::Min],
        _ if is("max") => &[Aggregate::Max],
        _ if is("count") => &[Aggregate::Count],
        // `sum` itself adds series, not the samples of one.
        _ if function.starts_with("sum_") => &[Aggregate::Sum],
        "increase" | "rate" | "irate" | "resets" => &[Aggregate::Counter],
        _ => &[Aggregate::Count, Aggregate::Sum],
    }
}

impl StoreSource {
    /// Reads `store` with the streams driven by `runtime`, until `interrupt` ends the query.
    pub fn new(store: Arc<dyn Store>, runtime: Handle, options: ReadOptions, interrupt: Interrupt) -> Self {
        StoreSource { store, runtime, options, interrupt, place: Place::default() }
    }

    /// As a part of what is traced there.
    pub fn at(self, place: Place) -> Self {
        StoreSource { place, ..self }
    }

    /// Without deduplication two chunks over the same time are copies of one stream, from two places.
    fn deduplication(&self, function: &str) -> Deduplication {
        match self.options.replica_labels.is_empty() || self.options.chain_replicas {
            true => Deduplication::Chain,
            false => Deduplication::penalty_for(function),
        }
    }

    /// A range must hold two windows for functions of two samples.
    fn max_resolution_ms(&self, hints: &SelectHints) -> i64 {
        let wanted = self.options.max_resolution_ms;
        let needs_two = hints.range_ms > 0 && NEED_TWO_SAMPLES.contains(&hints.function.as_str());
        if needs_two { wanted.min(hints.range_ms / 2) } else { wanted }
    }

    fn span(&self, hints: &SelectHints, matchers: &[Matcher]) -> Span {
        let _entered = self.place.enter();
        Span::child("querier_select").tagged(|| {
            let matchers: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
            let matchers = format!("{{{}}}", matchers.join(","));
            [tag("minTime", hints.start_ms), tag("maxTime", hints.end_ms), tag("matchers", matchers)]
        })
    }

    fn request(&self, hints: &SelectHints, matchers: &[Matcher]) -> SeriesRequest {
        SeriesRequest {
            min_time_ms: hints.start_ms,
            max_time_ms: hints.end_ms,
            matchers: matchers.to_vec(),
            max_resolution_ms: self.max_resolution_ms(hints),
            aggregates: aggregates(&hints.function).to_vec(),
            partial_response: self.options.partial_response,
            hints: hints.clone(),
            shard: self.options.shard.clone(),
            without_replica_labels: self.options.replica_labels.clone(),
            limit: hints.limit,
            endpoint_matchers: self.options.endpoint_matchers.clone(),
            ..SeriesRequest::default()
        }
    }
}

impl SeriesSource for StoreSource {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, SourceError> {
        let span = self.span(hints, matchers);
        let call = span.around(self.store.series(self.request(hints, matchers)));
        let stream = self.runtime.block_on(patiently(call, &self.interrupt)).unwrap_or(Err(StoreError::Canceled));
        let stream = span.seen(stream).map_err(source_error)?;
        Ok(Box::new(StreamedSet {
            // Asking once more after the end is legal here and not for every stream.
            stream: stream.fuse().boxed(),
            runtime: self.runtime.clone(),
            interrupt: self.interrupt.clone(),
            buffered: Vec::new().into_iter(),
            ahead: None,
            how: self.deduplication(&hints.function),
            aggregates: aggregates(&hints.function),
            range_ms: (hints.start_ms, hints.end_ms),
            warnings: Vec::new(),
            _span: span,
        }))
    }
}

/// Waits for a store; `None` where the query is to end.
async fn patiently<T>(wait: impl Future<Output = T>, interrupt: &Interrupt) -> Option<T> {
    let mut wait = std::pin::pin!(wait);
    loop {
        match tokio::time::timeout(PATIENCE, wait.as_mut()).await {
            Ok(done) => return Some(done),
            Err(_) if interrupt.is_ended() => return None,
            Err(_) => {}
        }
    }
}

fn source_error(error: StoreError) -> SourceError {
    match error {
        StoreError::Limit(text) => SourceError::Limit(text),
        StoreError::Canceled => SourceError::Canceled("series fetch".to_string()),
        StoreError::Deadline(text) => SourceError::Timeout(text),
        other => SourceError::Storage(format!("proxy Series(): {other}")),
    }
}

struct StreamedSet {
    stream: SeriesStream,
    runtime: Handle,
    interrupt: Interrupt,
    buffered: std::vec::IntoIter<StoreSeries>,
    ahead: Option<StoreSeries>,
    how: Deduplication,
    aggregates: &'static [Aggregate],
    range_ms: (i64, i64),
    warnings: Vec<String>,
    /// Ends with the answer.
    _span: Span,
}

impl StreamedSet {
    /// The next piece of a series, whoever sent it.
    fn next_piece(&mut self) -> Result<Option<StoreSeries>, SourceError> {
        loop {
            if let Some(piece) = self.buffered.next() {
                return Ok(Some(piece));
            }
            match self.runtime.block_on(patiently(self.stream.next(), &self.interrupt)) {
                None => return Err(source_error(StoreError::Canceled)),
                Some(None) => return Ok(None),
                Some(Some(Err(error))) => return Err(source_error(error)),
                Some(Some(Ok(SeriesFrame::Warning(text)))) => self.warnings.push(text),
                Some(Some(Ok(SeriesFrame::Series(batch)))) => self.buffered = batch.into_iter(),
            }
        }
    }

    /// All chunks of the next series: pieces with equal labels follow each other.
    fn next_whole(&mut self) -> Result<Option<(Labels, Vec<AggrChunk>)>, SourceError> {
        let first = match self.ahead.take() {
            Some(piece) => Some(piece),
            None => self.next_piece()?,
        };
        let Some(first) = first else { return Ok(None) };
        let labels = first.labels;
        let mut chunks = first.chunks;
        while let Some(piece) = self.next_piece()? {
            if piece.labels != labels {
                self.ahead = Some(piece);
                break;
            }
            chunks.extend(piece.chunks);
        }
        Ok(Some((labels, chunks)))
    }
}

/// One chunk of an answer as what a function reads of it: raw samples where there are any.
fn piece(chunk: AggrChunk, aggregates: &[Aggregate]) -> Result<Piece, SourceError> {
    if let Some(raw) = chunk.raw {
        return Ok(Piece::Samples(raw));
    }
    let chunk = chunk.into_aggregates();
    let part = match aggregates {
        [Aggregate::Min] => chunk.min,
        [Aggregate::Max] => chunk.max,
        [Aggregate::Count] => chunk.count,
        [Aggregate::Sum] => chunk.sum,
        [Aggregate::Counter] => chunk.counter,
        _ => return average(chunk),
    };
    part.map(Piece::Samples).ok_or_else(no_chunk)
}

fn average(chunk: AggregateChunks) -> Result<Piece, SourceError> {
    let (sum, count) = chunk.sum.zip(chunk.count).ok_or_else(no_chunk)?;
    Ok(Piece::Average { sum, count })
}

fn no_chunk() -> SourceError {
    SourceError::Storage("no valid chunk found".to_string())
}

impl StreamedSet {
    fn data(&self, chunks: Vec<AggrChunk>) -> Result<Box<dyn SeriesData>, SourceError> {
        if chunks.iter().all(|c| c.raw.is_some()) {
            let chunks = chunks.into_iter().filter_map(|c| c.raw).collect();
            return Ok(Box::new(DedupSeriesData::new(chunks, self.how, self.range_ms.0)));
        }
        let pieces = chunks.into_iter().map(|c| piece(c, self.aggregates)).collect::<Result<_, _>>()?;
        let is_counter = self.aggregates == [Aggregate::Counter];
        Ok(Box::new(DownsampledSeriesData::new(pieces, is_counter, self.how, self.range_ms)))
    }
}

impl SeriesSet for StreamedSet {
    fn next(&mut self) -> Result<Option<Series>, SourceError> {
        let Some((labels, chunks)) = self.next_whole()? else { return Ok(None) };
        Ok(Some(Series { labels, data: self.data(chunks)? }))
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}
