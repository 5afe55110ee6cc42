//! Series of a snapshot or the log on their way to a head: decoded apart from it, so that one thread decodes while another one makes
//! series.

use std::sync::Arc;

use thanoxide_model::Verdict;
use thanoxide_model::labels::{MAX_LABEL_BYTES, push_packed};

use super::parts::Parts;
use crate::chunk::ChunkError;
use crate::chunk_store::{Adoption, ChunkStore};
use crate::encoding::{DecodeError, Reader};
use crate::head::full_chunks::{Before, FullChunk, FullChunks};
use crate::head::hash_labels;
use crate::head::open_chunk::{self, OpenChunk};
use crate::head::packing::{Prepared, RUN, Run};
use crate::log::FrameKind;
use crate::log::definitions::{DefinitionsReader, Label};
use crate::log::floats::FloatsReader;
use crate::wal::record::{RefSample, SeriesRef};

/// Definitions of some series, at most [`RUN`].
#[derive(Debug, Default)]
pub(super) struct DefinedRun {
    pub(super) refs: Vec<SeriesRef>,
    pub(super) run: Run,
}

/// What a series has in a snapshot.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) chunks: FullChunks,
    pub(super) open: Option<OpenChunk>,
    /// Times of the first and the last sample.
    pub(super) min_time_ms: Option<i64>,
    pub(super) max_time_ms: Option<i64>,
    /// Full chunks, and the open one.
    pub(super) chunk_count: usize,
    /// Chunks whose files are gone.
    pub(super) lost: u64,
}

/// Some series. The last of a frame that cannot be decoded to its end may have nothing saved.
#[derive(Debug, Default)]
pub(super) struct DecodedRun {
    pub(super) defined: DefinedRun,
    pub(super) saved: Vec<Saved>,
}

/// The series of a frame, up to where it cannot be decoded.
#[derive(Debug, Default)]
pub(crate) struct DecodedSeries {
    pub(super) runs: Vec<DecodedRun>,
    pub(super) error: Option<ChunkError>,
}

/// The definitions of a frame, up to where they cannot be decoded.
#[derive(Debug, Default)]
pub(crate) struct DecodedDefinitions {
    pub(super) runs: Vec<DefinedRun>,
    pub(super) error: Option<DecodeError>,
}

/// The floats of a frame, up to where they cannot be decoded.
#[derive(Debug)]
pub(crate) struct DecodedFloats {
    pub(super) samples: Vec<RefSample>,
    pub(super) payload_bytes: usize,
    pub(super) error: Option<DecodeError>,
}

/// Decodes the series of one head.
#[derive(Debug)]
pub(crate) struct SeriesDecoder {
    hash_key: u64,
    store: Arc<ChunkStore>,
    adoption: Option<Adoption>,
}

impl DefinedRun {
    fn push(&mut self, series_ref: SeriesRef, labels: &[Label<'_>], hash_key: u64) {
        let packed = &mut self.run.packed;
        let start = packed.len();
        for (name, value) in labels {
            push_packed(packed, name);
            push_packed(packed, value);
        }
        let hash = hash_labels(hash_key, &packed[start..]);
        let refused = (!are_sound(labels)).then_some(Verdict::EmptyLabels);
        self.refs.push(series_ref);
        self.run.series.push(Prepared::new(start..self.run.packed.len(), hash, refused));
    }

    /// Reads definitions to the end. `full` sees each run but the last, which stays.
    pub(super) fn read_all(
        &mut self,
        reader: &mut Reader<'_>,
        hash_key: u64,
        full: &mut dyn FnMut(&mut DefinedRun),
    ) -> Result<(), DecodeError> {
        let mut definitions = DefinitionsReader::default();
        while !reader.is_empty() {
            if self.refs.len() == RUN {
                full(self);
                self.refs.clear();
                self.run.clear();
            }
            let (series_ref, labels) = definitions.read(reader)?;
            self.push(series_ref, labels, hash_key);
        }
        Ok(())
    }
}

/// Whether labels are those of a series.
fn are_sound(labels: &[Label<'_>]) -> bool {
    let sound = |text: &[u8]| !text.is_empty() && text.len() <= MAX_LABEL_BYTES;
    let sorted = labels.windows(2).all(|pair| pair[0].0 < pair[1].0);
    sorted && !labels.is_empty() && labels.iter().all(|(name, value)| sound(name) && sound(value))
}

impl SeriesDecoder {
    pub(super) fn new(hash_key: u64, store: Arc<ChunkStore>) -> Self {
        SeriesDecoder { hash_key, store, adoption: None }
    }

    /// Decodes a frame of series. Their chunks count as live once [`SeriesDecoder::tell`] is called, or this is dropped.
    pub(crate) fn series(&mut self, kind: FrameKind, payload: &[u8]) -> DecodedSeries {
        let mut runs = Vec::new();
        let error = self.read(&mut Reader::new(payload), kind == FrameKind::Series, &mut runs).err();
        DecodedSeries { runs, error }
    }

    /// Has chunks of what was decoded count as live.
    pub(crate) fn tell(&mut self) {
        self.adoption.iter_mut().for_each(Adoption::tell);
    }

    /// Decodes a frame of definitions.
    pub(crate) fn definitions(&self, payload: &[u8]) -> DecodedDefinitions {
        let (mut runs, mut last) = (Vec::new(), DefinedRun::default());
        let read = last.read_all(&mut Reader::new(payload), self.hash_key, &mut |run| runs.push(std::mem::take(run)));
        runs.push(last);
        DecodedDefinitions { runs, error: read.err() }
    }

    /// Decodes a frame of floats.
    pub(crate) fn floats(payload: &[u8]) -> DecodedFloats {
        let mut samples = Vec::new();
        let error = FloatsReader::new(payload).read_all(&mut samples).err();
        DecodedFloats { samples, payload_bytes: payload.len(), error }
    }

    fn read(&mut self, reader: &mut Reader<'_>, old: bool, runs: &mut Vec<DecodedRun>) -> Result<(), ChunkError> {
        let (mut definitions, mut entries) = (DefinitionsReader::default(), Vec::new());
        let adoption = self.adoption.get_or_insert_with(|| Adoption::new(&self.store));
        while !reader.is_empty() {
            let (series_ref, labels) = definitions.read(reader)?;
            if runs.last().is_none_or(|run| run.saved.len() == RUN) {
                runs.push(DecodedRun::default());
            }
            let run = runs.last_mut().expect("one was pushed where there was none");
            run.defined.push(series_ref, labels, self.hash_key);
            let list = read_list(reader, old, &mut entries)?;
            let open = open_chunk::restore(reader, !entries.is_empty())?;
            let is_sound = run.defined.run.series.last().is_some_and(|series| series.refused.is_none());
            run.saved.push(if is_sound {
                Parts { entries: &entries, list, open }.adopt(&self.store, adoption)
            } else {
                Saved::default()
            });
        }
        Ok(())
    }
}

/// Reads a series' full chunks and pieces into `entries`. Gives their bytes, where they are what a series keeps.
fn read_list<'p>(
    reader: &mut Reader<'p>,
    old: bool,
    entries: &mut Vec<FullChunk>,
) -> Result<Option<&'p [u8]>, DecodeError> {
    let count = reader.uvarint_len()?;
    let (start, mut before) = (reader.rest(), Before::default());
    entries.clear();
    for _ in 0..count {
        entries.push(if old { FullChunk::read_old(reader)? } else { before.read(reader)? });
    }
    Ok((!old).then(|| &start[..start.len() - reader.len()]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use thanoxide_env::disk::SystemDisk;
    use thanoxide_model::Labels;

    use super::*;
    use crate::head::{Head, Restore, Slot};
    use crate::log::Frame;
    use crate::log::definitions::DefinitionsWriter;

    fn restore(store: &Arc<ChunkStore>) -> Restore {
        Restore::new(Head::new(7_200_000, i64::MIN, 7, Arc::clone(store)), 1)
    }

    fn labels_of(restore: &Restore) -> Vec<Labels> {
        let head = &restore.head;
        head.live_slots().into_iter().filter_map(|slot| head.labels_in(slot)).collect()
    }

    proptest! {
        /// Series are defined again and again, in any order; a reader decodes what a worker would.
        #[test]
        fn who_decodes_definitions_does_not_matter(
            frames in proptest::collection::vec((any::<bool>(), proptest::collection::vec(1u64..200, 1..90)), 1..6),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(ChunkStore::open(Arc::new(SystemDisk), dir.path()).unwrap());
            let (mut raw, mut decoded) = (restore(&store), restore(&store));
            let values: Vec<String> = (0..200).map(|value| value.to_string()).collect();
            let text = |label: u32| match label {
                200.. => (b"job".as_slice(), b"a".as_slice()),
                value => (b"instance".as_slice(), values[value as usize].as_bytes()),
            };
            for (in_order, mut frame) in frames {
                if in_order {
                    frame.sort_unstable();
                }
                let (mut writer, mut payload) = (DefinitionsWriter::default(), Vec::new());
                // Some series have two references.
                frame.iter().for_each(|series| writer.push(&mut payload, *series, &[*series as u32 / 2, 200], text));
                decoded.log_defined(decoded.decoder().definitions(&payload));
                let kind = Some(FrameKind::Definitions);
                raw.log_definitions(&Frame { position: 0, tenant: b"t", generation: 0, kind, payload: &payload });
                prop_assert_eq!(labels_of(&raw), labels_of(&decoded));
                let known = |restore: &Restore| restore.slots.iter().copied().collect::<BTreeSet<(SeriesRef, Slot)>>();
                prop_assert_eq!(known(&raw), known(&decoded));
                prop_assert_eq!(raw.counts, decoded.counts);
            }
        }
    }
}
