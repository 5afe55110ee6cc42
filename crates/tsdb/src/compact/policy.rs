//! How samples of overlapping chunks become one row.

use std::fmt::Debug;

use thanoxide_model::series::Columns;

use crate::chunk::{self, Chunk, ChunkError, ChunkSample, samples};

/// A row of samples of one chunk: those from `start` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which chunk.
    pub chunk: u32,
    /// Its first sample.
    pub start: u32,
    /// The one behind its last.
    pub end: u32,
}

/// Adds one sample to the runs.
pub fn push_sample(runs: &mut Vec<Run>, chunk: u32, sample: u32) {
    match runs.last_mut() {
        Some(last) if last.chunk == chunk && last.end == sample => last.end += 1,
        _ => runs.push(Run { chunk, start: sample, end: sample + 1 }),
    }
}

/// Merges what overlaps. The chunks come as stock meets them: by their first time, then by their last.
pub trait MergePolicy: Debug + Send + Sync {
    /// Chooses samples: appends them to `runs` in the order of the result, times strictly rising.
    fn choose(&self, overlap: &Overlap, runs: &mut Vec<Run>);

    /// Merges downsampled chunks into others that do not overlap.
    fn merge_aggregates(&self, chunks: &[Chunk]) -> Result<Vec<Chunk>, ChunkError> {
        Err(ChunkError::NotSamples(chunks.first().map_or(crate::chunk::Encoding::Aggregate, |c| c.encoding)))
    }
}

/// The samples of chunks of one series that overlap in time.
#[derive(Debug, Default)]
pub struct Overlap {
    pub(super) chunks: Vec<Decoded>,
    spare: Vec<Decoded>,
}

/// One chunk's samples: floats in columns, all others one by one.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) floats: Columns,
    pub(super) others: Vec<ChunkSample>,
    other_times_ms: Vec<i64>,
}

impl Decoded {
    pub(super) fn is_float(&self) -> bool {
        self.others.is_empty()
    }

    /// Whether the samples are floats without start times.
    pub(super) fn is_plain(&self) -> bool {
        self.is_float() && self.floats.start_timestamps_ms.is_empty()
    }

    fn times_ms(&self) -> &[i64] {
        if self.is_float() { &self.floats.timestamps_ms } else { &self.other_times_ms }
    }

    /// The start time of a float; 0 is unknown.
    pub(super) fn float_start_ms(&self, sample: usize) -> i64 {
        self.floats.start_timestamps_ms.get(sample).copied().unwrap_or(0)
    }

    fn read(&mut self, chunk: &Chunk) -> Result<(), ChunkError> {
        self.floats.clear();
        self.others.clear();
        self.other_times_ms.clear();
        if chunk.encoding.is_float() {
            return chunk::decode(chunk, i64::MIN, i64::MAX, &mut self.floats);
        }
        for sample in samples(chunk)? {
            let sample = sample?;
            self.other_times_ms.push(sample.timestamp_ms);
            self.others.push(sample);
        }
        Ok(())
    }
}

impl Overlap {
    pub(super) fn read<'c>(&mut self, chunks: impl Iterator<Item = &'c Chunk>) -> Result<(), ChunkError> {
        self.spare.append(&mut self.chunks);
        for chunk in chunks {
            let mut decoded = self.spare.pop().unwrap_or_default();
            decoded.read(chunk)?;
            self.chunks.push(decoded);
        }
        Ok(())
    }

    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether there is no chunk.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The times of a chunk's samples.
    pub fn times_ms(&self, chunk: usize) -> &[i64] {
        self.chunks[chunk].times_ms()
    }

    /// Whether two samples are surely the same: floats of the same bits and start time. Histograms are not compared.
    pub fn same(&self, (chunk, sample): (usize, usize), (other_chunk, other_sample): (usize, usize)) -> bool {
        let (left, right) = (&self.chunks[chunk], &self.chunks[other_chunk]);
        let bits = |decoded: &Decoded, at: usize| decoded.floats.values.get(at).map(|value| value.to_bits());
        left.is_float()
            && right.is_float()
            && bits(left, sample) == bits(right, other_sample)
            && left.float_start_ms(sample) == right.float_start_ms(other_sample)
    }
}
