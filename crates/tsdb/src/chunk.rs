//! Chunks: the compressed samples of one series over some time.
//!
//! [`decode`] turns any chunk into columns, which is what queries read; [`samples`] gives one sample after the other, which
//! is what merges read. The submodules hold one encoding each, with its layout and its appender:
//! [`xor`] (floats), [`xor2`] (floats with start times), [`histogram`] (integer and float histograms, with or without
//! start times). The page of the format is `docs/format/chunks.md`.

mod float_xor;
pub mod histogram;
mod recode;
mod sample;
mod start_times;
pub mod xor;
pub mod xor2;
pub(crate) mod xor_columns;

pub use recode::without_start_times;
pub use sample::{ChunkSample, ChunkSamples, SampleValue, samples};

use bytes::Bytes;
use histogram::Detail;
use thanoxide_model::series::Columns;
use thanoxide_model::{FloatHistogram, Histogram};
use thiserror::Error;

use crate::encoding::DecodeError;

/// How a chunk's bytes are to be read. The numbers are those of the chunk files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Encoding {
    /// Floats.
    Xor = 1,
    /// Integer histograms.
    Histogram = 2,
    /// Float histograms.
    FloatHistogram = 3,
    /// Floats with optional start times.
    Xor2 = 4,
    /// Integer histograms with start times.
    HistogramSt = 5,
    /// Float histograms with start times.
    FloatHistogramSt = 6,
    /// Several chunks of a downsampled series in one. Opaque here: only copied.
    Aggregate = 255,
}

impl Encoding {
    /// From the byte in a chunk file.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Xor,
            2 => Self::Histogram,
            3 => Self::FloatHistogram,
            4 => Self::Xor2,
            5 => Self::HistogramSt,
            6 => Self::FloatHistogramSt,
            255 => Self::Aggregate,
            _ => return None,
        })
    }

    /// Whether samples carry start times. Stock Thanos cannot read these encodings.
    pub fn has_start_times(self) -> bool {
        matches!(self, Self::Xor2 | Self::HistogramSt | Self::FloatHistogramSt)
    }

    /// Whether the samples are floats.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Xor | Self::Xor2)
    }

    /// Whether the samples are histograms, integer or float.
    pub fn is_histogram(self) -> bool {
        matches!(self, Self::Histogram | Self::FloatHistogram | Self::HistogramSt | Self::FloatHistogramSt)
    }
}

/// An immutable chunk and the closed range of its samples' times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Time of the first sample.
    pub min_time_ms: i64,
    /// Time of the last sample.
    pub max_time_ms: i64,
    /// How to read `data`.
    pub encoding: Encoding,
    /// The chunk as stored, its own header included, without the length, encoding byte and checksum around it.
    pub data: Bytes,
}

/// Why a chunk could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChunkError {
    /// The bytes are cut short, or not a chunk.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A float's significant bits reach beyond 64.
    #[error("leading zeros and significant bits exceed 64")]
    BadWindow,
    /// A histogram's resolution that nobody knows.
    #[error("unknown histogram schema {0}")]
    UnknownSchema(i32),
    /// The spans promise more buckets than the chunk's bytes can hold.
    #[error("histogram layout of {0} buckets does not fit the chunk")]
    BadLayout(u64),
    /// Downsampled chunks are not read here.
    #[error("encoding {0:?} holds no samples of its own")]
    NotSamples(Encoding),
}

/// How many samples the chunk's header promises; 0 where it has none.
pub fn sample_count(chunk: &Chunk) -> usize {
    let Some(header) = chunk.data.first_chunk::<2>() else { return 0 };
    let count = usize::from(u16::from_be_bytes(*header));
    match chunk.encoding {
        Encoding::Xor | Encoding::Xor2 | Encoding::Histogram | Encoding::FloatHistogram => count,
        // The top two bits are the counter reset header.
        Encoding::HistogramSt | Encoding::FloatHistogramSt => count & 0x3fff,
        Encoding::Aggregate => 0,
    }
}

/// Appends the chunk's samples of `start_ms..=end_ms` to `into`. After an error `into` holds what stood before it.
pub fn decode(chunk: &Chunk, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), ChunkError> {
    decode_detail(chunk, (start_ms, end_ms), Detail::Buckets, into)
}

/// As [`decode`], but histograms have buckets and bounds only where [`Detail::Counts`] says.
pub fn decode_counts(chunk: &Chunk, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), ChunkError> {
    decode_detail(chunk, (start_ms, end_ms), Detail::Counts, into)
}

fn decode_detail(chunk: &Chunk, range_ms: (i64, i64), detail: Detail, into: &mut Columns) -> Result<(), ChunkError> {
    let data = &chunk.data;
    match chunk.encoding {
        Encoding::Xor => xor::decode_into(data, range_ms.0, range_ms.1, into)?,
        Encoding::Xor2 => xor2::decode_into(data, range_ms.0, range_ms.1, into)?,
        Encoding::Histogram => histogram::decode_into::<Histogram>(data, false, range_ms, detail, into)?,
        Encoding::HistogramSt => histogram::decode_into::<Histogram>(data, true, range_ms, detail, into)?,
        Encoding::FloatHistogram => histogram::decode_into::<FloatHistogram>(data, false, range_ms, detail, into)?,
        Encoding::FloatHistogramSt => histogram::decode_into::<FloatHistogram>(data, true, range_ms, detail, into)?,
        Encoding::Aggregate => return Err(ChunkError::NotSamples(chunk.encoding)),
    }
    complete_start_times(into);
    Ok(())
}

/// A column of start times, once begun, is as long as its samples' column.
fn complete_start_times(columns: &mut Columns) {
    if !columns.start_timestamps_ms.is_empty() {
        columns.start_timestamps_ms.resize(columns.timestamps_ms.len(), 0);
    }
    if !columns.histogram_start_timestamps_ms.is_empty() {
        columns.histogram_start_timestamps_ms.resize(columns.histogram_timestamps_ms.len(), 0);
    }
}
