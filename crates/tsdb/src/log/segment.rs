//! Segments of the log, and reading frames out of them.
//!
//! ```text
//! segment := "TlogSeg\x01" | u64 sequence number | commit*
//! commit  := frame* | zeros to the next multiple of 4 KiB of the file
//! ```
//! No commit begins in the middle of a disk block that an earlier one filled in part.

use std::io;
use std::path::{Path, PathBuf};

use thanoxide_env::{Disk, DiskFile};

use super::frame::{Frame, HEADER_BYTES, MAGIC, read_header};
use crate::encoding::checksum;

/// What a segment begins with.
pub const SEGMENT_MAGIC: [u8; 8] = *b"TlogSeg\x01";
/// Bytes before the first frame.
pub const SEGMENT_HEADER_BYTES: u64 = 16;
/// What commits are padded to.
pub const BLOCK_BYTES: u64 = 4096;
/// How much of a segment is read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// The path of a numbered file of ours.
pub(crate) fn numbered_path(root: &Path, prefix: &str, number: u64, suffix: &str) -> PathBuf {
    root.join(format!("{prefix}-{number:012}.{suffix}"))
}

/// The numbers of our files of a kind, ascending.
pub(crate) fn list_numbered(disk: &dyn Disk, root: &Path, prefix: &str, suffix: &str) -> io::Result<Vec<u64>> {
    let number = |path: &PathBuf| {
        let (stem, ending) = path.file_name()?.to_str()?.split_once('.')?;
        let digits = stem.strip_prefix(prefix)?.strip_prefix('-')?;
        (ending == suffix && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
    };
    let mut numbers: Vec<u64> = disk.list(root)?.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The path of a segment.
pub fn segment_path(root: &Path, number: u64) -> PathBuf {
    numbered_path(root, "log", number, "tlog")
}

/// The numbers of the segments in a directory, ascending.
pub fn list_segments(disk: &dyn Disk, root: &Path) -> io::Result<Vec<u64>> {
    list_numbered(disk, root, "log", "tlog")
}

/// A stretch of a segment that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins.
    pub offset: u64,
    /// Where reading went on, or the end of the segment.
    pub end: u64,
}

/// Whether all bytes are zero, many of them at a time.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(64).all(|some| some.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Reads the frames of one segment, stepping over damage.
#[derive(Debug)]
pub struct SegmentReader {
    file: Box<dyn DiskFile>,
    len: u64,
    window: Vec<u8>,
    /// Where the window lies in the file, and where the next frame does in the window.
    window_start: u64,
    at: usize,
    damage: Vec<Damage>,
    bad_since: Option<u64>,
}

impl SegmentReader {
    /// Opens a segment. One without a sound header is damaged as a whole, but frames are still looked for.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        SegmentReader::open_as(disk, path, &SEGMENT_MAGIC)
    }

    /// As [`SegmentReader::open`], for another kind of file that holds frames.
    pub(crate) fn open_as(disk: &dyn Disk, path: &Path, magic: &[u8; 8]) -> io::Result<Self> {
        let file = disk.open(path)?;
        let len = file.len()?;
        let mut reader = SegmentReader {
            file,
            len,
            window: Vec::new(),
            window_start: 0,
            at: 0,
            damage: Vec::new(),
            bad_since: None,
        };
        if reader.have(SEGMENT_HEADER_BYTES as usize)? && reader.window.starts_with(magic) {
            reader.at = SEGMENT_HEADER_BYTES as usize;
        } else if len > 0 {
            reader.bad_since = Some(0);
        }
        Ok(reader)
    }

    /// The next frame and the offset that it begins at; `None` at the end.
    pub fn next_frame(&mut self) -> io::Result<Option<(u64, Frame<'_>)>> {
        loop {
            if !self.have(1)? {
                self.end_damage(self.len);
                return Ok(None);
            }
            if self.window[self.at] == 0 {
                self.skip_padding()?;
                continue;
            }
            if let Some(body) = self.whole_frame()? {
                let start = self.position();
                self.end_damage(start);
                self.at = body.end;
                // A body that its checksum calls sound and that is none is a writer's fault: said to be damage as well.
                if Frame::decode(&self.window[body.clone()]).is_err() {
                    self.damage.push(Damage { offset: start, end: self.position() });
                    continue;
                }
                let frame = Frame::decode(&self.window[body]).map_err(io::Error::other)?;
                return Ok(Some((start, frame)));
            }
            self.skip_bad()?;
        }
    }

    /// Looks at the file anew, of which at most so many bytes are read from here on.
    pub(crate) fn limit(&mut self, bytes: u64) -> io::Result<()> {
        self.len = self.file.len()?.min(bytes).max(self.position());
        Ok(())
    }

    /// The damage met so far.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Bytes in the segment.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the segment has no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn position(&self) -> u64 {
        self.window_start + self.at as u64
    }

    /// Makes sure that so many bytes are in the window, from the next one on. False where the file ends before.
    fn have(&mut self, bytes: usize) -> io::Result<bool> {
        if self.window.len() - self.at >= bytes {
            return Ok(true);
        }
        let start = self.position();
        let left = self.len - start;
        if left < bytes as u64 {
            return Ok(false);
        }
        let wanted = left.min(bytes.max(WINDOW_BYTES) as u64) as usize;
        self.window.drain(..self.at);
        let kept = self.window.len();
        self.window.resize(wanted, 0);
        self.file.read_exact_at(&mut self.window[kept..], start + kept as u64)?;
        (self.window_start, self.at) = (start, 0);
        Ok(true)
    }

    /// Where the body of a sound frame lies in the window, if there is one at this place.
    fn whole_frame(&mut self) -> io::Result<Option<std::ops::Range<usize>>> {
        if !self.have(HEADER_BYTES)? {
            return Ok(None);
        }
        let Some((len, crc)) = read_header(&self.window[self.at..self.at + HEADER_BYTES]) else { return Ok(None) };
        if !self.have(HEADER_BYTES + len)? {
            return Ok(None);
        }
        let body = self.at + HEADER_BYTES..self.at + HEADER_BYTES + len;
        Ok((checksum(&self.window[body.clone()]) == crc).then_some(body))
    }

    /// Zeros to the end of the disk block are padding; anything else in there is damage.
    fn skip_padding(&mut self) -> io::Result<()> {
        let block = (BLOCK_BYTES - self.position() % BLOCK_BYTES).min(self.len - self.position()) as usize;
        self.have(block)?;
        let rest = &self.window[self.at..self.at + block];
        if is_zero(rest) {
            self.at += block;
            Ok(())
        } else {
            self.skip_bad()
        }
    }

    /// Goes on at the next magic number.
    fn skip_bad(&mut self) -> io::Result<()> {
        self.bad_since.get_or_insert(self.window_start + self.at as u64);
        self.at += 1;
        loop {
            let rest = &self.window[self.at.min(self.window.len())..];
            if let Some(found) = rest.windows(MAGIC.len()).position(|bytes| *bytes == MAGIC) {
                self.at += found;
                return Ok(());
            }
            // The number may lie across the end of the window.
            self.at = self.window.len().saturating_sub(MAGIC.len() - 1).max(self.at);
            if self.window_start + self.window.len() as u64 >= self.len {
                self.at = self.window.len();
                return Ok(());
            }
            let more = self.window.len() - self.at + 1;
            self.have(more)?;
        }
    }

    fn end_damage(&mut self, end: u64) {
        if let Some(offset) = self.bad_since.take() {
            self.damage.push(Damage { offset, end });
        }
    }
}
