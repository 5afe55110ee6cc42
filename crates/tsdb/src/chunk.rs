//! Chunks: the compressed samples of one series over some time.

use bytes::Bytes;

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
}

impl Encoding {
    /// From the byte in a chunk file.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Xor, Self::Histogram, Self::FloatHistogram, Self::Xor2, Self::HistogramSt, Self::FloatHistogramSt]
            .into_iter()
            .find(|e| *e as u8 == byte)
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
