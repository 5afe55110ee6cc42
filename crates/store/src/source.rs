//! One block answering a request: a task that sends its series batch by batch.

use std::ops::Range;
use std::sync::Arc;

use thanoxide_objstore::{Bucket, BucketError};
use thanoxide_spans::{Span, here, tag};
use thanoxide_storeapi::{AggrChunk, SeriesRequest, StoreSeries};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::bucket_store::BucketStore;
use crate::budget::{Budget, Exceeded};
use crate::chunk_frame::decode;
use crate::index_file::blocking;
use crate::metrics::StoreMetrics;
use crate::selection::{SelectError, Selection};
use crate::snapshot::Chosen;

/// Smaller batches would cost more requests than they save memory.
const MIN_BATCH_BYTES: u64 = 256 << 10;
/// Nothing is won by batches of more requests.
const BATCH_REQUESTS: u64 = 16;

/// What the blocks of one request share.
#[derive(Clone, Debug)]
pub(crate) struct SourceContext {
    pub(crate) request: Arc<SeriesRequest>,
    pub(crate) metrics: StoreMetrics,
    bucket: Arc<dyn Bucket>,
    budget: Arc<Budget>,
    batch_bytes: u64,
}

/// What a block says.
#[derive(Debug)]
pub(crate) enum SourceEvent {
    /// Some series, in order.
    Batch(Vec<StoreSeries>),
    /// A part of the block is missing; the rest comes.
    Warning(String),
    /// Nothing more comes of the block.
    Failed {
        message: String,
        /// An object of it is gone.
        vanished: bool,
    },
    /// The request takes too much.
    Exceeded(Exceeded),
}

/// A block that answers. Dropping it ends its work.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) events: mpsc::Receiver<SourceEvent>,
    _task: AbortOnDropHandle<()>,
}

enum Stop {
    Event(SourceEvent),
    /// Nobody listens any more.
    Deaf,
}

impl From<Exceeded> for Stop {
    fn from(exceeded: Exceeded) -> Self {
        Stop::Event(SourceEvent::Exceeded(exceeded))
    }
}

impl SourceContext {
    /// `blocks` are to answer and share what the request may hold: one batch sent and one under way each.
    pub(crate) fn new(store: &BucketStore, request: Arc<SeriesRequest>, blocks: usize) -> Self {
        let is_projected = request.hints.projection.is_some();
        let request = if is_projected && blocks > 1 { with_all_labels(request) } else { request };
        let most_bytes = store.config.batch_bytes.min(store.bucket.range_cost().max_request_bytes * BATCH_REQUESTS);
        SourceContext {
            request,
            metrics: store.metrics.clone(),
            bucket: Arc::clone(&store.bucket),
            budget: Arc::new(Budget::new(&store.config)),
            batch_bytes: (most_bytes / (2 * blocks.max(1) as u64)).max(MIN_BATCH_BYTES.min(most_bytes)),
        }
    }

    /// Starts a block's answer.
    pub(crate) fn spawn(&self, chosen: Chosen) -> Source {
        let (sender, events) = mpsc::channel(1);
        let context = self.clone();
        let task = tokio::spawn(here().follow(async move {
            let span = span(&chosen);
            if let Err(Stop::Event(event)) = span.around(context.answer(&Arc::new(chosen), &sender)).await {
                if let SourceEvent::Failed { message, .. } = &event {
                    span.fail(message);
                }
                // If nobody listens any more, nobody needs to know.
                let _ = sender.send(event).await;
            }
        }));
        Source { events, _task: AbortOnDropHandle::new(task) }
    }

    async fn answer(&self, chosen: &Arc<Chosen>, sender: &mpsc::Sender<SourceEvent>) -> Result<(), Stop> {
        let selection = self.select(chosen).await?;
        self.metrics.touched("series", selection.series.len());
        self.metrics.touched("chunks", selection.places.len());
        for batch in selection.batches(self.batch_bytes, chosen.block.chunks.average_bytes) {
            let (series, warnings) = self.fetch(chosen, &selection, batch).await?;
            for warning in warnings {
                send(sender, SourceEvent::Warning(warning)).await?;
            }
            send(sender, SourceEvent::Batch(series)).await?;
        }
        Ok(())
    }

    async fn select(&self, chosen: &Arc<Chosen>) -> Result<Selection, Stop> {
        let (chosen, request, budget) = (Arc::clone(chosen), Arc::clone(&self.request), Arc::clone(&self.budget));
        let id = chosen.block.id();
        let failed =
            |message| SourceEvent::Failed { message: format!("block {id}: index: {message}"), vanished: false };
        let result = blocking(move || match Selection::read(&chosen, &request, &budget) {
            Ok(selection) => Ok(Ok(selection)),
            Err(SelectError::Exceeded(exceeded)) => Ok(Err(exceeded)),
            Err(SelectError::Index(e)) => Err(e),
        });
        match result.await {
            Ok(Ok(selection)) => Ok(selection),
            Ok(Err(exceeded)) => Err(exceeded.into()),
            Err(e) => Err(Stop::Event(failed(e))),
        }
    }

    async fn fetch(
        &self,
        chosen: &Chosen,
        selection: &Selection,
        batch: Range<usize>,
    ) -> Result<(Vec<StoreSeries>, Vec<String>), Stop> {
        let selected = &selection.series[batch];
        if self.request.skip_chunks {
            let bare = selected.iter().map(|s| StoreSeries { labels: s.labels.clone(), chunks: Vec::new() });
            return Ok((bare.collect(), Vec::new()));
        }
        let places: Vec<_> = selected.iter().flat_map(|s| &selection.places[s.chunks.clone()]).copied().collect();
        let fetched = chosen.block.chunks.fetch(&*self.bucket, &places).await;
        let (frames, stats) = fetched.map_err(|e| Stop::Event(bucket_failure(chosen, &e)))?;
        self.budget.take_bytes(stats.bytes)?;
        self.metrics.fetched_bytes("chunks", stats.bytes);
        self.metrics.chunk_refetches.inc_by(stats.refetches);
        let (mut series, mut warnings) = (Vec::with_capacity(selected.len()), Vec::new());
        let mut chunks = frames.into_iter().zip(&places);
        for selected in selected {
            let mut whole = Vec::with_capacity(selected.chunks.len());
            for (frame, place) in chunks.by_ref().take(selected.chunks.len()) {
                match frame.and_then(|frame| decode(&frame, *place, &self.request.aggregates)) {
                    Ok(chunk) => whole.push(chunk),
                    Err(e) => warnings.push(format!(
                        "block {}: chunk {:#x} of series {}: {e}",
                        chosen.block.id(),
                        place.reference,
                        selected.labels
                    )),
                }
            }
            series.push(StoreSeries { labels: selected.labels.clone(), chunks: whole });
        }
        self.metrics
            .sent_chunk_bytes
            .observe(series.iter().flat_map(|s| &s.chunks).map(AggrChunk::data_bytes).sum::<usize>() as f64);
        Ok((series, warnings))
    }
}

fn span(chosen: &Chosen) -> Span {
    Span::child("bucket_store_block_series").tagged(|| {
        let meta = &chosen.block.meta;
        [
            tag("block.id", chosen.block.id().to_string()),
            tag("block.mint", meta.min_time_ms()),
            tag("block.maxt", meta.max_time_ms()),
            tag("block.resolution", meta.resolution_ms()),
        ]
    })
}

/// Several blocks are put in order by all labels.
fn with_all_labels(request: Arc<SeriesRequest>) -> Arc<SeriesRequest> {
    let mut request = Arc::unwrap_or_clone(request);
    request.hints.projection = None;
    Arc::new(request)
}

async fn send(sender: &mpsc::Sender<SourceEvent>, event: SourceEvent) -> Result<(), Stop> {
    sender.send(event).await.map_err(|_| Stop::Deaf)
}

fn bucket_failure(chosen: &Chosen, error: &BucketError) -> SourceEvent {
    let message = format!("block {}: fetching chunks: {error}", chosen.block.id());
    SourceEvent::Failed { message, vanished: error.is_not_found() }
}
