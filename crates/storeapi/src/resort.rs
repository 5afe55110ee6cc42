//! Removal of replica labels for stores that do not do it themselves: read all, remove, sort again.

use futures::{StreamExt, TryStreamExt, stream};

use crate::{SeriesFrame, SeriesStream, StoreError, StoreSeries};

/// Series of one frame of the answer.
const FRAME_SERIES: usize = 64;

/// The same series without some labels, in order. Takes the memory of the whole answer. Warnings come first.
///
/// Removing a label can reorder series, and only the last one tells whether it did.
pub async fn without_labels(frames: SeriesStream, labels: &[String]) -> Result<SeriesStream, StoreError> {
    let (mut series, mut warnings) = (Vec::new(), Vec::new());
    let mut frames = frames;
    while let Some(frame) = frames.try_next().await? {
        match frame {
            SeriesFrame::Series(part) => series.extend(part.into_iter().map(|s| strip(s, labels))),
            SeriesFrame::Warning(warning) => warnings.push(Ok(SeriesFrame::Warning(warning))),
        }
    }
    // Stable: pieces of one series keep their order.
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(stream::iter(warnings).chain(stream::iter(batches(series))).boxed())
}

fn strip(series: StoreSeries, labels: &[String]) -> StoreSeries {
    StoreSeries { labels: series.labels.without(labels), chunks: series.chunks }
}

/// Sorted series as frames.
pub(crate) fn batches(series: Vec<StoreSeries>) -> impl Iterator<Item = Result<SeriesFrame, StoreError>> + Send {
    let mut rest = series.into_iter();
    std::iter::from_fn(move || {
        let batch: Vec<_> = rest.by_ref().take(FRAME_SERIES).collect();
        (!batch.is_empty()).then_some(Ok(SeriesFrame::Series(batch)))
    })
}
