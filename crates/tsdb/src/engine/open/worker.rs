//! Filling the heads of some tenants with what is read of them.

use std::mem;
use std::sync::mpsc::Receiver;

use super::Opening;
use crate::head::{DecodedDefinitions, DecodedFloats, DecodedSeries, SeriesDecoder};
use crate::log::{Frame, FrameKind, Position};

/// Frames with orphans are set aside up to so many bytes.
const MOST_ORPHAN_BYTES: usize = 64 << 20;

/// Something of a tenant on its way to its worker.
#[derive(Debug)]
pub(super) struct Passed {
    /// Which of the worker's tenants.
    pub(super) opening: usize,
    pub(super) position: Position,
    pub(super) what: What,
}

/// A frame's kind and payload.
pub(super) type Raw = (Option<FrameKind>, Vec<u8>);

/// What it is. Of a tenant all that is saved comes first, then all definitions, and then all samples.
#[derive(Debug)]
pub(super) enum What {
    /// A frame of a snapshot.
    Saved(Raw),
    Series(DecodedSeries),
    /// A frame of the log that defines series, or says what blocks hold.
    Definitions(Raw),
    Defined(DecodedDefinitions),
    /// So many bytes of floats are to come.
    FloatBytes(usize),
    /// Any other frame of the log.
    Samples(Raw),
    /// One of floats, and its payload.
    Floats(DecodedFloats, Vec<u8>),
}

impl Passed {
    /// Decodes it, if that can be done apart from the head.
    pub(super) fn decode(&mut self, decoder: &mut SeriesDecoder) {
        let decoded = match &mut self.what {
            What::Saved((Some(kind @ (FrameKind::Series | FrameKind::PiecedSeries)), payload)) => {
                What::Series(decoder.series(*kind, payload))
            }
            What::Definitions((Some(FrameKind::Definitions), payload)) => What::Defined(decoder.definitions(payload)),
            What::Samples((Some(FrameKind::Floats), payload)) => {
                What::Floats(SeriesDecoder::floats(payload), mem::take(payload))
            }
            _ => return,
        };
        self.what = decoded;
    }
}

/// Some tenants that are being opened.
#[derive(Default)]
pub(super) struct Worker {
    pub(super) openings: Vec<Opening>,
    /// Frames with samples that no series takes.
    pub(super) orphans: Vec<u8>,
}

impl Worker {
    /// Takes all that comes. Then the heads are settled.
    pub(super) fn run(mut self, passed: &Receiver<Vec<Passed>>) -> Self {
        passed.iter().flatten().for_each(|passed| self.take(passed));
        self.openings.iter_mut().for_each(|opening| opening.restore.settle());
        self
    }

    fn take(&mut self, passed: Passed) {
        let Passed { opening, position, mut what } = passed;
        let Some(Opening { id, generation, restore, .. }) = self.openings.get_mut(opening) else { return };
        let tenant = id.as_str().as_bytes();
        let (kind, payload) = match &mut what {
            What::Saved(raw) | What::Definitions(raw) | What::Samples(raw) => mem::take(raw),
            What::Floats(_, payload) => (Some(FrameKind::Floats), mem::take(payload)),
            _ => Raw::default(),
        };
        let frame =
            Frame { position, tenant, generation: generation.unwrap_or_default(), kind, payload: payload.as_slice() };
        let mut orphaned = false;
        match what {
            What::Saved(_) => restore.snapshot_frame(&frame),
            What::Series(series) => restore.snapshot_series(tenant, series),
            What::Definitions(_) => restore.log_definitions(&frame),
            What::Defined(definitions) => restore.log_defined(definitions),
            What::FloatBytes(bytes) => restore.expect_floats(bytes),
            What::Samples(_) => orphaned = restore.log_samples(&frame),
            What::Floats(floats, _) => orphaned = restore.log_floats(floats),
        }
        if orphaned && self.orphans.len() < MOST_ORPHAN_BYTES {
            frame.push(&mut self.orphans);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use thanoxide_env::Env;
    use thanoxide_model::write_batch::WriteBatchBuilder;
    use thanoxide_model::{Labels, Sample, TenantId};

    use super::super::begin;
    use super::*;
    use crate::chunk_store::ChunkStore;
    use crate::engine::{AppendOptions, Engine, EngineOptions};
    use crate::log::segment::{SegmentReader, list_segments, segment_path};
    use crate::snapshot::open_snapshot;

    const SERIES: usize = 300;

    fn append(engine: &Engine, id: &TenantId, step: i64) {
        let mut batch = WriteBatchBuilder::default();
        for series in 0..SERIES {
            let labels = Labels::from_pairs([("__name__", "up".to_string()), ("instance", series.to_string())]);
            let timestamp_ms = 1_700_000_000_000 + step * 15_000;
            batch.push(&labels, &[Sample { timestamp_ms, value: (series as i64 * step) as f64 }]);
        }
        engine.append(id, &batch.build(), AppendOptions::default()).unwrap().ticket.wait().unwrap();
    }

    fn each(mut reader: SegmentReader, mut visit: impl FnMut(Position, Raw)) {
        while let Some((_, frame)) = reader.next_frame().unwrap() {
            visit(frame.position, (frame.kind, frame.payload.to_vec()));
        }
    }

    /// What a worker makes of a directory, to the bit; with all decoded that can be, or with nothing.
    fn restored(root: &Path, id: &TenantId, decoded: bool) -> (Vec<u8>, crate::head::RestoreCounts) {
        let env = Env::system();
        let chunks = Arc::new(ChunkStore::open(Arc::clone(&env.disk), root).unwrap());
        let opening = begin(id, root, &EngineOptions::default(), &chunks, 1, &env).unwrap();
        let mut decoder = opening.restore.decoder();
        let mut worker = Worker { openings: vec![opening], ..Worker::default() };
        let mut take = |position, what| {
            let mut passed = Passed { opening: 0, position, what };
            if decoded {
                passed.decode(&mut decoder);
                decoder.tell();
            }
            worker.take(passed);
        };
        each(open_snapshot(&*env.disk, root, 1).unwrap(), |position, raw| take(position, What::Saved(raw)));
        let whats: [fn(Raw) -> What; 2] = [What::Definitions, What::Samples];
        for what in whats {
            for number in list_segments(&*env.disk, root).unwrap() {
                let reader = SegmentReader::open(&*env.disk, &segment_path(root, number)).unwrap();
                each(reader, |position, raw| take(position, what(raw)));
            }
        }
        let mut restore = worker.openings.remove(0).restore;
        restore.settle();
        let ((head, counts), mut saved) = (restore.finish(), Vec::new());
        assert_eq!(head.save_series(0, usize::MAX, &mut saved), None);
        (saved, counts)
    }

    #[test]
    fn who_decodes_does_not_matter() {
        let (dir, id) = (tempfile::tempdir().unwrap(), TenantId::new("t").unwrap());
        let engine = Engine::open(dir.path(), EngineOptions::default(), Env::system()).unwrap();
        (0..150).for_each(|step| append(&engine, &id, step));
        engine.snapshot().unwrap();
        (150..300).for_each(|step| append(&engine, &id, step));
        drop(engine);
        let (raw, counts) = restored(dir.path(), &id, false);
        assert_eq!((counts.series, counts.samples, counts.orphans), (SERIES as u64, 150 * SERIES as u64, 0));
        assert!((raw, counts) == restored(dir.path(), &id, true));
    }
}
