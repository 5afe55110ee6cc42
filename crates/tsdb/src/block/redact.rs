//! Takes deleted samples out of a chunk.

use bytes::Bytes;
use thanoxide_model::{FloatHistogram, Histogram};

use crate::chunk::histogram::{Appended, HistogramAppender, NativeHistogram};
use crate::chunk::xor::XorAppender;
use crate::chunk::xor2::Xor2Appender;
use crate::chunk::{Chunk, ChunkError, ChunkSample, Encoding, SampleValue, samples};
use crate::tombstones::Interval;

/// The chunk without the samples in `deleted`, of the same encoding: none where nothing is left, and the chunk itself where
/// nothing is deleted.
pub fn redact(chunk: Chunk, deleted: &[Interval]) -> Result<Vec<Chunk>, ChunkError> {
    let overlaps = |i: &Interval| i.min_time_ms <= chunk.max_time_ms && i.max_time_ms >= chunk.min_time_ms;
    if !deleted.iter().any(overlaps) {
        return Ok(vec![chunk]);
    }
    if deleted.iter().any(|i| i.contains(chunk.min_time_ms) && i.contains(chunk.max_time_ms)) {
        return Ok(Vec::new());
    }
    let mut kept = Vec::new();
    for sample in samples(&chunk)? {
        let sample = sample?;
        if !deleted.iter().any(|i| i.contains(sample.timestamp_ms)) {
            kept.push(sample);
        }
    }
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    Ok(match chunk.encoding {
        Encoding::Xor => vec![encode_xor(&kept)],
        Encoding::Xor2 => vec![encode_xor2(&kept)],
        Encoding::Histogram | Encoding::HistogramSt => encode_histograms(&kept, chunk.encoding, int),
        Encoding::FloatHistogram | Encoding::FloatHistogramSt => encode_histograms(&kept, chunk.encoding, float),
        Encoding::Aggregate => return Err(ChunkError::NotSamples(chunk.encoding)),
    })
}

fn chunk_of(first: &ChunkSample, last: &ChunkSample, encoding: Encoding, data: Vec<u8>) -> Chunk {
    let (min_time_ms, max_time_ms) = (first.timestamp_ms, last.timestamp_ms);
    Chunk { min_time_ms, max_time_ms, encoding, data: Bytes::from(data) }
}

fn encode_xor(kept: &[ChunkSample]) -> Chunk {
    let mut appender = XorAppender::new();
    for sample in kept {
        if let SampleValue::Float(value) = sample.value {
            appender.append(sample.timestamp_ms, value);
        }
    }
    chunk_of(&kept[0], &kept[kept.len() - 1], Encoding::Xor, appender.into_bytes())
}

fn encode_xor2(kept: &[ChunkSample]) -> Chunk {
    let mut appender = Xor2Appender::new();
    for sample in kept {
        if let SampleValue::Float(value) = sample.value {
            appender.append(sample.start_timestamp_ms, sample.timestamp_ms, value);
        }
    }
    chunk_of(&kept[0], &kept[kept.len() - 1], Encoding::Xor2, appender.into_bytes())
}

fn int(value: &SampleValue) -> Option<&Histogram> {
    match value {
        SampleValue::Histogram(histogram) => Some(histogram),
        _ => None,
    }
}

fn float(value: &SampleValue) -> Option<&FloatHistogram> {
    match value {
        SampleValue::FloatHistogram(histogram) => Some(histogram),
        _ => None,
    }
}

fn encode_histograms<H: NativeHistogram>(
    kept: &[ChunkSample],
    encoding: Encoding,
    of: impl Fn(&SampleValue) -> Option<&H>,
) -> Vec<Chunk> {
    let with_start_times = matches!(encoding, Encoding::HistogramSt | Encoding::FloatHistogramSt);
    let mut appender = HistogramAppender::<H>::new(with_start_times);
    let (mut chunks, mut first) = (Vec::new(), 0);
    for (i, sample) in kept.iter().enumerate() {
        let Some(histogram) = of(&sample.value) else { continue };
        match appender.append(None, sample.start_timestamp_ms, sample.timestamp_ms, histogram) {
            Appended::Appended | Appended::Recoded => {}
            Appended::NewChunk(next) => {
                let done = std::mem::replace(&mut appender, *next);
                chunks.push(chunk_of(&kept[first], &kept[i - 1], encoding, done.into_bytes()));
                first = i;
            }
        }
    }
    chunks.push(chunk_of(&kept[first], &kept[kept.len() - 1], encoding, appender.into_bytes()));
    chunks
}
