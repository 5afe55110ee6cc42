//! Series and their chunks.

use thanoxide_proto::thanos;
use thanoxide_proto::thanos::chunk::Encoding as WireEncoding;
use thanoxide_proto::thanos::series_response::Result as WireResult;
use thanoxide_tsdb::chunk::{Chunk, Encoding};
use xxhash_rust::xxh64::xxh64;

use super::{labels, recode};
use crate::{AggrChunk, AggregateChunks, SeriesFrame, StoreError, StoreSeries};

/// Above so many bytes of chunks a frame is full, however few series it has.
const MAX_FRAME_CHUNK_BYTES: usize = 1 << 20;

/// Some frames for the wire, with at most `batch_size` series each; 0 and 1 are frames of one series.
pub(crate) fn frame_to_proto(frame: SeriesFrame, batch_size: usize) -> Result<Vec<thanos::SeriesResponse>, StoreError> {
    let response = |result| thanos::SeriesResponse { result: Some(result) };
    let series = match frame {
        SeriesFrame::Warning(warning) => return Ok(vec![response(WireResult::Warning(warning))]),
        SeriesFrame::Series(series) => series,
    };
    let single = |s: &StoreSeries| Ok(response(WireResult::Series(to_proto(s)?)));
    if batch_size <= 1 {
        return series.iter().map(single).collect();
    }
    let (mut frames, mut batch, mut chunk_bytes) = (Vec::new(), Vec::new(), 0);
    for one in &series {
        chunk_bytes += one.chunks.iter().map(AggrChunk::data_bytes).sum::<usize>();
        batch.push(to_proto(one)?);
        if batch.len() == batch_size || chunk_bytes >= MAX_FRAME_CHUNK_BYTES {
            let series = std::mem::take(&mut batch);
            frames.push(response(WireResult::Batch(thanos::SeriesBatch { series })));
            chunk_bytes = 0;
        }
    }
    if !batch.is_empty() {
        frames.push(response(WireResult::Batch(thanos::SeriesBatch { series: batch })));
    }
    Ok(frames)
}

/// `None` is a frame without content for us, such as hints.
pub(crate) fn frame_from_proto(response: thanos::SeriesResponse) -> Result<Option<SeriesFrame>, StoreError> {
    Ok(match response.result {
        Some(WireResult::Series(series)) => Some(SeriesFrame::Series(vec![from_proto(series)?])),
        Some(WireResult::Batch(batch)) => {
            Some(SeriesFrame::Series(batch.series.into_iter().map(from_proto).collect::<Result<_, _>>()?))
        }
        Some(WireResult::Warning(warning)) => Some(SeriesFrame::Warning(warning)),
        Some(WireResult::Hints(_)) | None => None,
    })
}

fn to_proto(series: &StoreSeries) -> Result<thanos::Series, StoreError> {
    let mut chunks = Vec::with_capacity(series.chunks.len());
    for chunk in &series.chunks {
        match &chunk.raw {
            Some(raw) if raw.encoding.has_start_times() => {
                for recoded in recode::without_start_times(raw)? {
                    chunks.push(chunk_to_proto(&recoded.into())?);
                }
            }
            _ => chunks.push(chunk_to_proto(chunk)?),
        }
    }
    Ok(thanos::Series { labels: labels::to_proto(&series.labels), chunks })
}

fn from_proto(series: thanos::Series) -> Result<StoreSeries, StoreError> {
    let chunks = series.chunks.into_iter().map(chunk_from_proto).collect::<Result<_, _>>()?;
    Ok(StoreSeries { labels: labels::from_proto(&series.labels)?, chunks })
}

fn chunk_to_proto(chunk: &AggrChunk) -> Result<thanos::AggrChunk, StoreError> {
    let part = |c: &Option<Chunk>| c.as_ref().map(data_to_proto).transpose();
    let raw = part(&chunk.raw)?;
    let (min_time, max_time) = (chunk.min_time_ms, chunk.max_time_ms);
    let Some(aggregates) = &chunk.aggregates else {
        return Ok(thanos::AggrChunk { min_time, max_time, raw, ..Default::default() });
    };
    Ok(thanos::AggrChunk {
        min_time,
        max_time,
        raw,
        count: part(&aggregates.count)?,
        sum: part(&aggregates.sum)?,
        min: part(&aggregates.min)?,
        max: part(&aggregates.max)?,
        counter: part(&aggregates.counter)?,
    })
}

/// Aggregates never have start times, and raw chunks were recoded.
fn data_to_proto(chunk: &Chunk) -> Result<thanos::Chunk, StoreError> {
    let encoding = match chunk.encoding {
        Encoding::Xor => WireEncoding::Xor,
        Encoding::Histogram => WireEncoding::Histogram,
        Encoding::FloatHistogram => WireEncoding::FloatHistogram,
        other => {
            let text = format!("chunk encoding {other:?} is not of the StoreAPI");
            return Err(StoreError::Internal(text));
        }
    };
    Ok(thanos::Chunk { r#type: encoding.into(), data: chunk.data.clone(), hash: xxh64(&chunk.data, 0) })
}

fn chunk_from_proto(chunk: thanos::AggrChunk) -> Result<AggrChunk, StoreError> {
    let (min_time_ms, max_time_ms) = (chunk.min_time, chunk.max_time);
    let part = |c: Option<thanos::Chunk>| {
        c.map(|c| Ok(Chunk { min_time_ms, max_time_ms, encoding: encoding_from_proto(c.r#type)?, data: c.data }))
            .transpose()
    };
    let raw = part(chunk.raw)?;
    let aggregates = AggregateChunks {
        count: part(chunk.count)?,
        sum: part(chunk.sum)?,
        min: part(chunk.min)?,
        max: part(chunk.max)?,
        counter: part(chunk.counter)?,
    };
    Ok(AggrChunk { min_time_ms, max_time_ms, raw, aggregates: aggregates.boxed() })
}

fn encoding_from_proto(encoding: i32) -> Result<Encoding, StoreError> {
    match WireEncoding::try_from(encoding) {
        Ok(WireEncoding::Xor) => Ok(Encoding::Xor),
        Ok(WireEncoding::Histogram) => Ok(Encoding::Histogram),
        Ok(WireEncoding::FloatHistogram) => Ok(Encoding::FloatHistogram),
        Err(_) => Err(StoreError::Internal(format!("unknown chunk type {encoding} in an answer"))),
    }
}
