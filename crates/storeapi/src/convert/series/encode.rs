//! Frames as messages.

use std::borrow::Cow;

use bytes::Bytes;
use thanoxide_model::Labels;
use thanoxide_proto::thanos::chunk::Encoding as WireEncoding;
use thanoxide_proto::wire::{put_bytes, put_message, put_uint};
use thanoxide_tsdb::chunk::{Chunk, Encoding};
use xxhash_rust::xxh64::xxh64;

use super::{BATCH, CHUNKS, DATA, HASH, LABELS, MAX_TIME, MIN_TIME, NAME, PARTS, SERIES, TYPE, VALUE, WARNING};
use crate::convert::recode;
use crate::{AggrChunk, SeriesFrame, StoreError, StoreSeries};

/// Above so many bytes of chunks a message is full, however few series it has.
const FULL_CHUNK_BYTES: usize = 1 << 20;
/// About what a label takes beside its text.
const LABEL_BYTES: usize = 4;
/// About what a chunk takes beside its data: two times, type, hash, lengths.
const CHUNK_BYTES: usize = 32;

/// A frame as `thanos.SeriesResponse` messages, with at most `batch_size` series each; 0 and 1 are messages of one series.
pub fn frame_to_messages(frame: &SeriesFrame, batch_size: usize) -> Result<Vec<Bytes>, StoreError> {
    match frame {
        SeriesFrame::Warning(warning) => {
            let mut out = Vec::with_capacity(warning.len() + 8);
            put_bytes(&mut out, WARNING, warning.as_bytes());
            Ok(vec![out.into()])
        }
        SeriesFrame::Series(series) if batch_size <= 1 => series.iter().map(single).collect(),
        SeriesFrame::Series(series) => batches(series, batch_size).map(batch).collect(),
    }
}

/// Runs of series that fill a message each.
fn batches(mut rest: &[StoreSeries], batch_size: usize) -> impl Iterator<Item = &[StoreSeries]> {
    std::iter::from_fn(move || {
        let mut chunk_bytes = 0;
        let fills = |series: &StoreSeries| {
            chunk_bytes += series.chunks.iter().map(AggrChunk::data_bytes).sum::<usize>();
            chunk_bytes >= FULL_CHUNK_BYTES
        };
        let full = rest.iter().take(batch_size).position(fills).map_or(batch_size, |last| last + 1);
        let (batch, behind) = rest.split_at(full.min(rest.len()));
        rest = behind;
        (!batch.is_empty()).then_some(batch)
    })
}

fn single(series: &StoreSeries) -> Result<Bytes, StoreError> {
    let mut out = Vec::with_capacity(guess_bytes(series) + 16);
    put_series(&mut out, series)?;
    Ok(out.into())
}

fn batch(batch: &[StoreSeries]) -> Result<Bytes, StoreError> {
    let guess_bytes = batch.iter().map(|series| guess_bytes(series) + LABEL_BYTES).sum();
    let mut out = Vec::with_capacity(guess_bytes + 16);
    put_message(&mut out, BATCH, guess_bytes, |out| batch.iter().try_for_each(|series| put_series(out, series)))?;
    Ok(out.into())
}

/// About what a series takes.
fn guess_bytes(series: &StoreSeries) -> usize {
    let chunks: usize = series.chunks.iter().map(|chunk| chunk.data_bytes() + CHUNK_BYTES).sum();
    series.labels.as_packed().len() + series.labels.len() * LABEL_BYTES + chunks
}

/// As field 1, which it is of a message and of a batch.
fn put_series(out: &mut Vec<u8>, series: &StoreSeries) -> Result<(), StoreError> {
    put_message(out, SERIES, guess_bytes(series), |out| {
        put_labels(out, &series.labels);
        series.chunks.iter().try_for_each(|chunk| {
            let plain = without_start_times(chunk)?;
            plain.iter().try_for_each(|chunk| put_chunk(out, chunk))
        })
    })
}

fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    for (name, value) in labels.iter() {
        let bytes = name.len() + value.len() + LABEL_BYTES;
        let Ok(()) = put_message(out, LABELS, bytes, |out| {
            put_bytes(out, NAME, name);
            put_bytes(out, VALUE, value);
            Ok::<_, std::convert::Infallible>(())
        });
    }
}

/// What stock programs can read.
fn without_start_times(chunk: &AggrChunk) -> Result<Cow<'_, [AggrChunk]>, StoreError> {
    match &chunk.raw {
        Some(raw) if raw.encoding.has_start_times() => {
            Ok(recode::without_start_times(raw)?.into_iter().map(AggrChunk::from).collect())
        }
        _ => Ok(std::slice::from_ref(chunk).into()),
    }
}

fn put_chunk(out: &mut Vec<u8>, chunk: &AggrChunk) -> Result<(), StoreError> {
    put_message(out, CHUNKS, chunk.data_bytes() + CHUNK_BYTES, |out| {
        put_uint(out, MIN_TIME, chunk.min_time_ms as u64);
        put_uint(out, MAX_TIME, chunk.max_time_ms as u64);
        let aggregates = chunk.aggregates.iter().flat_map(|aggregates| aggregates.all());
        for (field, part) in PARTS.zip(std::iter::once(&chunk.raw).chain(aggregates)) {
            part.iter().try_for_each(|part| put_part(out, field, part))?;
        }
        Ok(())
    })
}

/// What has its default is left out.
fn put_part(out: &mut Vec<u8>, field: u32, part: &Chunk) -> Result<(), StoreError> {
    let encoding = wire_encoding(part.encoding)?;
    put_message(out, field, part.data.len() + CHUNK_BYTES / 2, |out| {
        put_uint(out, TYPE, encoding as u64);
        if !part.data.is_empty() {
            put_bytes(out, DATA, &part.data);
        }
        put_uint(out, HASH, xxh64(&part.data, 0));
        Ok(())
    })
}

/// Aggregates never have start times, and raw chunks were recoded.
fn wire_encoding(encoding: Encoding) -> Result<WireEncoding, StoreError> {
    match encoding {
        Encoding::Xor => Ok(WireEncoding::Xor),
        Encoding::Histogram => Ok(WireEncoding::Histogram),
        Encoding::FloatHistogram => Ok(WireEncoding::FloatHistogram),
        other => Err(StoreError::Internal(format!("chunk encoding {other:?} is not of the StoreAPI"))),
    }
}
