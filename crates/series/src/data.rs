//! One series for the engine: chunks of all replicas, decoded and folded when asked for.

use thanoxide_model::series::{Columns, SeriesData, SourceError};
use thanoxide_tsdb::chunk::{self, Chunk, ChunkError};

use crate::dedup::{Deduplication, append, deduplicate};
use crate::merge::join_chunks;
use crate::overlap::split_overlaps;

/// The samples of one series, still encoded.
#[derive(Clone, Debug)]
pub struct DedupSeriesData {
    replicas: Vec<Vec<Chunk>>,
    how: Deduplication,
    start_ms: i64,
}

impl DedupSeriesData {
    /// From a series' chunks in any order; those that overlap are taken for replicas. `start_ms` is the oldest sample that will
    /// be asked for: which replica is read at some time depends on where reading began, so every answer begins there.
    pub fn new(mut chunks: Vec<Chunk>, how: Deduplication, start_ms: i64) -> Self {
        join_chunks(&mut chunks);
        DedupSeriesData { replicas: split_overlaps(chunks), how, start_ms }
    }

    fn decode_replicas(&self, start_ms: i64, end_ms: i64) -> Result<Vec<Columns>, SourceError> {
        self.replicas.iter().map(|chunks| decode_chunks(chunks, start_ms, end_ms)).collect()
    }
}

impl SeriesData for DedupSeriesData {
    fn decode(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError> {
        match self.replicas.as_slice() {
            [] => Ok(()),
            [chunks] => decode_into(chunks, (start_ms, end_ms), chunk::decode, into),
            _ if start_ms <= self.start_ms => {
                deduplicate(&self.decode_replicas(start_ms, end_ms)?, self.how, into);
                Ok(())
            }
            _ => {
                let mut from_start = Columns::default();
                deduplicate(&self.decode_replicas(self.start_ms, end_ms)?, self.how, &mut from_start);
                let mut asked_for = Columns::default();
                from_start.decode(start_ms, end_ms, &mut asked_for)?;
                append(&asked_for, into);
                Ok(())
            }
        }
    }

    /// Where replicas are folded a histogram may come to stand before any other, so they stay whole.
    fn decode_counts(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError> {
        match self.replicas.as_slice() {
            [chunks] => decode_into(chunks, (start_ms, end_ms), chunk::decode_counts, into),
            _ => self.decode(start_ms, end_ms, into),
        }
    }

    /// The last chunk that begins in time has it, unless its range is not what it says.
    fn decode_newest(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError> {
        let [chunks] = self.replicas.as_slice() else { return self.decode(start_ms, end_ms, into) };
        let last = chunks.iter().rposition(|chunk| chunk.min_time_ms <= end_ms).unwrap_or(0);
        let (older, newest) = chunks.split_at(last);
        let before = into.len();
        decode_into(newest, (start_ms, end_ms), chunk::decode, into)?;
        match into.len() > before {
            true => Ok(()),
            false => decode_into(older, (start_ms, end_ms), chunk::decode, into),
        }
    }

    fn encoded_bytes(&self) -> usize {
        self.replicas.iter().flatten().map(|chunk| chunk.data.len() + size_of::<Chunk>()).sum()
    }

    /// Replicas mostly hold the same samples, so the fullest one tells how many there are; chained ones add up.
    fn estimated_samples(&self) -> usize {
        let samples = self.replicas.iter().map(|chunks| chunks.iter().map(chunk::sample_count).sum::<usize>());
        match self.how {
            Deduplication::Chain => samples.sum(),
            Deduplication::Penalty | Deduplication::PenaltyCounter => samples.max().unwrap_or(0),
        }
    }
}

fn decode_chunks(chunks: &[Chunk], start_ms: i64, end_ms: i64) -> Result<Columns, SourceError> {
    let mut columns = Columns::default();
    decode_into(chunks, (start_ms, end_ms), chunk::decode, &mut columns)?;
    Ok(columns)
}

/// Chunks come from other processes, and their samples need not be as their ranges say: what is not in order of time is
/// refused here, so that nobody above has to think of it.
fn decode_into(
    chunks: &[Chunk],
    (start_ms, end_ms): (i64, i64),
    decode: impl Fn(&Chunk, i64, i64, &mut Columns) -> Result<(), ChunkError>,
    into: &mut Columns,
) -> Result<(), SourceError> {
    let (floats, histograms) = (into.timestamps_ms.len(), into.histogram_timestamps_ms.len());
    for chunk in chunks.iter().filter(|c| c.max_time_ms >= start_ms && c.min_time_ms <= end_ms) {
        decode(chunk, start_ms, end_ms, into).map_err(|e| SourceError::Storage(e.to_string()))?;
    }
    let in_order = |times: &[i64]| times.is_sorted_by(|a, b| a < b);
    match in_order(&into.timestamps_ms[floats..]) && in_order(&into.histogram_timestamps_ms[histograms..]) {
        true => Ok(()),
        false => Err(SourceError::Storage("chunk with samples out of order".into())),
    }
}

#[cfg(test)]
mod tests {
    use thanoxide_tsdb::chunk::{Encoding, xor};

    use super::*;

    fn chunk(samples: &[(i64, f64)]) -> Chunk {
        let mut appender = xor::XorAppender::new();
        for (time_ms, value) in samples {
            appender.append(*time_ms, *value);
        }
        Chunk {
            min_time_ms: samples[0].0,
            max_time_ms: samples[samples.len() - 1].0,
            encoding: Encoding::Xor,
            data: appender.into_bytes().into(),
        }
    }

    fn replica(from_ms: i64, to_ms: i64, shift_ms: i64) -> Chunk {
        let times = (from_ms..to_ms).step_by(10_000);
        chunk(&times.map(|t| (t + shift_ms, t as f64)).collect::<Vec<_>>())
    }

    #[test]
    fn windows_add_up_to_the_whole() {
        let chunks = vec![replica(0, 300_000, 0), replica(0, 900_000, 3_000), replica(400_000, 900_000, 0)];
        for how in [Deduplication::Penalty, Deduplication::PenaltyCounter, Deduplication::Chain] {
            let data = DedupSeriesData::new(chunks.clone(), how, 0);
            let mut whole = Columns::default();
            data.decode(0, 900_000, &mut whole).unwrap();
            let mut windows = Columns::default();
            for start in (0..900_000).step_by(70_000) {
                data.decode(start, start + 69_999, &mut windows).unwrap();
            }
            assert_eq!(windows.timestamps_ms, whole.timestamps_ms);
            assert_eq!(windows.values, whole.values);
            assert!(whole.len() >= 88 && data.estimated_samples() >= 80);
        }
    }

    #[test]
    fn the_newest_sample_is_that_of_all() {
        let mut chunks = vec![replica(0, 300_000, 0), replica(300_000, 600_000, 0), replica(700_000, 900_000, 0)];
        for lies in [false, true] {
            let data = DedupSeriesData::new(chunks.clone(), Deduplication::Chain, 0);
            for end_ms in (0..1_000_000).step_by(2_500) {
                let (mut all, mut newest) = (Columns::default(), Columns::default());
                data.decode(end_ms - 60_000, end_ms, &mut all).unwrap();
                data.decode_newest(end_ms - 60_000, end_ms, &mut newest).unwrap();
                assert_eq!(newest.timestamps_ms.last(), all.timestamps_ms.last(), "{lies} {end_ms}");
                assert_eq!(newest.values.last(), all.values.last());
            }
            // It says that it begins where the one before ends.
            chunks[2].min_time_ms = 600_000;
        }
    }

    #[test]
    fn a_chunk_that_lies_is_an_error() {
        let mut late = replica(0, 300_000, 0);
        late.min_time_ms = 400_000;
        late.max_time_ms = 500_000;
        let data = DedupSeriesData::new(vec![late, replica(0, 300_000, 0)], Deduplication::Penalty, 0);
        assert!(data.decode(0, 900_000, &mut Columns::default()).is_err());
    }

    #[test]
    fn a_broken_chunk_is_an_error() {
        let mut broken = replica(0, 300_000, 0);
        broken.data = broken.data.slice(..20);
        let data = DedupSeriesData::new(vec![broken], Deduplication::Penalty, 0);
        assert!(data.decode(0, 300_000, &mut Columns::default()).is_err());
    }
}
