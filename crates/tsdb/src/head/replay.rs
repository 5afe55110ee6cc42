//! Filling a head from its log.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use thanoxide_model::Labels;
use thanoxide_model::labels::{MAX_LABEL_BYTES, push_packed};

use super::series::{Fit, Series};
use super::{Head, Slot};
use crate::wal::record::{Record, RefHistogram, RefSample, RefSeries, SeriesRef};

/// What replay did not take, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayCounts {
    /// Samples and histograms taken.
    pub samples: u64,
    /// Samples that a block holds.
    pub in_blocks: u64,
    /// Samples not newer than their series: repeated, or out of order.
    pub not_newer: u64,
    /// Samples of series that no record names.
    pub unknown_series: u64,
    /// Records that cannot be decoded.
    pub undecodable: u64,
    /// Records of a kind that is not read: exemplars and metadata.
    pub other_records: u64,
    /// Deletions, which are not applied.
    pub tombstones: u64,
}

/// Applies records to a head, one after the other.
#[derive(Debug)]
pub struct Replay<'a> {
    head: &'a mut Head,
    slots: HashMap<SeriesRef, Slot, FixedState>,
    counts: ReplayCounts,
    packed: Vec<u8>,
    segment: u32,
}

impl<'a> Replay<'a> {
    /// Begins. `segment` is the newest segment that may hold records.
    pub fn new(head: &'a mut Head, segment: u32) -> Self {
        Replay { head, slots: HashMap::default(), counts: ReplayCounts::default(), packed: Vec::new(), segment }
    }

    /// Applies one record.
    pub fn record(&mut self, bytes: &[u8]) {
        match Record::decode(bytes) {
            Ok(Record::Series(series)) => series.iter().for_each(|s| self.series(s)),
            Ok(Record::Samples(samples)) => samples.iter().for_each(|s| self.sample(s)),
            Ok(Record::Histograms(histograms)) => histograms.iter().for_each(|h| self.histogram(h)),
            Ok(Record::Tombstones(stones)) => self.counts.tombstones += stones.len() as u64,
            Ok(Record::Other(_)) => self.counts.other_records += 1,
            Err(_) => self.counts.undecodable += 1,
        }
    }

    /// Ends: series without samples go.
    pub fn finish(self) -> ReplayCounts {
        let min_valid_ms = self.head.min_valid_ms();
        self.head.truncate(min_valid_ms, self.segment);
        self.counts
    }

    fn series(&mut self, series: &RefSeries<'_>) {
        self.reserve_ref(series.series);
        if self.slots.contains_key(&series.series) {
            return;
        }
        let sorted = series.labels.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let sane = |text: &[u8]| !text.is_empty() && text.len() <= MAX_LABEL_BYTES;
        if !sorted || series.labels.is_empty() || !series.labels.iter().all(|(n, v)| sane(n) && sane(v)) {
            self.counts.undecodable += 1;
            return;
        }
        self.packed.clear();
        for (name, value) in &series.labels {
            push_packed(&mut self.packed, name);
            push_packed(&mut self.packed, value);
        }
        let hash = self.head.hash(&self.packed);
        let slot = match self.head.find(hash) {
            Some(slot) => {
                // A second name of the series: checkpoints must keep it for as long as segments use it.
                self.head.expiries.insert(series.series, self.segment);
                slot
            }
            None => self.head.insert(hash, series.series, Labels::iter_packed(&self.packed)),
        };
        self.slots.insert(series.series, slot);
    }

    fn sample(&mut self, sample: &RefSample) {
        let (t, v) = (sample.timestamp_ms, sample.value);
        if let Some(slot) = self.place(sample.series, t, |series| series.fit_float(t, v)) {
            self.head.push_float(slot, t, v);
        }
    }

    fn histogram(&mut self, sample: &RefHistogram) {
        let (t, value) = (sample.timestamp_ms, &sample.value);
        if let Some(slot) = self.place(sample.series, t, |series| series.fit_histogram(t, value)) {
            self.head.push_histogram(slot, t, value);
        }
    }

    /// Where a sample goes, if it is to be taken. Counts it either way.
    fn place(&mut self, series: SeriesRef, timestamp_ms: i64, fit: impl FnOnce(&Series) -> Fit) -> Option<Slot> {
        self.reserve_ref(series);
        let Some(slot) = self.slots.get(&series).copied() else {
            self.counts.unknown_series += 1;
            return None;
        };
        if timestamp_ms < self.head.min_valid_ms {
            self.counts.in_blocks += 1;
            return None;
        }
        if self.head.slab.get(slot).map(fit) != Some(Fit::Newest) {
            self.counts.not_newer += 1;
            return None;
        }
        self.counts.samples += 1;
        Some(slot)
    }

    /// Even a reference without a series must not be given to another one.
    fn reserve_ref(&mut self, series: SeriesRef) {
        self.head.next_ref = self.head.next_ref.max(series.saturating_add(1));
    }
}
