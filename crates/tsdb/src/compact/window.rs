//! Reads a source from front to back, a stretch at a time.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::encoding::ByteSource;

/// What was read ahead of one source.
#[derive(Debug)]
pub(super) struct Window {
    source: Arc<dyn ByteSource>,
    start: u64,
    bytes: Bytes,
    ahead_bytes: u64,
}

impl Window {
    pub(super) fn new(source: &Arc<dyn ByteSource>, ahead_bytes: u64) -> Self {
        Window { source: Arc::clone(source), start: 0, bytes: Bytes::new(), ahead_bytes }
    }

    fn inside(&self, range: &Range<u64>) -> Option<Range<usize>> {
        let end = self.start + self.bytes.len() as u64;
        (range.start >= self.start && range.end <= end)
            .then(|| (range.start - self.start) as usize..(range.end - self.start) as usize)
    }

    /// Moves the window so that it begins at `range` and holds it.
    fn load(&mut self, range: &Range<u64>) -> io::Result<()> {
        let len = (range.end - range.start).max(self.ahead_bytes);
        self.bytes = self.source.up_to(range.start, len)?;
        self.start = range.start;
        match self.inside(range) {
            Some(_) => Ok(()),
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("bytes {range:?}"))),
        }
    }

    /// The bytes of a range; [`io::ErrorKind::UnexpectedEof`] where there are fewer.
    pub(super) fn range(&mut self, range: Range<u64>) -> io::Result<Bytes> {
        if self.inside(&range).is_none() {
            self.load(&range)?;
        }
        let inside = self.inside(&range).unwrap_or_default();
        Ok(self.bytes.slice(inside))
    }

    /// At most `len` bytes from `start` on; fewer at the end.
    pub(super) fn peek(&mut self, start: u64, len: u64) -> io::Result<&[u8]> {
        let range = start.min(self.source.len())..start.saturating_add(len).min(self.source.len());
        if self.inside(&range).is_none() {
            self.load(&range)?;
        }
        let inside = self.inside(&range).unwrap_or_default();
        Ok(&self.bytes[inside])
    }
}
