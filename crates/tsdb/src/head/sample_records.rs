//! The samples of a batch, as payloads for the log.
//!
//! A batch gives one payload of floats and one of histograms. Replay applies them one after the other, so the samples of
//! one series must not change their order: where a series changes its kind, further payloads are begun.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use thanoxide_model::write_batch::HistogramValue;

use super::Slot;
use super::late::{LateRecords, LateValue};
use super::open_chunk::At;
use crate::log::FrameKind;
use crate::log::floats::FloatsWriter;
use crate::log::histograms::HistogramsWriter;
use crate::wal::record::SeriesRef;

/// Payloads in the order of the log, and those that still grow: floats, then histograms.
#[derive(Debug, Default)]
pub(crate) struct SampleRecords {
    done: Vec<(FrameKind, Vec<u8>)>,
    floats: FloatsWriter,
    histograms: HistogramsWriter,
    /// Late ones go anywhere in their series, so their order among the others does not matter.
    late: LateRecords,
    /// The kind that each series has in the growing payloads, once there are histograms.
    kinds: HashMap<Slot, FrameKind, FixedState>,
    has_histograms: bool,
    /// Whether the samples have start times. All of a batch have, or none.
    started: bool,
}

impl SampleRecords {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FrameKind, &[u8])> {
        let growing = self.growing();
        let done = self.done.iter().map(|(kind, payload)| (*kind, payload.as_slice()));
        done.chain(growing).filter(|(_, payload)| !payload.is_empty()).chain(self.late.iter())
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.iter().map(|(_, payload)| payload.len()).sum()
    }

    pub(crate) fn clear(&mut self) {
        self.done.clear();
        self.floats.clear();
        self.histograms.clear();
        self.late.clear();
        self.kinds.clear();
        self.has_histograms = false;
        self.started = false;
    }

    fn growing(&self) -> [(FrameKind, &[u8]); 2] {
        let (floats, histograms) = match self.started {
            false => (FrameKind::Floats, FrameKind::Histograms),
            true => (FrameKind::StartedFloats, FrameKind::StartedHistograms),
        };
        [(floats, self.floats.bytes()), (histograms, self.histograms.bytes())]
    }

    pub(crate) fn push_late(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: &LateValue) {
        self.late.push(series, timestamp_ms, start_ms, value);
    }

    pub(crate) fn push_float(&mut self, slot: Slot, series: SeriesRef, at: At, value: f64) {
        // A batch of floats only, which most are, pays nothing for the order of kinds.
        if self.has_histograms {
            self.keep_order(slot, FrameKind::Floats);
        }
        self.floats.push(series, at.timestamp_ms, value);
        if let Some(start_ms) = at.start_ms {
            self.started = true;
            self.floats.push_start(start_ms);
        }
    }

    pub(crate) fn push_histogram(&mut self, slot: Slot, series: SeriesRef, at: At, value: &HistogramValue) {
        if !self.has_histograms {
            // Which series the floats so far belong to was not noted.
            self.finish_growing();
            self.has_histograms = true;
        }
        self.keep_order(slot, FrameKind::Histograms);
        self.histograms.push(series, at.timestamp_ms, value);
        if let Some(start_ms) = at.start_ms {
            self.started = true;
            self.histograms.push_start(start_ms);
        }
    }

    fn keep_order(&mut self, slot: Slot, kind: FrameKind) {
        if self.kinds.insert(slot, kind).is_some_and(|before| before != kind) {
            self.finish_growing();
            self.kinds.insert(slot, kind);
        }
    }

    fn finish_growing(&mut self) {
        let full = self.growing().into_iter().filter(|(_, payload)| !payload.is_empty());
        let full: Vec<_> = full.map(|(kind, payload)| (kind, payload.to_vec())).collect();
        self.done.extend(full);
        self.floats.clear();
        self.histograms.clear();
        self.kinds.clear();
    }
}
