//! Filling the heads of some tenants with what is read of them.

use std::mem;
use std::sync::mpsc::Receiver;

use super::Opening;
use crate::head::{DecodedDefinitions, DecodedSeries, SeriesDecoder};
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
type Raw = (Option<FrameKind>, Vec<u8>);

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
}

impl Passed {
    /// Decodes it, if that can be done apart from the head.
    pub(super) fn decode(&mut self, decoder: &SeriesDecoder) {
        let decoded = match &self.what {
            What::Saved((Some(kind @ (FrameKind::Series | FrameKind::PiecedSeries)), payload)) => {
                What::Series(decoder.series(*kind, payload))
            }
            What::Definitions((Some(FrameKind::Definitions), payload)) => What::Defined(decoder.definitions(payload)),
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
            _ => Raw::default(),
        };
        let frame =
            Frame { position, tenant, generation: generation.unwrap_or_default(), kind, payload: payload.as_slice() };
        match what {
            What::Saved(_) => restore.snapshot_frame(&frame),
            What::Series(series) => restore.snapshot_series(tenant, series),
            What::Definitions(_) => restore.log_definitions(&frame),
            What::Defined(definitions) => restore.log_defined(definitions),
            What::FloatBytes(bytes) => restore.expect_floats(bytes),
            What::Samples(_) => {
                if restore.log_samples(&frame) && self.orphans.len() < MOST_ORPHAN_BYTES {
                    frame.push(&mut self.orphans);
                }
            }
        }
    }
}
