//! Samples that came too late for their series' open chunk, and are taken all the same.
//!
//! As in Prometheus, the late samples of a series are kept sorted, up to [`LateStore::chunk_samples`] of them; of two at one
//! time the first stays. What is full is encoded and set aside, and may overlap with what comes later. Readers get all of
//! it beside the chunks in order, and merge. A cut takes the whole store and turns it into blocks of their own. How the
//! engine is to use it is told in `docs/decisions/0004-late-samples.md`.

use hashbrown::HashMap;
use thanoxide_model::write_batch::HistogramValue;

use super::Slot;
use crate::chunk::{Chunk, ChunkSample, SampleValue};
use crate::compact::encode_samples;

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
    series: HashMap<Slot, LateSeries, foldhash::fast::FixedState>,
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
    pub fn contains(&self, slot: Slot) -> bool {
        self.series.contains_key(&slot)
    }

    /// The series that have any, in no order.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.series.keys().copied()
    }

    /// Takes a sample; false where there is one of its time already in the open chunk, which then stays.
    pub fn insert(&mut self, slot: Slot, timestamp_ms: i64, value: LateValue) -> bool {
        let series = self.series.entry(slot).or_default();
        if series.open.len() >= self.chunk_samples {
            series.set_aside();
        }
        if !series.insert(LateSample { timestamp_ms, value }) {
            return false;
        }
        self.samples += 1;
        self.min_time_ms = self.min_time_ms.min(timestamp_ms);
        self.max_time_ms = self.max_time_ms.max(timestamp_ms);
        true
    }

    /// The chunks of a series that have samples in `min_ms..=max_ms`, in order of their first times. They may overlap.
    pub fn collect(&self, slot: Slot, min_ms: i64, max_ms: i64) -> Vec<Chunk> {
        let Some(series) = self.series.get(&slot) else { return Vec::new() };
        let mut chunks = series.full.clone();
        chunks.extend(encode(&series.open));
        chunks.retain(|chunk| chunk.min_time_ms <= max_ms && chunk.max_time_ms >= min_ms);
        chunks.sort_by_key(|chunk| (chunk.min_time_ms, chunk.max_time_ms));
        chunks
    }

    /// Gives up all that is there, for a cut. What comes meanwhile begins anew.
    pub fn take(&mut self) -> LateStore {
        std::mem::replace(self, LateStore::new(self.chunk_samples))
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
        start_timestamp_ms: 0,
        value: value(&sample.value),
    });
    encode_samples(samples)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thanoxide_model::Histogram;

    use super::*;
    use crate::chunk::samples;

    fn times(chunks: &[Chunk]) -> Vec<Vec<i64>> {
        chunks.iter().map(|chunk| samples(chunk).unwrap().map(|s| s.unwrap().timestamp_ms).collect()).collect()
    }

    #[test]
    fn samples_are_sorted_and_the_first_of_a_time_stays() {
        let mut late = LateStore::new(4);
        for (time_ms, value) in [(30, 1.0), (10, 2.0), (20, 3.0), (10, 4.0)] {
            assert_eq!(late.insert(7, time_ms, LateValue::Float(value)), value != 4.0);
        }
        assert_eq!(times(&late.collect(7, 0, 100)), [[10, 20, 30]]);
        // A full chunk is set aside when the next sample comes; the one that comes may be of a time in it.
        assert!(late.insert(7, 40, LateValue::Float(5.0)) && late.insert(7, 20, LateValue::Float(6.0)));
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
            assert!(late.insert(1, time_ms, value));
        }
        assert_eq!(times(&late.collect(1, 0, 100)), [[10], [20], [30]]);
    }
}
