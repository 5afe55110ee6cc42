//! The sample records of a batch.
//!
//! A batch gives one record for each kind of sample. Replay applies records one after the other, so the samples of one
//! series must not change their order: where a series changes its kind, further records are begun.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use thanoxide_model::write_batch::HistogramValue;

use super::Slot;
use crate::wal::record::{SampleRecord, SeriesRef, histogram_kind};

const FLOATS: u8 = 0;

/// Records in the order of the log, and those that still grow: floats, then histograms by kind.
#[derive(Debug, Default)]
pub(crate) struct SampleRecords {
    done: Vec<SampleRecord>,
    floats: SampleRecord,
    histograms: [SampleRecord; 4],
    /// The kind that each series has in the growing records, once there are histograms.
    kinds: HashMap<Slot, u8, FixedState>,
    has_histograms: bool,
}

impl SampleRecords {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let growing = std::iter::once(&self.floats).chain(&self.histograms);
        self.done.iter().chain(growing).map(SampleRecord::bytes).filter(|record| !record.is_empty())
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    pub(crate) fn clear(&mut self) {
        self.done.clear();
        self.floats.clear();
        self.histograms.iter_mut().for_each(SampleRecord::clear);
        self.kinds.clear();
        self.has_histograms = false;
    }

    pub(crate) fn push_float(&mut self, slot: Slot, series: SeriesRef, timestamp_ms: i64, value: f64) {
        // A batch of floats only, which most are, pays nothing for the order of kinds.
        if self.has_histograms {
            self.keep_order(slot, FLOATS);
        }
        self.floats.push_float(series, timestamp_ms, value);
    }

    pub(crate) fn push_histogram(&mut self, slot: Slot, series: SeriesRef, timestamp_ms: i64, value: &HistogramValue) {
        if !self.has_histograms {
            // Which series the floats so far belong to was not noted.
            self.finish_growing();
            self.has_histograms = true;
        }
        let kind = histogram_kind(value);
        self.keep_order(slot, kind);
        // Stock's order is 7, 9, 8, 10; between series any order is good.
        self.histograms[usize::from(kind - 7) % 4].push_histogram(series, timestamp_ms, value);
    }

    fn keep_order(&mut self, slot: Slot, kind: u8) {
        if self.kinds.insert(slot, kind).is_some_and(|before| before != kind) {
            self.finish_growing();
            self.kinds.insert(slot, kind);
        }
    }

    fn finish_growing(&mut self) {
        for record in std::iter::once(&mut self.floats).chain(&mut self.histograms) {
            if !record.bytes().is_empty() {
                self.done.push(std::mem::take(record));
            }
        }
        self.kinds.clear();
    }
}
