//! Taking a batch: finding or making its series, judging each sample, and writing down what was taken.

use thanoxide_model::write_batch::{HistogramValue, SeriesSpan};
use thanoxide_model::{StartTimes, Verdict, WriteBatch, is_stale_nan};

use super::late::LateValue;
use super::open_chunk::At;
use super::packing::{NewSeries, RUN, Run};
use super::sample_records::SampleRecords;
use super::series::{DEFINITIONS, Fit, Series};
use super::{Head, Slot};
use crate::log::FrameKind;
use crate::log::definitions::DefinitionsWriter;
use crate::log::exemplars::ExemplarsWriter;
use crate::wal::record::SeriesRef;

/// What bounds one batch.
struct Bounds<'a> {
    /// The oldest time that is taken in order, and late.
    min_time_ms: i64,
    /// What is older than that, but not than this, is taken as late samples are: it would be in order, had its head not been cut early.
    early_from_ms: i64,
    late_from_ms: i64,
    limits: AppendLimits,
    /// Since when the samples count; `None` where that is not kept.
    starts: Option<&'a StartTimes>,
}

impl Bounds<'_> {
    fn float_at(&self, index: u32, timestamp_ms: i64) -> At {
        At { timestamp_ms, start_ms: self.starts.map(|starts| starts.sample_ms(index)) }
    }

    fn histogram_at(&self, index: u32, timestamp_ms: i64) -> At {
        At { timestamp_ms, start_ms: self.starts.map(|starts| starts.histogram_ms(index)) }
    }

    /// What becomes of a sample that does not fit in order.
    fn late(&self, timestamp_ms: i64) -> Fit {
        let LateLimits { window_ms, refuse } = self.limits.late;
        Fit::Refused(match timestamp_ms {
            t if window_ms == 0 && t < self.early_from_ms => Verdict::OutOfBounds,
            _ if window_ms == 0 => Verdict::OutOfOrder,
            t if t < self.late_from_ms => Verdict::TooOld,
            _ if refuse => Verdict::OutOfOrder,
            _ => return Fit::Late,
        })
    }
}

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
    /// What comes out of order.
    pub late: LateLimits,
    /// Whether the start times of samples in order are kept.
    pub keep_starts: bool,
}

/// Which samples are taken that are not newer than their series, or older than what is taken in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LateLimits {
    /// How much older than the newest sample of the head when the batch begins; 0 takes none.
    pub window_ms: i64,
    /// Takes none all the same.
    pub refuse: bool,
}

/// What a batch leaves behind, and buffers to use again.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Samples and histograms taken, those known already included.
    pub accepted: u64,
    /// What was not taken, in the order of the batch.
    pub rejected: Vec<Rejected>,
    /// Exemplars that nobody looked at: none are stored, or their series has no place for them.
    pub dropped_exemplars: u64,
    run: Run,
    definitions: Vec<u8>,
    definitions_writer: DefinitionsWriter,
    records: SampleRecords,
    pub(super) exemplars: ExemplarsWriter,
    pub(super) metadata: Vec<u8>,
}

impl Scratch {
    /// The payloads for the log, in their order.
    pub fn payloads(&self) -> impl Iterator<Item = (FrameKind, &[u8])> {
        let definitions = Some(self.definitions.as_slice()).filter(|payload| !payload.is_empty());
        let exemplars = Some(self.exemplars.bytes()).filter(|payload| !payload.is_empty());
        let first = definitions.map(|payload| (FrameKind::Definitions, payload)).into_iter();
        let metadata = Some(self.metadata.as_slice()).filter(|payload| !payload.is_empty());
        let last = exemplars.map(|payload| (FrameKind::Exemplars, payload)).into_iter();
        first.chain(self.records.iter()).chain(last).chain(metadata.map(|payload| (FrameKind::Metadata, payload)))
    }

    /// Gives back what only a large batch needed.
    pub fn release_memory(&mut self) {
        const KEEP_BYTES: usize = 64 * 1024;
        let others = self.run.packed.capacity().max(self.exemplars.bytes().len()).max(self.metadata.capacity());
        if self.definitions.capacity().max(self.records.len_bytes()).max(others) > KEEP_BYTES {
            *self = Scratch::default();
        }
    }

    fn clear(&mut self) {
        self.accepted = 0;
        self.rejected.clear();
        self.dropped_exemplars = 0;
        self.exemplars.clear();
        self.metadata.clear();
        self.definitions.clear();
        self.definitions_writer.clear();
        self.records.clear();
    }

    pub(super) fn reject(&mut self, series: u32, verdict: Verdict, samples: usize) {
        if samples == 0 {
            return;
        }
        match self.rejected.last_mut() {
            Some(last) if last.series == series && last.verdict == verdict => last.samples += samples as u32,
            _ => self.rejected.push(Rejected { series, verdict, samples: samples as u32 }),
        }
    }
}

/// A series of the batch.
struct Target<'b> {
    index: u32,
    /// What it is made of, unless it is there.
    new: NewSeries<'b>,
    /// Once it is found or made.
    place: Option<(Slot, SeriesRef)>,
    /// Whether a sample of the batch is new to it.
    grew: bool,
    /// Whether the sample before was not taken. Like stock, we then leave out the exemplars that follow.
    refused: bool,
}

impl Target<'_> {
    fn refuse_histogram(&mut self, scratch: &mut Scratch) {
        self.refused = true;
        scratch.reject(self.index, Verdict::InvalidHistogram, 1);
    }
}

impl Head {
    /// Takes what can be taken of a batch. What the log must hold of it is in `scratch` afterwards.
    pub fn append(&mut self, batch: &WriteBatch, limits: &AppendLimits, scratch: &mut Scratch) {
        scratch.clear();
        let bounds = self.bounds(batch, limits);
        let mut run = std::mem::take(&mut scratch.run);
        for (first, spans) in (0u32..).step_by(RUN).zip(batch.series.chunks(RUN)) {
            self.prepare(batch, spans, &mut run);
            for ((index, span), prepared) in (first..).zip(spans).zip(&run.series) {
                if let Some(verdict) = prepared.refused {
                    scratch.reject(index, verdict, span.samples.len() + span.histograms.len());
                    continue;
                }
                // One that the head did not have may have come with the run itself.
                let place = prepared.place.or_else(|| self.place_of(prepared.hash));
                let target = Target { index, new: run.new_series(prepared), place, grew: false, refused: false };
                self.append_series(batch, span, target, &bounds, scratch);
            }
        }
        self.append_metadata(batch, scratch);
        scratch.run = run;
        self.appended += scratch.accepted;
    }

    /// The oldest times that are still taken: fixed for a batch when it begins.
    fn bounds<'b>(&self, batch: &'b WriteBatch, limits: &AppendLimits) -> Bounds<'b> {
        let mut newest_ms = self.max_time_ms;
        if newest_ms == i64::MIN {
            // The first sample ever sets the time, as in Prometheus; one from the future must not.
            let times = batch.series.iter().flat_map(|span| {
                let floats = batch.samples_of(span).iter().map(|s| s.timestamp_ms);
                floats.chain(batch.histograms_of(span).iter().map(|h| h.timestamp_ms))
            });
            newest_ms = times.into_iter().find(|t| *t <= limits.max_time_ms).unwrap_or(i64::MIN);
        }
        let oldest_ms = newest_ms.saturating_sub(self.chunk_range_ms / 2);
        let min_time_ms = self.min_valid_ms.max(oldest_ms);
        let early_from_ms = self.cut_early_from_ms.max(oldest_ms).min(min_time_ms);
        let late_from_ms = newest_ms.saturating_sub(limits.late.window_ms);
        let starts = limits.keep_starts.then_some(&batch.starts);
        Bounds { min_time_ms, early_from_ms, late_from_ms, limits: *limits, starts }
    }

    fn append_series(
        &mut self,
        batch: &WriteBatch,
        span: &SeriesSpan,
        mut target: Target<'_>,
        bounds: &Bounds<'_>,
        scratch: &mut Scratch,
    ) {
        let (floats, histograms) = (batch.samples_of(span), batch.histograms_of(span));
        for (index, sample) in (span.samples.start..).zip(floats) {
            let at = bounds.float_at(index, sample.timestamp_ms);
            self.append_float(at, sample.value, &mut target, bounds, scratch);
        }
        for (index, sample) in (span.histograms.start..).zip(histograms) {
            let at = bounds.histogram_at(index, sample.timestamp_ms);
            match sample.value.validate() {
                Ok(()) => self.append_histogram(at, &sample.value, &mut target, bounds, scratch),
                Err(_) => target.refuse_histogram(scratch),
            }
        }
        self.define(&target, scratch);
        if !span.exemplars.is_empty() {
            let place = target.place.filter(|_| !target.refused);
            self.append_exemplars(batch, (target.index, span), place, bounds.limits.late, scratch);
        }
    }

    #[inline]
    fn append_float(&mut self, at: At, v: f64, target: &mut Target<'_>, bounds: &Bounds<'_>, scratch: &mut Scratch) {
        let t = at.timestamp_ms;
        if is_stale_nan(v)
            && let Some(stale) = self.series(target).and_then(Series::stale_histogram)
        {
            return self.append_histogram(at, &stale, target, bounds, scratch);
        }
        let fit = self.fit(t, target, bounds, |series| series.fit_float(t, v));
        match self.settle(fit, target, scratch) {
            Some((_, series_ref)) if fit == Fit::Late => self.take_late(series_ref, at, LateValue::Float(v), scratch),
            Some((slot, series_ref)) => {
                self.push_float(slot, at, v);
                scratch.records.push_float(slot, series_ref, at, v);
            }
            None => {}
        }
    }

    fn append_histogram(
        &mut self,
        at: At,
        value: &HistogramValue,
        target: &mut Target<'_>,
        bounds: &Bounds<'_>,
        scratch: &mut Scratch,
    ) {
        let t = at.timestamp_ms;
        let fit = self.fit(t, target, bounds, |series| series.fit_histogram(t, value));
        match self.settle(fit, target, scratch) {
            Some((_, series_ref)) if fit == Fit::Late => {
                self.take_late(series_ref, at, LateValue::Histogram(value.clone()), scratch);
            }
            Some((slot, series_ref)) => {
                self.push_histogram(slot, at, value);
                scratch.records.push_histogram(slot, series_ref, at, value);
            }
            None => {}
        }
    }

    fn take_late(&mut self, series_ref: SeriesRef, at: At, value: LateValue, scratch: &mut Scratch) {
        let (t, start_ms) = (at.timestamp_ms, at.start_ms.unwrap_or_default());
        // One that is there already, with whatever value, is left out without a word, as in Prometheus.
        if self.late.current.insert(series_ref, t, start_ms, value.clone()) {
            scratch.records.push_late(series_ref, t, start_ms, &value);
        }
    }

    fn fit(&self, t: i64, target: &Target<'_>, bounds: &Bounds<'_>, of_series: impl FnOnce(&Series) -> Fit) -> Fit {
        if t > bounds.limits.max_time_ms {
            return Fit::Refused(Verdict::TooFarInFuture);
        }
        let series = self.series(target);
        let fit = match series.map_or(Fit::Newest, of_series) {
            _ if t < bounds.early_from_ms => bounds.late(t),
            Fit::Newest if t < bounds.min_time_ms => Fit::Late,
            Fit::Refused(Verdict::OutOfOrder) => bounds.late(t),
            fit => fit,
        };
        let full = series.is_none() && self.table.len() >= bounds.limits.max_series;
        match fit {
            Fit::Newest | Fit::Late if full => Fit::Refused(Verdict::SeriesLimit),
            fit => fit,
        }
    }

    /// Counts the sample, and says where it goes if it is new. A series is made only now, for a sample that it will hold.
    fn settle(&mut self, fit: Fit, target: &mut Target<'_>, scratch: &mut Scratch) -> Option<(Slot, SeriesRef)> {
        target.refused = matches!(fit, Fit::Refused(_));
        match fit {
            Fit::Refused(verdict) => {
                scratch.reject(target.index, verdict, 1);
                return None;
            }
            Fit::Known => {
                scratch.accepted += 1;
                return None;
            }
            Fit::Newest | Fit::Late => scratch.accepted += 1,
        }
        target.grew = true;
        if let Some((slot, _)) = target.place {
            self.keep_for_readers(slot);
        }
        Some(*target.place.get_or_insert_with(|| self.create(&target.new)))
    }

    /// Writes down the definition of a series that grew, unless the log has it often enough. Once in a batch: the next is
    /// to be in another frame.
    fn define(&mut self, target: &Target<'_>, scratch: &mut Scratch) {
        let Some((slot, series_ref)) = target.place.filter(|_| target.grew) else { return };
        let Some(series) = self.slab.get_mut(slot).filter(|series| series.definitions() < DEFINITIONS) else { return };
        series.set_definitions(series.definitions() + 1);
        let (out, labels) = (&mut scratch.definitions, &self.labels);
        scratch.definitions_writer.push(out, series_ref, &series.labels, |label| labels.text(label));
    }

    fn series(&self, target: &Target<'_>) -> Option<&Series> {
        self.slab.get(target.place?.0)
    }

    fn create(&mut self, new: &NewSeries<'_>) -> (Slot, SeriesRef) {
        let series_ref = self.take_ref();
        (self.insert_noted(series_ref, new), series_ref)
    }

    /// A reference that no series had before.
    pub(super) fn take_ref(&mut self) -> SeriesRef {
        let series_ref = self.next_ref;
        self.next_ref += 1;
        series_ref
    }

    pub(super) fn push_float(&mut self, slot: Slot, at: At, value: f64) {
        if let Some(series) = self.slab.get_mut(slot) {
            self.chunks += series.push_float(at, value, self.chunk_range_ms, &self.store);
            self.note_time(at.timestamp_ms);
        }
    }

    pub(super) fn push_histogram(&mut self, slot: Slot, at: At, value: &HistogramValue) {
        if let Some(series) = self.slab.get_mut(slot) {
            self.chunks += series.push_histogram(at, value, self.chunk_range_ms, &self.store);
            self.note_time(at.timestamp_ms);
        }
    }

    pub(super) fn note_time(&mut self, timestamp_ms: i64) {
        self.min_time_ms = self.min_time_ms.min(timestamp_ms);
        self.swept_min_time_ms = self.swept_min_time_ms.min(timestamp_ms);
        self.max_time_ms = self.max_time_ms.max(timestamp_ms);
    }
}
