//! Taking a batch: finding or making its series, judging each sample, and writing down what was taken.

use thanoxide_model::labels::{MAX_LABEL_BYTES, push_packed};
use thanoxide_model::write_batch::SeriesSpan;
use thanoxide_model::{Labels, Verdict, WriteBatch};

use super::series::Fit;
use super::{Head, Slot};
use crate::wal::record::{SampleRecord, SeriesRef, begin_series, push_series};

/// Samples of one series that were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Index of the series in the batch.
    pub series: u32,
    /// Why.
    pub verdict: Verdict,
    /// How many.
    pub samples: u32,
}

/// What bounds a batch from outside the head.
#[derive(Clone, Copy, Debug)]
pub struct AppendLimits {
    /// Samples after this time are not taken.
    pub max_time_ms: i64,
    /// As many series as there may be.
    pub max_series: usize,
}

/// What a batch leaves behind, and buffers to use again.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Samples and histograms taken, those known already included.
    pub accepted: u64,
    /// What was not taken.
    pub rejected: Vec<Rejected>,
    packed: Vec<u8>,
    series: Vec<u8>,
    floats: SampleRecord,
}

impl Scratch {
    /// The records for the log, in their order.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        // A record of series that has only its type byte says nothing.
        let series = Some(self.series.as_slice()).filter(|record| record.len() > 1);
        series.into_iter().chain(Some(self.floats.bytes()).filter(|record| !record.is_empty()))
    }

    /// Gives back what only a large batch needed.
    pub fn release_memory(&mut self) {
        const KEEP_BYTES: usize = 64 * 1024;
        if self.series.capacity().max(self.floats.bytes().len()) > KEEP_BYTES {
            *self = Scratch::default();
        }
    }

    fn clear(&mut self) {
        self.accepted = 0;
        self.rejected.clear();
        begin_series(&mut self.series);
        self.floats.clear();
    }

    fn reject(&mut self, series: u32, verdict: Verdict, samples: usize) {
        if samples == 0 {
            return;
        }
        match self.rejected.last_mut() {
            Some(last) if last.series == series && last.verdict == verdict => last.samples += samples as u32,
            _ => self.rejected.push(Rejected { series, verdict, samples: samples as u32 }),
        }
    }
}

/// A series of the batch, once it is found.
struct Target {
    slot: Slot,
    series_ref: SeriesRef,
}

impl Head {
    /// Takes what can be taken of a batch. What the log must hold of it is in `scratch` afterwards.
    pub fn append(&mut self, batch: &WriteBatch, limits: &AppendLimits, scratch: &mut Scratch) {
        scratch.clear();
        let min_valid_ms = self.appendable_from(batch, limits);
        for (index, span) in batch.series.iter().enumerate() {
            self.append_series(batch, index as u32, span, min_valid_ms, limits, scratch);
        }
        self.appended += scratch.accepted;
    }

    /// The oldest time that is still taken: fixed for a batch when it begins.
    pub fn appendable_from_ms(&self) -> i64 {
        self.appendable_with(self.max_time_ms)
    }

    fn appendable_with(&self, max_time_ms: i64) -> i64 {
        self.min_valid_ms.max(max_time_ms.saturating_sub(self.chunk_range_ms / 2))
    }

    fn appendable_from(&self, batch: &WriteBatch, limits: &AppendLimits) -> i64 {
        if self.max_time_ms != i64::MIN {
            return self.appendable_from_ms();
        }
        // The first sample ever sets the time, as in Prometheus; one from the future must not.
        let times = batch.series.iter().flat_map(|span| {
            let floats = batch.samples_of(span).iter().map(|s| s.timestamp_ms);
            floats.chain(batch.histograms_of(span).iter().map(|h| h.timestamp_ms))
        });
        self.appendable_with(times.into_iter().find(|t| *t <= limits.max_time_ms).unwrap_or(i64::MIN))
    }

    fn append_series(
        &mut self,
        batch: &WriteBatch,
        index: u32,
        span: &SeriesSpan,
        min_valid_ms: i64,
        limits: &AppendLimits,
        scratch: &mut Scratch,
    ) {
        let (floats, histograms) = (batch.samples_of(span), batch.histograms_of(span));
        if let Err(verdict) = pack_labels(batch, span, &mut scratch.packed) {
            return scratch.reject(index, verdict, floats.len() + histograms.len());
        }
        scratch.reject(index, Verdict::Unsupported, histograms.len());
        let hash = self.hash(&scratch.packed);
        let mut target = self.find(hash).map(|slot| self.target(slot));
        for sample in floats {
            let (t, v) = (sample.timestamp_ms, sample.value);
            let verdict = match &target {
                _ if t < min_valid_ms => Fit::Refused(Verdict::OutOfBounds),
                _ if t > limits.max_time_ms => Fit::Refused(Verdict::TooFarInFuture),
                Some(target) => self.slab.get(target.slot).map_or(Fit::Newest, |series| series.fit_float(t, v)),
                None if self.table.len() >= limits.max_series => Fit::Refused(Verdict::SeriesLimit),
                None => Fit::Newest,
            };
            match verdict {
                Fit::Refused(verdict) => scratch.reject(index, verdict, 1),
                Fit::Known => scratch.accepted += 1,
                Fit::Newest => {
                    let target = target.get_or_insert_with(|| self.create(hash, scratch));
                    self.push_float(target.slot, t, v);
                    scratch.floats.push_float(target.series_ref, t, v);
                    scratch.accepted += 1;
                }
            }
        }
    }

    fn target(&self, slot: Slot) -> Target {
        Target { slot, series_ref: self.slab.get(slot).map_or(0, |series| series.series_ref) }
    }

    /// Makes the series whose packed labels are in the scratch.
    fn create(&mut self, hash: u128, scratch: &mut Scratch) -> Target {
        let series_ref = self.next_ref;
        self.next_ref += 1;
        let labels: Vec<_> = Labels::iter_packed(&scratch.packed).collect();
        push_series(&mut scratch.series, series_ref, labels.iter().copied());
        Target { slot: self.insert(hash, series_ref, labels.into_iter()), series_ref }
    }

    pub(super) fn push_float(&mut self, slot: Slot, timestamp_ms: i64, value: f64) {
        if let Some(series) = self.slab.get_mut(slot) {
            self.chunks += series.push_float(timestamp_ms, value, self.chunk_range_ms);
            self.min_time_ms = self.min_time_ms.min(timestamp_ms);
            self.max_time_ms = self.max_time_ms.max(timestamp_ms);
        }
    }
}

/// Checks the labels of a series and packs them as [`Labels`] does, without those of empty value.
fn pack_labels(batch: &WriteBatch, span: &SeriesSpan, packed: &mut Vec<u8>) -> Result<(), Verdict> {
    packed.clear();
    let mut last: Option<&[u8]> = None;
    for (name, value) in batch.labels_of(span) {
        if name.is_empty() {
            return Err(Verdict::EmptyLabelName);
        }
        if name.len() > MAX_LABEL_BYTES || value.len() > MAX_LABEL_BYTES {
            return Err(Verdict::LabelTooLong);
        }
        match last.map(|last| last.cmp(name)) {
            Some(std::cmp::Ordering::Equal) => return Err(Verdict::DuplicateLabel),
            Some(std::cmp::Ordering::Greater) => return Err(Verdict::UnsortedLabels),
            _ => last = Some(name),
        }
        if !value.is_empty() {
            push_packed(packed, name);
            push_packed(packed, value);
        }
    }
    if packed.is_empty() { Err(Verdict::EmptyLabels) } else { Ok(()) }
}
