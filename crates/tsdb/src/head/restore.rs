//! Filling a head from a snapshot and the log behind it.
//!
//! First the snapshot's series, then all definitions and marks of the log, then its samples in order. What is not newer
//! than its series is there already.

mod counts;
mod decoded;
mod parts;

use std::sync::Arc;

use super::late::LateValue;
use super::open_chunk::At;
use super::replay::{self, Applied, Replay, Rules};
use super::series::{DEFINITIONS, Fit, Series};
use super::{Head, Slot};
use crate::chunk::ChunkError;
use crate::encoding::{DecodeError, Reader};
use crate::log::definitions::DefinedReader;
use crate::log::deletions::{Deletion, DeletionsReader};
use crate::log::exemplars::{ExemplarSeries, ExemplarsReader};
use crate::log::floats::FloatsReader;
use crate::log::histograms::HistogramsReader;
use crate::log::{Frame, FrameKind, Position};
use crate::wal::record::{RefSample, SeriesRef};

pub use counts::RestoreCounts;
pub(crate) use decoded::{DecodedDefinitions, DecodedFloats, DecodedSeries, SeriesDecoder};
use decoded::{DefinedRun, Saved};

/// No head makes so many series.
const MAX_REF: SeriesRef = 1 << 62;

/// Fills one head.
#[derive(Debug)]
pub(crate) struct Restore {
    head: Head,
    decoder: SeriesDecoder,
    /// Slots by reference; sorted before the first sample.
    slots: Vec<(SeriesRef, Slot)>,
    sorted: bool,
    /// Where the next reference is likely found.
    cursor: usize,
    /// The same among repeated definitions.
    defined: usize,
    counts: RestoreCounts,
    /// Late samples that came up to this position of the log are in blocks.
    late_cut: Position,
    /// Frames of a snapshot that wait for all definitions and marks of the log.
    waiting: Vec<(FrameKind, Position, Vec<u8>)>,
    /// The snapshot has the exemplars that came up to this position of the log.
    exemplars_saved: Position,
    replay: Replay,
    /// Bytes of floats in the log that are not applied yet.
    floats_left: usize,
    applied: Applied,
    /// Whether there may be series without samples.
    some_may_go: bool,
    threads: usize,
}

impl Restore {
    /// Fills a head, with so many threads at most.
    pub(crate) fn new(head: Head, threads: usize) -> Self {
        Restore {
            decoder: SeriesDecoder::new(head.hash_key, Arc::clone(&head.store)),
            head,
            slots: Vec::new(),
            sorted: true,
            cursor: 0,
            defined: 0,
            counts: RestoreCounts::default(),
            late_cut: 0,
            waiting: Vec::new(),
            exemplars_saved: 0,
            replay: Replay::default(),
            floats_left: 0,
            applied: Applied::default(),
            some_may_go: false,
            threads,
        }
    }

    /// Applies a frame of a snapshot.
    pub(crate) fn snapshot_frame(&mut self, frame: &Frame<'_>) {
        let mut reader = Reader::new(frame.payload);
        let read = match frame.kind {
            Some(FrameKind::Tenant) => self.tenant(&mut reader),
            Some(kind @ (FrameKind::Series | FrameKind::PiecedSeries)) => {
                let decoded = self.decoder.series(kind, frame.payload);
                self.decoder.tell();
                self.snapshot_series(frame.tenant, decoded);
                Ok(())
            }
            Some(kind) if kind.is_late() || kind == FrameKind::Tombstones => {
                self.waiting.push((kind, frame.position, frame.payload.to_vec()));
                Ok(())
            }
            Some(FrameKind::Metadata) => self.head.restore_metadata(frame.payload).map_err(ChunkError::from),
            Some(FrameKind::SavedExemplars) => {
                self.exemplars_saved = self.exemplars_saved.max(frame.position);
                self.exemplars(frame.payload).map_err(ChunkError::from)
            }
            _ => Ok(()),
        };
        if let Err(error) = read {
            self.note_damage(frame.tenant, &error);
        }
    }

    /// Counts a part of a snapshot that cannot be decoded.
    fn note_damage(&mut self, tenant: &[u8], error: &ChunkError) {
        tracing::warn!(tenant = %String::from_utf8_lossy(tenant), %error, "part of a snapshot is damaged");
        self.counts.undecodable += 1;
    }

    /// Decodes what [`Restore::snapshot_series`] takes.
    pub(crate) fn decoder(&self) -> SeriesDecoder {
        SeriesDecoder::new(self.head.hash_key, Arc::clone(&self.head.store))
    }

    fn tenant(&mut self, reader: &mut Reader<'_>) -> Result<(), ChunkError> {
        self.head.raise_min_valid(reader.varint()?);
        // The references before the next one are taken.
        self.head.reserve_ref(reader.uvarint()?.wrapping_sub(1));
        Ok(())
    }

    /// Takes the series of a frame.
    pub(crate) fn snapshot_series(&mut self, tenant: &[u8], decoded: DecodedSeries) {
        for mut run in decoded.runs {
            let made = self.define(&mut run.defined);
            for (saved, slot) in run.saved.into_iter().zip(made) {
                self.counts.series += 1;
                match slot {
                    Some(slot) => self.put(slot, saved),
                    None => saved.chunks.iter().for_each(|chunk| chunk.release(&self.head.store)),
                }
            }
        }
        if let Some(error) = decoded.error {
            self.note_damage(tenant, &error);
        }
    }

    /// Gives a new series its chunks.
    fn put(&mut self, slot: Slot, saved: Saved) {
        self.counts.lost_chunks += saved.lost;
        let Some(series) = self.head.slab.get_mut(slot) else { return };
        (series.chunks, series.open) = (saved.chunks, saved.open);
        series.set_definitions(DEFINITIONS);
        let times = saved.min_time_ms.zip(saved.max_time_ms);
        debug_assert_eq!(
            (times, saved.chunk_count),
            (series.min_time_ms().zip(series.max_time_ms()), series.chunk_count())
        );
        self.some_may_go |= times.is_none();
        self.head.chunks += saved.chunk_count;
        if let Some((min_ms, max_ms)) = times {
            self.head.note_time(min_ms);
            self.head.note_time(max_ms);
        }
    }

    /// Applies what a frame of the log says of series and bounds. Before any sample.
    pub(crate) fn log_definitions(&mut self, frame: &Frame<'_>) {
        let mut reader = Reader::new(frame.payload);
        let read = match frame.kind {
            Some(FrameKind::Definitions) => self.definitions(&mut reader),
            Some(FrameKind::Truncation) => reader.varint().map(|time_ms| self.head.raise_min_valid(time_ms)),
            Some(FrameKind::LateTruncation) => reader.uvarint().map(|up_to| self.late_cut = self.late_cut.max(up_to)),
            _ => Ok(()),
        };
        self.counts.undecodable += u64::from(read.is_err());
    }

    fn definitions(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if self.are_defined(*reader) {
            return Ok(());
        }
        self.some_may_go = true;
        let mut defined = DefinedRun::default();
        let read = defined.read_all(reader, self.head.hash_key, &mut |run| drop(self.define(run)));
        self.define(&mut defined);
        read
    }

    /// The same with definitions that are decoded.
    pub(crate) fn log_defined(&mut self, definitions: DecodedDefinitions) {
        self.some_may_go = true;
        definitions.runs.into_iter().for_each(|mut run| drop(self.define(&mut run)));
        self.counts.undecodable += u64::from(definitions.error.is_some());
    }

    /// So many bytes of floats come from the log.
    pub(crate) fn expect_floats(&mut self, bytes: usize) {
        self.floats_left = bytes;
    }

    /// Makes series known by their references. Gives the slot of each that is new.
    fn define(&mut self, defined: &mut DefinedRun) -> Vec<Option<Slot>> {
        self.head.glance_at(&defined.run);
        self.head.look_ahead(&mut defined.run);
        (0..defined.refs.len()).map(|at| self.define_one(defined, at)).collect()
    }

    fn define_one(&mut self, defined: &DefinedRun, at: usize) -> Option<Slot> {
        let (series_ref, prepared) = (*defined.refs.get(at)?, defined.run.series.get(at)?);
        if self.is_defined(series_ref) {
            return None;
        }
        self.head.reserve_ref(series_ref);
        if prepared.refused.is_some() {
            self.counts.undecodable += 1;
            return None;
        }
        let known = self.head.find(prepared.hash);
        let slot = known.unwrap_or_else(|| self.head.insert_noted(series_ref, &defined.run.new_series(prepared)));
        self.sorted &= self.slots.last().is_none_or(|(last, _)| *last < series_ref);
        self.slots.push((series_ref, slot));
        known.is_none().then_some(slot)
    }

    /// Whether all definitions that follow are known already, as those are which the log has a second time.
    fn are_defined(&mut self, mut reader: Reader<'_>) -> bool {
        let mut defined = DefinedReader::default();
        while !reader.is_empty() {
            if !defined.read(&mut reader).is_ok_and(|series_ref| self.is_defined(series_ref)) {
                return false;
            }
        }
        true
    }

    /// Whether a reference is known already. Most series are defined twice, in the same order both times.
    fn is_defined(&mut self, series_ref: SeriesRef) -> bool {
        if self.slots.get(self.defined).is_some_and(|(known, _)| *known == series_ref) {
            self.defined += 1;
            return true;
        }
        if !self.sorted || self.slots.last().is_none_or(|(last, _)| *last < series_ref) {
            return false;
        }
        let found = self.slots.binary_search_by_key(&series_ref, |(known, _)| *known);
        self.defined = found.map_or(self.defined, |at| at + 1);
        found.is_ok()
    }

    /// Applies the samples of a frame of the log, in order. Says whether there were any that no series takes.
    pub(crate) fn log_samples(&mut self, frame: &Frame<'_>) -> bool {
        self.apply_waiting();
        let orphans = self.counts.orphans;
        let read = match frame.kind {
            Some(FrameKind::Floats) => {
                let mut reader = FloatsReader::new(frame.payload);
                self.floats(frame.payload.len(), || reader.next())
            }
            Some(FrameKind::StartedFloats) => {
                self.apply_replay();
                self.started_floats(FloatsReader::new(frame.payload))
            }
            Some(kind @ (FrameKind::Histograms | FrameKind::StartedHistograms)) => {
                self.apply_replay();
                self.histograms(HistogramsReader::new(frame.payload), kind == FrameKind::StartedHistograms)
            }
            Some(kind) if kind.is_late() => self.late(kind, frame.position, frame.payload),
            Some(FrameKind::Tombstones) => {
                self.apply_replay();
                self.deletions(frame.payload)
            }
            Some(FrameKind::Metadata) => self.head.restore_metadata(frame.payload),
            Some(FrameKind::Exemplars) if frame.position <= self.exemplars_saved => Ok(()),
            Some(FrameKind::Exemplars) => self.exemplars(frame.payload),
            Some(FrameKind::Definitions | FrameKind::Truncation | FrameKind::LateTruncation) => Ok(()),
            _ => Err(DecodeError::UnexpectedEnd),
        };
        self.counts.undecodable += u64::from(read.is_err());
        self.flush_chunks();
        self.counts.orphans > orphans
    }

    fn flush_chunks(&self) {
        if let Err(error) = self.head.store.flush() {
            // As with appends: the log has it all, and what waits is tried again.
            tracing::warn!(%error, "cannot write closed chunks");
        }
    }

    /// Applies what a snapshot has besides series in order, once all definitions and marks are known.
    fn apply_waiting(&mut self) {
        if !self.sorted {
            self.slots.sort_unstable();
            self.slots.dedup();
            self.sorted = true;
        }
        for (kind, position, payload) in std::mem::take(&mut self.waiting) {
            let read = match kind {
                FrameKind::Tombstones => self.deletions(&payload),
                _ => self.late(kind, position, &payload),
            };
            self.counts.undecodable += u64::from(read.is_err());
        }
    }

    /// Of samples in order those are meant that the series has, wherever they are met; of late ones those before this.
    fn deletions(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let mut reader = DeletionsReader::new(payload);
        while let Some(deletion) = reader.next()? {
            if let Some(series) = self.own_ref(deletion.series) {
                self.head.apply(&Deletion { series, ..deletion }).map_err(|_| DecodeError::UnexpectedEnd)?;
            }
        }
        Ok(())
    }

    /// The reference by which the head knows a series that may have had several.
    fn own_ref(&mut self, series: SeriesRef) -> Option<SeriesRef> {
        self.slot(series).and_then(|slot| Some(self.head.slab.get(slot)?.series_ref()))
    }

    /// Exemplars of a snapshot or of the log. Their series may have no sample in the head any more.
    fn exemplars(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let mut reader = ExemplarsReader::new(payload);
        while let Some((series, exemplar)) = reader.next()? {
            let labels = match series {
                ExemplarSeries::Labels(labels) => Some(labels.clone()),
                ExemplarSeries::Ref(series) => self.slot_of(*series).and_then(|slot| self.head.labels_in(slot)),
            };
            if let Some(labels) = labels {
                self.head.restore_exemplar(&labels, exemplar);
            }
        }
        Ok(())
    }

    /// Late samples go to their series whatever it has, unless they are in blocks.
    fn late(&mut self, kind: FrameKind, position: Position, payload: &[u8]) -> Result<(), DecodeError> {
        let in_blocks = position <= self.late_cut;
        let started = matches!(kind, FrameKind::StartedLateFloats | FrameKind::StartedLateHistograms);
        if matches!(kind, FrameKind::LateFloats | FrameKind::StartedLateFloats) {
            let mut reader = FloatsReader::new(payload);
            while let Some(sample) = reader.next()? {
                let times_ms = (sample.timestamp_ms, if started { reader.start_ms()? } else { 0 });
                self.late_sample(sample.series, times_ms, LateValue::Float(sample.value), in_blocks);
            }
        } else {
            let mut reader = HistogramsReader::new(payload);
            while let Some(sample) = reader.next()? {
                let times_ms = (sample.timestamp_ms, if started { reader.start_ms()? } else { 0 });
                self.late_sample(sample.series, times_ms, LateValue::Histogram(sample.value), in_blocks);
            }
        }
        Ok(())
    }

    /// A late sample of a time and a start time.
    fn late_sample(
        &mut self,
        series: SeriesRef,
        (timestamp_ms, start_ms): (i64, i64),
        value: LateValue,
        in_blocks: bool,
    ) {
        if in_blocks {
            self.counts.in_blocks += 1;
            return;
        }
        match self.own_ref(series) {
            Some(series_ref) => {
                let taken = self.head.late.current.insert(series_ref, timestamp_ms, start_ms, value);
                self.counts.samples += u64::from(taken);
                self.counts.known += u64::from(!taken);
            }
            None => {
                self.head.reserve_ref(series);
                self.counts.orphans += 1;
            }
        }
    }

    /// As [`Restore::log_samples`], with floats that are decoded.
    pub(crate) fn log_floats(&mut self, floats: DecodedFloats) -> bool {
        self.apply_waiting();
        let (orphans, mut samples) = (self.counts.orphans, floats.samples.into_iter());
        let taken = self.floats(floats.payload_bytes, || Ok(samples.next()));
        self.counts.undecodable += u64::from(taken.is_err() || floats.error.is_some());
        self.flush_chunks();
        self.counts.orphans > orphans
    }

    /// Floats of a payload of so many bytes.
    fn floats(
        &mut self,
        payload_bytes: usize,
        mut next: impl FnMut() -> Result<Option<RefSample>, DecodeError>,
    ) -> Result<(), DecodeError> {
        let in_order = Replay::is_worth(self.head.table.len());
        self.floats_left = self.floats_left.saturating_sub(payload_bytes);
        // Series of a snapshot have had all their room from the beginning.
        let grown = self.counts.series as usize > self.head.table.len() / 2;
        self.replay.set_room(self.head.table.len(), self.floats_left, grown);
        while let Some(sample) = next()? {
            let Some(slot) = self.slot_of(sample.series) else { continue };
            if in_order {
                if self.replay.push(slot, &sample) {
                    continue;
                }
                self.apply_replay();
                if self.replay.push(slot, &sample) {
                    continue;
                }
            }
            self.float(slot, &sample, None);
        }
        Ok(())
    }

    fn started_floats(&mut self, mut reader: FloatsReader<'_>) -> Result<(), DecodeError> {
        while let Some(sample) = reader.next()? {
            let start_ms = reader.start_ms()?;
            if let Some(slot) = self.slot_of(sample.series) {
                self.float(slot, &sample, Some(start_ms));
            }
        }
        Ok(())
    }

    fn float(&mut self, slot: Slot, sample: &RefSample, start_ms: Option<i64>) {
        let Some(series) = self.head.slab.get_mut(slot) else { return };
        let rules = Rules {
            chunk_range_ms: self.head.chunk_range_ms,
            min_valid_ms: self.head.min_valid_ms,
            store: &self.head.store,
        };
        let at = At { timestamp_ms: sample.timestamp_ms, start_ms };
        replay::push(series, at, sample.value, rules, &mut self.applied);
    }

    /// Applies the floats that wait to be put in order.
    fn apply_replay(&mut self) {
        let Head { slab, store, chunk_range_ms, min_valid_ms, .. } = &mut self.head;
        let rules = Rules { chunk_range_ms: *chunk_range_ms, min_valid_ms: *min_valid_ms, store };
        let applied = self.replay.apply(slab, rules, self.threads);
        self.applied = self.applied.add(&applied);
    }

    fn histograms(&mut self, mut reader: HistogramsReader<'_>, started: bool) -> Result<(), DecodeError> {
        while let Some(sample) = reader.next()? {
            let (t, value) = (sample.timestamp_ms, &sample.value);
            let start_ms = if started { Some(reader.start_ms()?) } else { None };
            let Some(slot) = self.slot_of(sample.series) else { continue };
            if self.takes(slot, t, |series| series.fit_histogram(t, value)) {
                self.head.push_histogram(slot, At { timestamp_ms: t, start_ms }, value);
            }
        }
        Ok(())
    }

    /// The series of a sample. Counts one that nobody defined.
    #[inline]
    fn slot_of(&mut self, series: SeriesRef) -> Option<Slot> {
        let slot = self.slot(series);
        if slot.is_none() {
            self.head.reserve_ref(series);
            self.counts.orphans += 1;
        }
        slot
    }

    /// Whether a sample is to be taken. Counts it either way.
    #[inline]
    fn takes(&mut self, slot: Slot, timestamp_ms: i64, fit: impl FnOnce(&Series) -> Fit) -> bool {
        let known = self.head.slab.get(slot).map(fit) != Some(Fit::Newest);
        match (timestamp_ms < self.head.min_valid_ms, known) {
            (true, _) => self.counts.in_blocks += 1,
            (false, true) => self.counts.known += 1,
            (false, false) => {
                self.counts.samples += 1;
                return true;
            }
        }
        false
    }

    #[inline]
    fn slot(&mut self, series: SeriesRef) -> Option<Slot> {
        if self.slots.get(self.cursor).is_none_or(|(r, _)| *r != series) {
            self.cursor = self.slots.binary_search_by_key(&series, |(r, _)| *r).ok()?;
        }
        let (_, slot) = *self.slots.get(self.cursor)?;
        self.cursor += 1;
        Some(slot)
    }

    /// All is there: what blocks hold and series without samples go.
    pub(crate) fn settle(&mut self) {
        self.apply_replay();
        let Applied { counts, chunks, min_time_ms, max_time_ms } = std::mem::take(&mut self.applied);
        self.counts.add(&counts);
        self.head.chunks += chunks;
        if min_time_ms <= max_time_ms {
            self.head.note_time(min_time_ms);
            self.head.note_time(max_time_ms);
        }
        self.apply_waiting();
        let min_valid_ms = self.head.min_valid_ms();
        // Looking at each series is worth it only where something may have to go.
        match self.some_may_go || self.head.min_time_ms < min_valid_ms {
            true => self.head.truncate(min_valid_ms),
            false => self.head.hide_before(min_valid_ms),
        }
    }

    /// The head, once it is settled.
    pub(crate) fn finish(self) -> (Head, RestoreCounts) {
        (self.head, self.counts)
    }
}

impl Head {
    /// Even a reference without a series must not be given to another one. Those that no head comes to are rubbish.
    fn reserve_ref(&mut self, series: SeriesRef) {
        if series < MAX_REF {
            self.next_ref = self.next_ref.max(series + 1);
        }
    }
}
