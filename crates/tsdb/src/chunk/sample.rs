//! The samples of any chunk, one after the other.

use thanoxide_model::{FloatHistogram, Histogram};

use super::histogram::HistogramIter;
use super::xor::XorIter;
use super::xor2::Xor2Iter;
use super::{Chunk, ChunkError, Encoding};

/// What was observed.
#[derive(Clone, Debug)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// An integer histogram.
    Histogram(Box<Histogram>),
    /// A float histogram.
    FloatHistogram(Box<FloatHistogram>),
}

/// One sample of a chunk.
#[derive(Clone, Debug)]
pub struct ChunkSample {
    /// Its time.
    pub timestamp_ms: i64,
    /// Its start time; 0 is unknown.
    pub start_timestamp_ms: i64,
    /// What was observed.
    pub value: SampleValue,
}

/// Reads one sample after the other from a chunk of any encoding.
#[derive(Clone, Debug)]
pub enum ChunkSamples<'a> {
    /// From encoding 1.
    Xor(XorIter<'a>),
    /// From encoding 4.
    Xor2(Xor2Iter<'a>),
    /// From encodings 2 and 5.
    Histogram(Box<HistogramIter<'a, Histogram>>),
    /// From encodings 3 and 6.
    FloatHistogram(Box<HistogramIter<'a, FloatHistogram>>),
    /// After an error.
    Broken,
}

/// Opens a chunk's samples.
pub fn samples(chunk: &Chunk) -> Result<ChunkSamples<'_>, ChunkError> {
    let data = &chunk.data[..];
    Ok(match chunk.encoding {
        Encoding::Xor => ChunkSamples::Xor(XorIter::new(data)?),
        Encoding::Xor2 => ChunkSamples::Xor2(Xor2Iter::new(data)?),
        Encoding::Histogram => ChunkSamples::Histogram(Box::new(HistogramIter::new(data, false)?)),
        Encoding::HistogramSt => ChunkSamples::Histogram(Box::new(HistogramIter::new(data, true)?)),
        Encoding::FloatHistogram => ChunkSamples::FloatHistogram(Box::new(HistogramIter::new(data, false)?)),
        Encoding::FloatHistogramSt => ChunkSamples::FloatHistogram(Box::new(HistogramIter::new(data, true)?)),
        Encoding::Aggregate => return Err(ChunkError::NotSamples(chunk.encoding)),
    })
}

impl ChunkSamples<'_> {
    fn read(&mut self) -> Result<Option<ChunkSample>, ChunkError> {
        let float = |read: Option<(i64, f64)>, start_timestamp_ms| {
            read.map(|(timestamp_ms, value)| ChunkSample {
                timestamp_ms,
                start_timestamp_ms,
                value: SampleValue::Float(value),
            })
        };
        Ok(match self {
            ChunkSamples::Broken => None,
            ChunkSamples::Xor(iter) => float(iter.next()?, 0),
            ChunkSamples::Xor2(iter) => {
                let read = iter.next()?;
                float(read, iter.start_ms())
            }
            ChunkSamples::Histogram(iter) => match iter.advance()? {
                true => Some(ChunkSample {
                    timestamp_ms: iter.timestamp_ms(),
                    start_timestamp_ms: iter.start_ms(),
                    value: SampleValue::Histogram(Box::new(iter.histogram()?)),
                }),
                false => None,
            },
            ChunkSamples::FloatHistogram(iter) => match iter.advance()? {
                true => Some(ChunkSample {
                    timestamp_ms: iter.timestamp_ms(),
                    start_timestamp_ms: iter.start_ms(),
                    value: SampleValue::FloatHistogram(Box::new(iter.histogram()?)),
                }),
                false => None,
            },
        })
    }
}

impl Iterator for ChunkSamples<'_> {
    type Item = Result<ChunkSample, ChunkError>;

    /// The next sample; an error is the last item.
    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            *self = ChunkSamples::Broken;
        }
        read.transpose()
    }
}
