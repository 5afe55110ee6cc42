//! The exemplars of a head: taking those of a batch, saving and restoring them.

use thanoxide_model::exemplar::is_short_enough;
use thanoxide_model::write_batch::SeriesSpan;
use thanoxide_model::{Exemplar, Labels, Matcher, SeriesExemplars, Verdict, WriteBatch};

use super::append::{LateLimits, Scratch};
use super::{Head, Slot};
use crate::exemplars::{ExemplarStats, Exemplars, Judged};
use crate::log::exemplars::{ExemplarSeries, ExemplarsWriter};
use crate::wal::record::SeriesRef;

impl Head {
    /// The same with room for so many exemplars.
    pub fn with_exemplars(mut self, max: usize) -> Self {
        self.exemplars = Exemplars::new(max);
        self
    }

    /// How many exemplars there are.
    pub fn exemplar_stats(&self) -> ExemplarStats {
        self.exemplars.stats()
    }

    /// The exemplars of a time range, of series that satisfy all matchers of any set, by series' labels.
    pub fn select_exemplars(&self, sets: &[Vec<Matcher>], min_time_ms: i64, max_time_ms: i64) -> Vec<SeriesExemplars> {
        self.exemplars.select(sets, min_time_ms, max_time_ms)
    }

    /// All exemplars with the labels of their series, in the order in which they came.
    pub(crate) fn all_exemplars(&self) -> Vec<(Labels, Exemplar)> {
        self.exemplars.iter().map(|(labels, exemplar)| (labels.clone(), exemplar.clone())).collect()
    }

    /// Takes those of one series of a batch. They are judged by what was there before it, as in Prometheus: of those that are
    /// too late only for one another, the later ones are left out without a word.
    pub(super) fn append_exemplars(
        &mut self,
        batch: &WriteBatch,
        (index, span): (u32, &SeriesSpan),
        place: Option<(Slot, SeriesRef)>,
        late: LateLimits,
        scratch: &mut Scratch,
    ) {
        let sent = batch.exemplars_of(span);
        let Some((slot, series_ref)) = place.filter(|_| !self.exemplars.is_off()) else {
            scratch.dropped_exemplars += sent.len() as u64;
            return;
        };
        let Some(hash) = self.slab.get(slot).map(|series| series.hash) else { return };
        let window_ms = if late.refuse { 0 } else { late.window_ms };
        let mut taken = Vec::with_capacity(sent.len());
        for sent in sent {
            let labels = &batch.labels[sent.labels.start as usize..sent.labels.end as usize];
            let labels = labels.iter().map(|label| (batch.text(label.name), batch.text(label.value)));
            if !is_short_enough(labels.clone()) {
                scratch.reject(index, Verdict::ExemplarLabelLength, 1);
                continue;
            }
            let (timestamp_ms, value) = (sent.timestamp_ms, sent.value);
            let exemplar = Exemplar { labels: Labels::from_pairs(labels), timestamp_ms, value };
            match self.exemplars.judge(hash, &exemplar, window_ms) {
                Judged::New => taken.push(exemplar),
                Judged::Known => {}
                Judged::Refused(verdict) => {
                    self.exemplars.note_refused(verdict);
                    scratch.reject(index, verdict, 1);
                }
            }
        }
        for exemplar in taken {
            if self.push_exemplar(slot, hash, exemplar.clone(), window_ms) == Judged::New {
                scratch.exemplars.push(&ExemplarSeries::Ref(series_ref), &exemplar);
            }
        }
    }

    fn push_exemplar(&mut self, slot: Slot, hash: u128, exemplar: Exemplar, window_ms: i64) -> Judged {
        let Head { exemplars, slab, labels: texts, .. } = self;
        let labels = || {
            let pairs = slab.get(slot).map_or(&[][..], |series| &series.labels);
            Labels::from_sorted(pairs.iter().map(|label| texts.text(*label)))
        };
        exemplars.push(hash, labels, exemplar, window_ms)
    }

    /// Takes one that a stock head has.
    pub(crate) fn import_exemplar(&mut self, labels: &Labels, exemplar: Exemplar, window_ms: i64) {
        let hash = self.hash(labels.as_packed());
        self.exemplars.push(hash, || labels.clone(), exemplar, window_ms);
    }

    /// Takes one that a snapshot or the log has, unless it is there.
    pub(super) fn restore_exemplar(&mut self, labels: &Labels, exemplar: Exemplar) {
        let hash = self.hash(labels.as_packed());
        self.exemplars.restore(hash, || labels.clone(), exemplar);
    }

    /// The labels of the series in a slot.
    pub(super) fn labels_in(&self, slot: Slot) -> Option<Labels> {
        self.slab.get(slot).map(|series| Labels::from_sorted(self.labels_of(series)))
    }

    /// All exemplars as payloads for a snapshot, each of about so many bytes.
    pub(crate) fn save_exemplars(&self, frame_bytes: usize) -> Vec<Vec<u8>> {
        let (mut payloads, mut writer) = (Vec::new(), ExemplarsWriter::default());
        for (labels, exemplar) in self.exemplars.iter() {
            writer.push(&ExemplarSeries::Labels(labels.clone()), exemplar);
            if writer.bytes().len() >= frame_bytes {
                payloads.push(writer.bytes().to_vec());
                writer.clear();
            }
        }
        if !writer.bytes().is_empty() {
            payloads.push(writer.bytes().to_vec());
        }
        payloads
    }
}
