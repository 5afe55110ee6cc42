//! Samples that came too late for their series' open chunk, and are taken all the same.
//!
//! As in Prometheus, the late samples of a series are kept sorted, up to [`LateStore::chunk_samples`] of them; of two at one
//! time the first stays. What is full is encoded and set aside, and may overlap with what comes later. Readers get all of
//! it beside the chunks in order, and merge. A cut freezes the whole store and turns it into blocks of their own. How the
//! engine uses it is told in `docs/decisions/0004-late-samples.md`.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use thanoxide_model::write_batch::HistogramValue;

use crate::block::redact;
use crate::chunk::{Chunk, ChunkError, ChunkSample, SampleValue, samples};
use crate::compact::encode_samples;
use crate::log::floats::FloatsWriter;
use crate::log::histograms::HistogramsWriter;
use crate::log::{FrameKind, Position};
use crate::tombstones::Interval;
use crate::wal::record::SeriesRef;

/// How many samples a chunk of late ones gets, unless told otherwise: stock's `out_of_order_cap_max`.
pub const LATE_CHUNK_SAMPLES: usize = 32;

/// A late sample's value.
#[derive(Clone, Debug)]
pub enum LateValue {
    /// A float.
    Float(f64),
    /// A histogram, integer or float.
    Histogram(HistogramValue),
}

#[derive(Clone, Debug)]
struct LateSample {
    timestamp_ms: i64,
    /// 0 where it is unknown, or not kept.
    start_ms: i64,
    value: LateValue,
}

/// The late samples of one series.
#[derive(Debug, Default)]
struct LateSeries {
    full: Vec<Chunk>,
    /// Sorted by time, each time once.
    open: Vec<LateSample>,
}

/// The late samples of one head.
#[derive(Debug)]
pub struct LateStore {
    series: HashMap<SeriesRef, LateSeries, foldhash::fast::FixedState>,
    chunk_samples: usize,
    samples: u64,
    /// First and last time since the last cut; `i64::MAX` and `i64::MIN` where there is none.
    min_time_ms: i64,
    max_time_ms: i64,
}

impl Default for LateStore {
    fn default() -> Self {
        LateStore::new(LATE_CHUNK_SAMPLES)
    }
}

impl LateStore {
    /// An empty store, whose chunks get so many samples: 1 to 255.
    pub fn new(chunk_samples: usize) -> Self {
        let chunk_samples = chunk_samples.clamp(1, 255);
        LateStore {
            series: HashMap::default(),
            chunk_samples,
            samples: 0,
            min_time_ms: i64::MAX,
            max_time_ms: i64::MIN,
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// How many samples there are, copies of one time in different chunks counted each.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// First and last time.
    pub fn times_ms(&self) -> Option<(i64, i64)> {
        (self.min_time_ms <= self.max_time_ms).then_some((self.min_time_ms, self.max_time_ms))
    }

    /// Whether a series has any.
    pub fn contains(&self, series: SeriesRef) -> bool {
        self.series.contains_key(&series)
    }

    /// The series that have any, in order.
    pub fn series(&self) -> Vec<SeriesRef> {
        let mut series: Vec<SeriesRef> = self.series.keys().copied().collect();
        series.sort_unstable();
        series
    }

    /// Takes a sample and its start time, 0 where that is unknown; false where there is one of its time already in the open
    /// chunk, which then stays.
    pub fn insert(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: LateValue) -> bool {
        let series = self.series.entry(series).or_default();
        if series.open.len() >= self.chunk_samples {
            series.set_aside();
        }
        if !series.insert(LateSample { timestamp_ms, start_ms, value }) {
            return false;
        }
        self.samples += 1;
        self.min_time_ms = self.min_time_ms.min(timestamp_ms);
        self.max_time_ms = self.max_time_ms.max(timestamp_ms);
        true
    }

    /// The chunks of a series that have samples in `min_ms..=max_ms`, in order of their first times. They may overlap.
    pub fn collect(&self, series: SeriesRef, min_ms: i64, max_ms: i64) -> Vec<Chunk> {
        let Some(series) = self.series.get(&series) else { return Vec::new() };
        let mut chunks = series.full.clone();
        chunks.extend(encode(&series.open));
        chunks.retain(|chunk| chunk.min_time_ms <= max_ms && chunk.max_time_ms >= min_ms);
        chunks.sort_by_key(|chunk| (chunk.min_time_ms, chunk.max_time_ms));
        chunks
    }

    /// Forgets the samples of a series in a range.
    pub fn delete(&mut self, series_ref: SeriesRef, range: Interval) -> Result<(), ChunkError> {
        let Some(series) = self.series.get_mut(&series_ref) else { return Ok(()) };
        let full = std::mem::take(&mut series.full);
        for chunk in full {
            series.full.extend(redact(chunk, &[range])?);
        }
        series.open.retain(|sample| !range.contains(sample.timestamp_ms));
        if series.full.is_empty() && series.open.is_empty() {
            self.series.remove(&series_ref);
        }
        Ok(())
    }

    /// Writes down the samples of a series, as the log has them.
    pub(crate) fn save(&self, series_ref: SeriesRef, out: &mut LateRecords) -> Result<(), ChunkError> {
        for chunk in self.collect(series_ref, i64::MIN, i64::MAX) {
            for sample in samples(&chunk)? {
                let sample = sample?;
                let (timestamp_ms, start_ms) = (sample.timestamp_ms, sample.start_timestamp_ms);
                out.push(series_ref, timestamp_ms, start_ms, &LateValue::from(sample.value));
            }
        }
        Ok(())
    }

    /// The aligned ranges that have samples, as numbers: times divided by `range_ms`.
    pub fn ranges(&self, range_ms: i64) -> Result<BTreeSet<i64>, ChunkError> {
        let mut ranges = BTreeSet::new();
        for series in self.series.values() {
            ranges.extend(series.open.iter().map(|sample| sample.timestamp_ms.div_euclid(range_ms)));
            for chunk in &series.full {
                let (first, last) = (chunk.min_time_ms.div_euclid(range_ms), chunk.max_time_ms.div_euclid(range_ms));
                ranges.extend([first, last]);
                if last > first.saturating_add(1) {
                    for sample in samples(chunk)? {
                        ranges.insert(sample?.timestamp_ms.div_euclid(range_ms));
                    }
                }
            }
        }
        Ok(ranges)
    }

    /// Gives up all that is there, for a cut. What comes meanwhile begins anew.
    pub fn take(&mut self) -> LateStore {
        std::mem::replace(self, LateStore::new(self.chunk_samples))
    }
}

/// The late samples of a head: those that come now, and those that are being turned into blocks.
#[derive(Debug, Default)]
pub(crate) struct LateSamples {
    pub(crate) current: LateStore,
    /// All that came up to a position of the log.
    pub(crate) frozen: Option<(Position, LateStore)>,
}

impl LateSamples {
    pub(crate) fn new(chunk_samples: usize) -> Self {
        LateSamples { current: LateStore::new(chunk_samples), frozen: None }
    }

    /// Both stores, the frozen one first.
    pub(crate) fn stores(&self) -> impl Iterator<Item = &LateStore> {
        self.frozen.iter().map(|(_, store)| store).chain([&self.current])
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.stores().all(LateStore::is_empty)
    }

    /// Whether a series has any.
    pub(crate) fn contains(&self, series: SeriesRef) -> bool {
        self.stores().any(|store| store.contains(series))
    }

    /// First and last time.
    pub(crate) fn times_ms(&self) -> Option<(i64, i64)> {
        let times = self.stores().filter_map(LateStore::times_ms);
        times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// As [`LateStore::collect`], of both, the frozen first.
    pub(crate) fn collect(&self, series: SeriesRef, min_ms: i64, max_ms: i64) -> Vec<Chunk> {
        self.stores().flat_map(|store| store.collect(series, min_ms, max_ms)).collect()
    }

    /// Forgets the samples of a series in a range.
    pub(crate) fn delete(&mut self, series: SeriesRef, range: Interval) -> Result<(), ChunkError> {
        let frozen = self.frozen.iter_mut().map(|(_, store)| store);
        frozen.chain([&mut self.current]).try_for_each(|store| store.delete(series, range))
    }

    /// Freezes what came up to a position of the log, unless something is frozen already. False where there is nothing.
    pub(crate) fn freeze(&mut self, position: Position) -> bool {
        if self.frozen.is_none() && !self.current.is_empty() {
            self.frozen = Some((position, self.current.take()));
        }
        self.frozen.is_some()
    }
}

/// Payloads of late samples for log and snapshot.
#[derive(Debug, Default)]
pub(crate) struct LateRecords {
    floats: FloatsWriter,
    histograms: HistogramsWriter,
    started_floats: FloatsWriter,
    started_histograms: HistogramsWriter,
}

impl LateRecords {
    /// Adds a sample; its start time is 0 where it is unknown.
    pub(crate) fn push(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: &LateValue) {
        match value {
            LateValue::Float(value) if start_ms == 0 => self.floats.push(series, timestamp_ms, *value),
            LateValue::Float(value) => {
                self.started_floats.push(series, timestamp_ms, *value);
                self.started_floats.push_start(start_ms);
            }
            LateValue::Histogram(value) if start_ms == 0 => self.histograms.push(series, timestamp_ms, value),
            LateValue::Histogram(value) => {
                self.started_histograms.push(series, timestamp_ms, value);
                self.started_histograms.push_start(start_ms);
            }
        }
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.iter().map(|(_, payload)| payload.len()).sum()
    }

    pub(crate) fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
        self.started_floats.clear();
        self.started_histograms.clear();
    }

    /// What is not empty.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FrameKind, &[u8])> {
        let payloads = [
            (FrameKind::LateFloats, self.floats.bytes()),
            (FrameKind::LateHistograms, self.histograms.bytes()),
            (FrameKind::StartedLateFloats, self.started_floats.bytes()),
            (FrameKind::StartedLateHistograms, self.started_histograms.bytes()),
        ];
        payloads.into_iter().filter(|(_, payload)| !payload.is_empty())
    }
}

impl From<SampleValue> for LateValue {
    fn from(value: SampleValue) -> Self {
        match value {
            SampleValue::Float(value) => LateValue::Float(value),
            SampleValue::Histogram(value) => LateValue::Histogram(HistogramValue::Int(Arc::from(value))),
            SampleValue::FloatHistogram(value) => LateValue::Histogram(HistogramValue::Float(Arc::from(value))),
        }
    }
}

impl LateSeries {
    fn insert(&mut self, sample: LateSample) -> bool {
        let at = match self.open.last() {
            Some(last) if last.timestamp_ms >= sample.timestamp_ms => {
                self.open.partition_point(|s| s.timestamp_ms < sample.timestamp_ms)
            }
            _ => self.open.len(),
        };
        if self.open.get(at).is_some_and(|there| there.timestamp_ms == sample.timestamp_ms) {
            return false;
        }
        self.open.insert(at, sample);
        true
    }

    fn set_aside(&mut self) {
        self.full.extend(encode(&self.open));
        self.open.clear();
    }
}

fn encode(samples: &[LateSample]) -> Vec<Chunk> {
    let value = |value: &LateValue| match value {
        LateValue::Float(value) => SampleValue::Float(*value),
        LateValue::Histogram(HistogramValue::Int(value)) => SampleValue::Histogram(Box::new(value.as_ref().clone())),
        LateValue::Histogram(HistogramValue::Float(value)) => {
            SampleValue::FloatHistogram(Box::new(value.as_ref().clone()))
        }
    };
    let samples = samples.iter().map(|sample| ChunkSample {
        timestamp_ms: sample.timestamp_ms,
        start_timestamp_ms: sample.start_ms,
        value: value(&sample.value),
    });
    encode_samples(samples)
}

#[cfg(test)]
mod tests {
    use thanoxide_model::Histogram;

    use super::*;

    fn times(chunks: &[Chunk]) -> Vec<Vec<i64>> {
        chunks.iter().map(|chunk| samples(chunk).unwrap().map(|s| s.unwrap().timestamp_ms).collect()).collect()
    }

    #[test]
    fn samples_are_sorted_and_the_first_of_a_time_stays() {
        let mut late = LateStore::new(4);
        for (time_ms, value) in [(30, 1.0), (10, 2.0), (20, 3.0), (10, 4.0)] {
            assert_eq!(late.insert(7, time_ms, 0, LateValue::Float(value)), value != 4.0);
        }
        assert_eq!(times(&late.collect(7, 0, 100)), [[10, 20, 30]]);
        // A full chunk is set aside when the next sample comes; the one that comes may be of a time in it.
        assert!(late.insert(7, 40, 0, LateValue::Float(5.0)) && late.insert(7, 20, 0, LateValue::Float(6.0)));
        assert_eq!(times(&late.collect(7, 0, 100)), [vec![10, 20, 30, 40], vec![20]]);
        assert_eq!(times(&late.collect(7, 25, 100)), [vec![10, 20, 30, 40]]);
        assert_eq!((late.samples(), late.times_ms()), (5, Some((10, 40))));
        let taken = late.take();
        assert!(late.is_empty() && late.times_ms().is_none() && taken.contains(7));
    }

    #[test]
    fn kinds_of_values_are_chunks_of_their_own() {
        let mut late = LateStore::default();
        let histogram = LateValue::Histogram(HistogramValue::Int(Arc::new(Histogram::default())));
        for (time_ms, value) in [(20, histogram), (10, LateValue::Float(1.0)), (30, LateValue::Float(2.0))] {
            assert!(late.insert(1, time_ms, 0, value));
        }
        assert_eq!(times(&late.collect(1, 0, 100)), [[10], [20], [30]]);
    }
}
