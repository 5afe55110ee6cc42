//! Reads one endpoint's answer in a task of its own, ahead of the merge.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use thanoxide_spans::here;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::attention::attend;
use super::endpoint::Asked;
use crate::resort::without_labels;
use crate::{SeriesFrame, SeriesRequest, SeriesStream, StoreError, StoreSeries};

/// Frames that are read ahead of the merge.
const QUEUE_FRAMES: usize = 20;

/// The reading end of an endpoint's answer. Dropping it ends the call.
#[derive(Debug)]
pub(super) struct Input {
    /// Whose answer it is, for warnings.
    pub(super) title: String,
    /// What it answers.
    pub(super) frames: mpsc::Receiver<Result<SeriesFrame, StoreError>>,
    _task: AbortOnDropHandle<()>,
}

/// Asks an endpoint. The timeout is for each frame, and for the call to begin.
pub(super) fn start(asked: Asked, request: Arc<SeriesRequest>, timeout: Option<Duration>) -> Input {
    let (sender, frames) = mpsc::channel(QUEUE_FRAMES);
    let title = asked.title();
    let task = tokio::spawn(here().follow(async move {
        let span = asked.span("proxy.series");
        if let Err(error) = span.seen(span.around(pump(asked, &request, timeout, &sender)).await) {
            // Nobody listens any more where this fails.
            let _ = sender.send(Err(error)).await;
        }
    }));
    Input { title, frames, _task: AbortOnDropHandle::new(task) }
}

async fn pump(
    asked: Asked,
    request: &SeriesRequest,
    timeout: Option<Duration>,
    sender: &mpsc::Sender<Result<SeriesFrame, StoreError>>,
) -> Result<(), StoreError> {
    let mut stream = open(&asked, request, timeout).await?;
    while let Some(frame) = stream.next().await {
        let frame = match frame? {
            SeriesFrame::Series(mut series) => {
                series.retain(|s| falls_to_shard(s, &asked, request));
                if series.is_empty() {
                    continue;
                }
                SeriesFrame::Series(series)
            }
            warning => warning,
        };
        if sender.send(Ok(frame)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn open(asked: &Asked, request: &SeriesRequest, timeout: Option<Duration>) -> Result<SeriesStream, StoreError> {
    let mut request = request.clone();
    if !asked.info.supports_sharding && request.shard.is_some() {
        // A limit would count series of other shards.
        request.limit = 0;
    }
    let sorts_itself = asked.info.supports_without_replica_labels || request.without_replica_labels.is_empty();
    let replica_labels = if sorts_itself { Vec::new() } else { std::mem::take(&mut request.without_replica_labels) };
    if !sorts_itself {
        request.limit = 0;
    }
    let frames = attend(asked, timeout, asked.endpoint.store().series(request)).await??;
    let frames = attended(frames, asked.clone(), timeout);
    if sorts_itself { Ok(frames) } else { without_labels(frames, &replica_labels).await }
}

/// The same stream, which fails and ends where the next frame takes too long.
fn attended(frames: SeriesStream, asked: Asked, timeout: Option<Duration>) -> SeriesStream {
    let steps = futures::stream::unfold(Some((frames, asked)), move |state| async move {
        let (mut frames, asked) = state?;
        match attend(&asked, timeout, frames.next()).await {
            Ok(frame) => frame.map(|f| (f, Some((frames, asked)))),
            Err(late) => Some((Err(late), None)),
        }
    });
    steps.boxed()
}

fn falls_to_shard(series: &StoreSeries, asked: &Asked, request: &SeriesRequest) -> bool {
    asked.info.supports_sharding || request.shard.as_ref().is_none_or(|s| s.contains(&series.labels))
}
