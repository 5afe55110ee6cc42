//! Reading snapshot and log, once for all tenants: one thread reads, and workers fill the heads.
//!
//! Where a worker does not follow, the reader decodes for it what it can.

use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use thanoxide_env::Disk;

use super::super::quarantine;
use super::worker::{Passed, Raw, What, Worker};
use super::{End, Opening};
use crate::head::SeriesDecoder;
use crate::log::segment::{SegmentReader, list_segments, segment_path};
use crate::log::{Frame, FrameKind, Position};
use crate::snapshot::{first_segment, open_snapshot};

/// Frames of so many bytes go together: waking a thread costs more than it takes to decode one.
const TOGETHER_BYTES: usize = 128 << 10;
/// So many times as much may wait for a worker.
pub(super) const WAITING: usize = 4;

/// What was read, but for what the tenants have of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) end: End,
    pub(super) damaged: u64,
    pub(super) damaged_bytes: u64,
    pub(super) segments: u64,
    pub(super) missing: u64,
}

/// Where a tenant's frames go.
struct Route {
    worker: usize,
    opening: usize,
    /// Frames of another one are of an earlier life.
    generation: Option<u64>,
    float_bytes: usize,
}

/// A worker, seen from here.
struct Outlet {
    sender: SyncSender<Vec<Passed>>,
    together: Vec<Passed>,
    bytes: usize,
    /// Of its tenants.
    decoders: Vec<SeriesDecoder>,
}

/// Reads, and passes on.
pub(super) struct Reading<'a> {
    disk: &'a dyn Disk,
    root: &'a Path,
    routes: HashMap<Vec<u8>, Route, RandomState>,
    outlets: Vec<Outlet>,
    found: Found,
    /// The position behind which not all is in the snapshot; 0 without one, `None` where it does not say.
    saved_up_to: Option<Position>,
}

impl Outlet {
    fn pass(&mut self, passed: Passed, bytes: usize) {
        self.together.push(passed);
        self.bytes += bytes;
        if self.bytes > TOGETHER_BYTES {
            self.send();
        }
    }

    fn send(&mut self) {
        self.bytes = 0;
        match self.sender.try_send(mem::take(&mut self.together)) {
            Err(TrySendError::Full(mut together)) => {
                // What comes together is of one tenant, or of few.
                for of_one in together.chunk_by_mut(|one, next| one.opening == next.opening) {
                    if let Some(decoder) = of_one.first().and_then(|first| self.decoders.get_mut(first.opening)) {
                        of_one.iter_mut().for_each(|passed| passed.decode(decoder));
                        decoder.tell();
                    }
                }
                // A worker ends early only by a panic, which whoever waits for it sees.
                let _ = self.sender.send(together);
            }
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        disk: &'a dyn Disk,
        root: &'a Path,
        workers: &[Worker],
        senders: Vec<SyncSender<Vec<Passed>>>,
    ) -> Self {
        let mut routes = HashMap::default();
        for (worker, Worker { openings, .. }) in workers.iter().enumerate() {
            for (opening, Opening { id, generation, .. }) in openings.iter().enumerate() {
                let route = Route { worker, opening, generation: *generation, float_bytes: 0 };
                routes.insert(id.as_str().as_bytes().to_vec(), route);
            }
        }
        let decoders = |worker: &Worker| worker.openings.iter().map(|opening| opening.restore.decoder()).collect();
        let outlet = |(sender, worker)| Outlet { sender, together: Vec::new(), bytes: 0, decoders: decoders(worker) };
        let outlets = senders.into_iter().zip(workers).map(outlet).collect();
        Reading { disk, root, routes, outlets, found: Found::default(), saved_up_to: Some(0) }
    }

    /// Reads the snapshot of that number, if any, and the log.
    pub(super) fn read_all(mut self, snapshot: Option<u64>) -> io::Result<Found> {
        if let Some(number) = snapshot {
            self.saved_up_to = None;
            self.each_frame(open_snapshot(self.disk, self.root, number)?, false, &mut Self::pass_saved)?;
        }
        for path in self.quarantined()? {
            self.each_frame(SegmentReader::open(self.disk, &path)?, false, &mut |reading, frame| {
                reading.pass(frame, What::Saved);
            })?;
        }
        self.each_log_frame(Self::pass_definitions)?;
        self.pass_float_bytes();
        // The same damage is met a second time.
        let Found { damaged, damaged_bytes, missing, .. } = self.found;
        self.each_log_frame(Self::pass_samples)?;
        self.outlets.iter_mut().for_each(Outlet::send);
        Ok(Found { damaged, damaged_bytes, missing, ..self.found })
    }

    fn pass_saved(&mut self, frame: &Frame<'_>) {
        if let Some(segment) = first_segment(frame) {
            self.found.end.first_segment = segment;
        } else {
            self.pass(frame, What::Saved);
        }
        if matches!(frame.kind, Some(FrameKind::Tenant | FrameKind::End)) {
            self.saved_up_to = Some(self.saved_up_to.map_or(frame.position, |least| least.min(frame.position)));
        }
    }

    fn pass_definitions(&mut self, frame: &Frame<'_>) {
        if is_definition(frame) {
            self.pass(frame, What::Definitions);
        } else if frame.kind == Some(FrameKind::Floats)
            && let Some(route) = self.route(frame)
        {
            route.float_bytes += frame.payload.len();
        }
    }

    fn pass_float_bytes(&mut self) {
        for route in self.routes.values().filter(|route| route.float_bytes > 0) {
            let what = What::FloatBytes(route.float_bytes);
            self.outlets[route.worker].pass(Passed { opening: route.opening, position: 0, what }, 0);
        }
    }

    fn pass_samples(&mut self, frame: &Frame<'_>) {
        if !is_definition(frame) {
            self.pass(frame, What::Samples);
        }
    }

    /// Passes a frame on to who fills the head of its tenant.
    fn pass(&mut self, frame: &Frame<'_>, what: impl Fn(Raw) -> What) {
        let Some(Route { worker, opening, .. }) = self.route(frame) else { return };
        let (worker, opening) = (*worker, *opening);
        let what = what((frame.kind, frame.payload.to_vec()));
        self.outlets[worker].pass(Passed { opening, position: frame.position, what }, frame.payload.len());
    }

    /// The way to the tenant that a frame speaks of, if it is of its present life.
    fn route(&mut self, frame: &Frame<'_>) -> Option<&mut Route> {
        self.routes.get_mut(frame.tenant).filter(|route| route.generation == Some(frame.generation))
    }

    fn each_log_frame(&mut self, visit: fn(&mut Self, &Frame<'_>)) -> io::Result<()> {
        let mut segments = list_segments(self.disk, self.root)?;
        segments.retain(|number| *number >= self.found.end.first_segment);
        self.found.segments = segments.len() as u64;
        for path in self.quarantined()? {
            let reader = SegmentReader::open(self.disk, &path)?;
            self.each_frame(reader, false, &mut |reading, frame| {
                if !frame.is_of_snapshot() {
                    visit(reading, frame);
                }
            })?;
        }
        // What the snapshot does not hold begins behind it, and without one with the first frame of all.
        let mut last = self.saved_up_to;
        for number in segments {
            let reader = SegmentReader::open(self.disk, &segment_path(self.root, number))?;
            self.each_frame(reader, true, &mut |reading, frame| {
                reading.note_gap(&mut last, frame.position);
                visit(reading, frame);
            })?;
        }
        Ok(())
    }

    fn quarantined(&self) -> io::Result<Vec<PathBuf>> {
        quarantine::files(self.disk, self.root)
    }

    /// Visits the frames of a file and counts its damage. Damage at the very end of a segment is a torn write.
    fn each_frame(
        &mut self,
        mut reader: SegmentReader,
        may_be_torn: bool,
        visit: &mut dyn FnMut(&mut Self, &Frame<'_>),
    ) -> io::Result<()> {
        while let Some((_, frame)) = reader.next_frame()? {
            self.found.end.position = self.found.end.position.max(frame.position);
            visit(self, &frame);
        }
        for damage in reader.damage().iter().filter(|damage| !may_be_torn || damage.end < reader.len()) {
            tracing::warn!(root = %self.root.display(), ?damage, "stepped over damage");
            self.found.damaged += 1;
            self.found.damaged_bytes += damage.end - damage.offset;
        }
        Ok(())
    }

    /// Positions have no gaps, and go back only where a commit was tried again: what lies between two frames was lost, even
    /// where the bytes between look like padding.
    fn note_gap(&mut self, last: &mut Option<Position>, position: Position) {
        if let Some(last) = *last
            && position > last + 1
        {
            tracing::warn!(behind = last, before = position, "frames of the log are missing");
            self.found.missing += position - last - 1;
        }
        *last = Some(position.max(last.unwrap_or_default()));
    }
}

/// Whether what a frame of the log says must be known before any sample.
fn is_definition(frame: &Frame<'_>) -> bool {
    matches!(frame.kind, Some(FrameKind::Definitions | FrameKind::Truncation | FrameKind::LateTruncation))
}
