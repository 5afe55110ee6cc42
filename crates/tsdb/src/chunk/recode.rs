//! Chunks with start times as chunks without: stock Thanos reads the encodings 1 to 3 only.

use bytes::Bytes;
use thanoxide_model::{FloatHistogram, Histogram};

use super::histogram::{Appended, HistogramAppender, NativeHistogram};
use super::xor::XorAppender;
use super::{Chunk, ChunkError, ChunkSample, Encoding, SampleValue, samples};

/// The same samples in encodings 1 to 3, in time order; start times are dropped. Mostly one chunk, more where histograms do
/// not fit one. Chunks of other encodings are given back as they are.
pub fn without_start_times(chunk: Chunk) -> Result<Vec<Chunk>, ChunkError> {
    let encoding = match chunk.encoding {
        Encoding::Xor2 => Encoding::Xor,
        Encoding::HistogramSt => Encoding::Histogram,
        Encoding::FloatHistogramSt => Encoding::FloatHistogram,
        Encoding::Xor | Encoding::Histogram | Encoding::FloatHistogram | Encoding::Aggregate => return Ok(vec![chunk]),
    };
    let samples = samples(&chunk)?.collect::<Result<Vec<_>, _>>()?;
    Ok(match encoding {
        Encoding::Xor => floats(&samples).into_iter().collect(),
        Encoding::Histogram => histograms::<Histogram>(&samples, encoding),
        _ => histograms::<FloatHistogram>(&samples, encoding),
    })
}

fn floats(samples: &[ChunkSample]) -> Option<Chunk> {
    let mut appender = XorAppender::new();
    for sample in samples {
        if let SampleValue::Float(value) = sample.value {
            appender.append(sample.timestamp_ms, value);
        }
    }
    chunk_of(samples, Encoding::Xor, appender.into_bytes())
}

/// The kind of histogram that a sample has to hold.
trait OfSample: NativeHistogram {
    fn of(sample: &ChunkSample) -> Option<&Self>;
}

impl OfSample for Histogram {
    fn of(sample: &ChunkSample) -> Option<&Self> {
        if let SampleValue::Histogram(h) = &sample.value { Some(h) } else { None }
    }
}

impl OfSample for FloatHistogram {
    fn of(sample: &ChunkSample) -> Option<&Self> {
        if let SampleValue::FloatHistogram(h) = &sample.value { Some(h) } else { None }
    }
}

fn histograms<H: OfSample>(samples: &[ChunkSample], encoding: Encoding) -> Vec<Chunk> {
    let (mut chunks, mut first) = (Vec::new(), 0);
    let mut appender = HistogramAppender::<H>::new(false);
    for (i, sample) in samples.iter().enumerate() {
        let Some(histogram) = H::of(sample) else { continue };
        if let Appended::NewChunk(next) = appender.append(None, 0, sample.timestamp_ms, histogram) {
            let done = std::mem::replace(&mut appender, *next);
            chunks.extend(chunk_of(&samples[first..i], encoding, done.into_bytes()));
            first = i;
        }
    }
    chunks.extend(chunk_of(&samples[first..], encoding, appender.into_bytes()));
    chunks
}

/// `None` where there is no sample.
fn chunk_of(samples: &[ChunkSample], encoding: Encoding, bytes: Vec<u8>) -> Option<Chunk> {
    let (first, last) = (samples.first()?, samples.last()?);
    let (min_time_ms, max_time_ms) = (first.timestamp_ms, last.timestamp_ms);
    Some(Chunk { min_time_ms, max_time_ms, encoding, data: Bytes::from(bytes) })
}
