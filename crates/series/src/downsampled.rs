//! Series of which some or all chunks are aggregates of windows, as Thanos's compactor leaves them.
//!
//! A query reads one aggregate, by the function around the selector: see [`Piece`]. Counters are read from their first
//! chunk on, since each chunk begins with its first raw value and ends, at a time given twice, with its last raw one: only
//! so resets between chunks are seen.

use std::cmp::Reverse;
use std::sync::{Arc, OnceLock};

use thanoxide_model::series::{Columns, SeriesData, SourceError};
use thanoxide_tsdb::chunk::{self, Chunk, ChunkSample, SampleValue};

use crate::dedup::{Deduplication, deduplicate};
use crate::overlap::split_rows;

/// One stretch of a series, read for some function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// One row of samples: raw ones, or one aggregate.
    Samples(Chunk),
    /// The mean of each window.
    Average {
        /// Sums.
        sum: Chunk,
        /// How many samples each is of.
        count: Chunk,
    },
}

impl Piece {
    fn chunks(&self) -> (&Chunk, Option<&Chunk>) {
        match self {
            Piece::Samples(chunk) => (chunk, None),
            Piece::Average { sum, count } => (sum, Some(count)),
        }
    }

    fn range_ms(&self) -> (i64, i64) {
        let chunk = self.chunks().0;
        (chunk.min_time_ms, chunk.max_time_ms)
    }
}

/// The samples of one series that has downsampled pieces.
#[derive(Debug)]
pub struct DownsampledSeriesData {
    replicas: Vec<Vec<Piece>>,
    is_counter: bool,
    how: Deduplication,
    start_ms: i64,
    end_ms: i64,
    folded: OnceLock<Result<Columns, SourceError>>,
}

impl DownsampledSeriesData {
    /// From the pieces of a series in any order; those that overlap are taken for replicas. Nothing outside
    /// `start_ms..=end_ms` will be asked for. `is_counter` says that the pieces are counters.
    pub fn new(mut pieces: Vec<Piece>, is_counter: bool, how: Deduplication, (start_ms, end_ms): (i64, i64)) -> Self {
        // In the order of `join_chunks`.
        let content = |chunk: &Chunk| (Reverse(chunk.data.clone()), chunk.encoding);
        pieces.sort_by_cached_key(|piece| {
            let (first, second) = piece.chunks();
            (piece.range_ms(), content(first), second.map(content))
        });
        pieces.dedup();
        let replicas = split_rows(pieces, Piece::range_ms);
        DownsampledSeriesData { replicas, is_counter, how, start_ms, end_ms, folded: OnceLock::new() }
    }

    fn fold(&self) -> Result<Columns, SourceError> {
        let rows = self.replicas.iter().map(|pieces| self.row(pieces)).collect::<Result<Vec<_>, _>>()?;
        let mut folded = Columns::default();
        deduplicate(&rows, self.how, &mut folded);
        Ok(folded)
    }

    /// The samples of one replica that may be asked for.
    fn row(&self, pieces: &[Piece]) -> Result<Columns, SourceError> {
        let mut row = Row { columns: Columns::default(), last_ms: None, counter: None };
        for piece in pieces {
            match piece {
                Piece::Samples(chunk) if self.is_counter => row.push_counter(chunk)?,
                Piece::Samples(chunk) => row.push_samples(chunk)?,
                Piece::Average { sum, count } => row.push_average(sum, count)?,
            }
        }
        let mut wanted = Columns::default();
        row.columns.decode(self.start_ms, self.end_ms, &mut wanted)?;
        Ok(wanted)
    }
}

impl SeriesData for DownsampledSeriesData {
    fn decode(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError> {
        match self.folded.get_or_init(|| self.fold()) {
            Ok(folded) => folded.decode(start_ms, end_ms, into),
            Err(error) => Err(error.clone()),
        }
    }

    fn estimated_samples(&self) -> usize {
        let samples = |pieces: &Vec<Piece>| pieces.iter().map(|p| chunk::sample_count(p.chunks().0)).sum::<usize>();
        let replicas = self.replicas.iter().map(samples);
        match self.how {
            Deduplication::Chain => replicas.sum(),
            Deduplication::Penalty | Deduplication::PenaltyCounter => replicas.max().unwrap_or(0),
        }
    }
}

/// One replica as it is read, piece after piece. Time never goes back, whatever the pieces say.
struct Row {
    columns: Columns,
    last_ms: Option<i64>,
    /// Of floats: the last value as stored, and with all resets applied.
    counter: Option<(f64, f64)>,
}

impl Row {
    fn is_later(&self, time_ms: i64) -> bool {
        self.last_ms.is_none_or(|last| time_ms > last)
    }

    fn push(&mut self, time_ms: i64, value: SampleValue) {
        self.last_ms = Some(time_ms);
        match value {
            SampleValue::Float(value) => self.columns.push(time_ms, value),
            SampleValue::Histogram(histogram) => self.columns.push_histogram(time_ms, Arc::new(histogram.to_float())),
            SampleValue::FloatHistogram(histogram) => self.columns.push_histogram(time_ms, Arc::from(histogram)),
        }
    }

    fn push_samples(&mut self, chunk: &Chunk) -> Result<(), SourceError> {
        for sample in chunk::samples(chunk).map_err(storage)? {
            let ChunkSample { timestamp_ms: time_ms, value, .. } = sample.map_err(storage)?;
            if self.is_later(time_ms) {
                self.push(time_ms, value);
            }
        }
        Ok(())
    }

    fn push_average(&mut self, sum: &Chunk, count: &Chunk) -> Result<(), SourceError> {
        let (mut sums, mut counts) = (chunk::samples(sum).map_err(storage)?, chunk::samples(count).map_err(storage)?);
        loop {
            let (sum, count) = match (sums.next(), counts.next()) {
                (Some(sum), Some(count)) => (sum.map_err(storage)?, count.map_err(storage)?),
                (None, None) => return Ok(()),
                _ => return Err(storage("sum and count iterator not aligned")),
            };
            let SampleValue::Float(divisor) = count.value else {
                return Err(storage("count aggregate holds histograms"));
            };
            if sum.timestamp_ms != count.timestamp_ms {
                return Err(storage("sum and count timestamps not aligned"));
            }
            if self.is_later(sum.timestamp_ms) {
                self.push(sum.timestamp_ms, divided(sum.value, divisor));
            }
        }
    }

    /// Floats with their resets applied; histograms as they are.
    fn push_counter(&mut self, chunk: &Chunk) -> Result<(), SourceError> {
        for sample in chunk::samples(chunk).map_err(storage)? {
            let ChunkSample { timestamp_ms: time_ms, value, .. } = sample.map_err(storage)?;
            match value {
                SampleValue::Float(value) => self.push_count(time_ms, value),
                histogram if self.is_later(time_ms) => self.push(time_ms, histogram),
                _ => {}
            }
        }
        Ok(())
    }

    fn push_count(&mut self, time_ms: i64, value: f64) {
        let (last, total) = match self.counter {
            _ if value.is_nan() => return,
            // A time given twice: the true last value of a chunk, for the next one to begin from.
            Some((_, total)) if self.last_ms == Some(time_ms) => {
                self.counter = Some((value, total));
                return;
            }
            Some(counter) => counter,
            None => (0.0, 0.0),
        };
        if !self.is_later(time_ms) {
            return;
        }
        let total = match self.counter {
            None => value,
            Some(_) if value >= last => total + (value - last),
            Some(_) => total + value,
        };
        self.counter = Some((value, total));
        self.push(time_ms, SampleValue::Float(total));
    }
}

fn divided(value: SampleValue, divisor: f64) -> SampleValue {
    match value {
        SampleValue::Float(sum) => SampleValue::Float(sum / divisor),
        SampleValue::Histogram(sum) => divided(SampleValue::FloatHistogram(Box::new(sum.to_float())), divisor),
        SampleValue::FloatHistogram(mut sum) => {
            sum.div(divisor);
            SampleValue::FloatHistogram(sum)
        }
    }
}

fn storage(what: impl std::fmt::Display) -> SourceError {
    SourceError::Storage(what.to_string())
}
