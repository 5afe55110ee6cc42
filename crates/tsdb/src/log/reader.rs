//! Reading a log by position while it is written: for whoever follows it, such as a replica that catches up.
//!
//! A reader sees what is durable, in order, and each frame once, also where a commit had to be tried again. What a snapshot
//! made needless is gone: the **watermark** is the position of the first frame that is still there.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thanoxide_env::Disk;
use thiserror::Error;

use super::segment::{SegmentReader, list_segments, segment_path};
use super::{Frame, Position};

/// Where the durable part of a log ends: a segment and the bytes of it. Earlier segments are durable to their end.
pub(super) type DurableEnd = (u64, u64);

/// Why reading cannot go on.
#[derive(Debug, Error)]
pub enum LogReadError {
    /// What was to be read is gone. A snapshot has it.
    #[error("frames before position {watermark} are gone, {wanted} is wanted")]
    Truncated {
        /// What was to be read next.
        wanted: Position,
        /// The first that is still there.
        watermark: Position,
    },
    /// The disk failed.
    #[error("log: {0}")]
    Io(#[from] io::Error),
}

/// Reads frames from a position on. Made by [`super::SharedLog::reader`].
#[derive(Debug)]
pub struct LogReader {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    next: Position,
    segment: Option<(u64, SegmentReader)>,
}

impl LogReader {
    pub(super) fn new(disk: Arc<dyn Disk>, root: PathBuf, from: Position) -> Self {
        LogReader { disk, root, next: from.max(1), segment: None }
    }

    /// The position of the frame that comes next.
    pub fn position(&self) -> Position {
        self.next
    }

    /// Shows the frames that are durable up to `end`, in order, and says how many. `visit` may end it by saying no; then the
    /// frame that it saw is the last.
    pub(super) fn read(
        &mut self,
        end: DurableEnd,
        visit: &mut dyn FnMut(&Frame<'_>) -> bool,
    ) -> Result<u64, LogReadError> {
        let mut shown = 0;
        loop {
            if self.segment.is_none() && !self.open_next(0, end)? {
                return Ok(shown);
            }
            let Some((number, reader)) = &mut self.segment else { return Ok(shown) };
            let number = *number;
            reader.limit(if number == end.0 { end.1 } else { u64::MAX })?;
            while let Some((_, frame)) = reader.next_frame()? {
                if frame.position < self.next {
                    continue;
                }
                if frame.position > self.next {
                    return Err(LogReadError::Truncated { wanted: self.next, watermark: frame.position });
                }
                self.next = frame.position + 1;
                shown += 1;
                if !visit(&frame) {
                    return Ok(shown);
                }
            }
            if number >= end.0 || !self.open_next(number + 1, end)? {
                return Ok(shown);
            }
        }
    }

    /// Opens the first segment from a number on. False where there is none.
    fn open_next(&mut self, from: u64, end: DurableEnd) -> io::Result<bool> {
        let segments = list_segments(&*self.disk, &self.root)?;
        let Some(number) = segments.into_iter().find(|number| (from..=end.0).contains(number)) else {
            return Ok(false);
        };
        let reader = SegmentReader::open(&*self.disk, &segment_path(&self.root, number))?;
        self.segment = Some((number, reader));
        Ok(true)
    }
}
