//! Snapshots: every series of every tenant as of some position of the log.
//!
//! ```text
//! snapshot-<number, 12 digits>.tsnap
//! snapshot := "TsnpFil\x01" | u64 number | frame* | end frame
//! ```
//! Frames are those of the log, with kinds of their own: for each tenant one of kind 16 and some of kind 20 (see
//! `head/save.rs`); at last one of kind 18: `uvarint` number of the first segment of the log that is still needed. The
//! position of a frame is that of the log when its series were written.

use std::io;
use std::path::{Path, PathBuf};

use thanoxide_env::{Disk, DiskFile};

use crate::encoding::{Put, Reader};
use crate::log::segment::{SegmentReader, list_numbered, numbered_path};
use crate::log::{Frame, FrameKind, Position};

const MAGIC: [u8; 8] = *b"TsnpFil\x01";
const FLUSH_BYTES: usize = 1 << 20;

/// The path of a snapshot.
fn snapshot_path(root: &Path, number: u64) -> PathBuf {
    numbered_path(root, "snapshot", number, "tsnap")
}

/// The numbers of the snapshots in a directory, ascending.
pub(crate) fn list_snapshots(disk: &dyn Disk, root: &Path) -> io::Result<Vec<u64>> {
    list_numbered(disk, root, "snapshot", "tsnap")
}

/// Removes what a crash left half done.
pub(crate) fn remove_leftovers(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    for path in disk.list(root)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if [".tsnap.tmp", ".tchk.tmp", ".tlog.tmp"].iter().any(|ending| name.ends_with(ending)) {
            disk.remove_file(&path)?;
        }
    }
    Ok(())
}

/// Opens a snapshot to read its frames.
pub(crate) fn open_snapshot(disk: &dyn Disk, root: &Path, number: u64) -> io::Result<SegmentReader> {
    SegmentReader::open_as(disk, &snapshot_path(root, number), &MAGIC)
}

/// What the end frame says: the first segment of the log that is needed.
pub(crate) fn first_segment(end: &Frame<'_>) -> Option<u64> {
    (end.kind == Some(FrameKind::End)).then(|| Reader::new(end.payload).uvarint().ok())?
}

/// Writes a snapshot under another name until it is whole.
pub(crate) struct SnapshotWriter<'d> {
    disk: &'d dyn Disk,
    root: &'d Path,
    number: u64,
    temporary: PathBuf,
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
}

impl<'d> SnapshotWriter<'d> {
    pub(crate) fn create(disk: &'d dyn Disk, root: &'d Path, number: u64) -> io::Result<Self> {
        let temporary = snapshot_path(root, number).with_extension("tsnap.tmp");
        let file = disk.create(&temporary)?;
        let mut buffer = MAGIC.to_vec();
        buffer.put_u64(number);
        Ok(SnapshotWriter { disk, root, number, temporary, file, buffer })
    }

    pub(crate) fn push(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        frame.push(&mut self.buffer);
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Makes the snapshot durable and gives it its name; then removes older ones.
    pub(crate) fn finish(mut self, position: Position, first_segment: u64) -> io::Result<()> {
        let mut payload = Vec::new();
        payload.put_uvarint(first_segment);
        self.push(&Frame { position, tenant: b"", generation: 0, kind: Some(FrameKind::End), payload: &payload })?;
        self.flush()?;
        self.file.sync_data()?;
        self.disk.rename(&self.temporary, &snapshot_path(self.root, self.number))?;
        self.disk.sync_dir(self.root)?;
        for older in list_snapshots(self.disk, self.root)?.into_iter().filter(|n| *n < self.number) {
            self.disk.remove_file(&snapshot_path(self.root, older))?;
        }
        Ok(())
    }
}
