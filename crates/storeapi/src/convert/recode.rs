//! Chunks with start times as chunks without: the StoreAPI knows the encodings 1 to 3 only.

use bytes::Bytes;
use thanoxide_model::{FloatHistogram, Histogram};
use thanoxide_tsdb::chunk::histogram::{Appended, HistogramAppender, NativeHistogram};
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::{Chunk, ChunkSample, Encoding, SampleValue, samples};

use crate::StoreError;

/// Whether a chunk has to be recoded before it leaves.
pub(crate) fn is_needed(chunk: &Chunk) -> bool {
    matches!(chunk.encoding, Encoding::Xor2 | Encoding::HistogramSt | Encoding::FloatHistogramSt)
}

/// The same samples without start times. Mostly one chunk; more where histograms do not fit one.
pub(crate) fn without_start_times(chunk: &Chunk) -> Result<Vec<Chunk>, StoreError> {
    let broken = |e| StoreError::Internal(format!("recode chunk of encoding {:?}: {e}", chunk.encoding));
    let samples = samples(chunk).map_err(broken)?.collect::<Result<Vec<_>, _>>().map_err(broken)?;
    match chunk.encoding {
        Encoding::Xor2 => Ok(floats(&samples)),
        Encoding::HistogramSt => Ok(histograms::<Histogram>(&samples, Encoding::Histogram)),
        Encoding::FloatHistogramSt => Ok(histograms::<FloatHistogram>(&samples, Encoding::FloatHistogram)),
        _ => Ok(vec![chunk.clone()]),
    }
}

fn floats(samples: &[ChunkSample]) -> Vec<Chunk> {
    let mut appender = XorAppender::new();
    for sample in samples {
        if let SampleValue::Float(value) = sample.value {
            appender.append(sample.timestamp_ms, value);
        }
    }
    chunk_of(samples, Encoding::Xor, appender.into_bytes()).into_iter().collect()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thanoxide_model::histogram::Span;
    use thanoxide_model::series::Columns;
    use thanoxide_tsdb::chunk::decode;
    use thanoxide_tsdb::chunk::xor2::Xor2Appender;

    use super::*;

    fn chunk(encoding: Encoding, data: Vec<u8>) -> Chunk {
        Chunk { min_time_ms: 0, max_time_ms: 9_000, encoding, data: data.into() }
    }

    fn columns<'a>(chunks: impl IntoIterator<Item = &'a Chunk>) -> Columns {
        let mut columns = Columns::default();
        for chunk in chunks {
            decode(chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
        }
        columns
    }

    #[test]
    fn floats_lose_their_start_times_only() {
        let mut appender = Xor2Appender::new();
        for i in 0..100 {
            appender.append(i * 500, i * 1000, i as f64);
        }
        let before = chunk(Encoding::Xor2, appender.into_bytes());
        let after = without_start_times(&before).unwrap();
        assert_eq!((after.len(), after[0].encoding, after[0].max_time_ms), (1, Encoding::Xor, 99_000));
        let (before, after) = (columns([&before]), columns(&after));
        assert_eq!((before.timestamps_ms, before.values), (after.timestamps_ms, after.values));
        assert!(after.start_timestamps_ms.is_empty() && !before.start_timestamps_ms.is_empty());
    }

    #[test]
    fn histograms_keep_their_buckets() {
        let mut appender = HistogramAppender::<Histogram>::new(true);
        for i in 0..10u32 {
            let histogram = Histogram {
                count: u64::from(3 * i),
                sum: f64::from(i),
                positive_spans: vec![Span { offset: 0, length: 2 }],
                positive_buckets: vec![i64::from(i), i64::from(i)],
                custom_values: Arc::from([]),
                ..Histogram::default()
            };
            let appended = appender.append(None, 1, i64::from(i) * 1000, &histogram);
            assert!(matches!(appended, Appended::Appended));
        }
        let before = chunk(Encoding::HistogramSt, appender.into_bytes());
        let after = without_start_times(&before).unwrap();
        assert!(after.iter().all(|c| c.encoding == Encoding::Histogram));
        let (before, after) = (columns([&before]), columns(&after));
        assert_eq!(before.histogram_timestamps_ms, after.histogram_timestamps_ms);
        let text = |c: &Columns| c.histograms.iter().map(|h| format!("{h:?}")).collect::<Vec<_>>();
        assert_eq!(text(&before), text(&after));
    }

    #[test]
    fn broken_chunks_are_errors() {
        let broken = chunk(Encoding::Xor2, vec![0, 9, 1]);
        assert!(matches!(without_start_times(&broken), Err(StoreError::Internal(_))));
    }
}
