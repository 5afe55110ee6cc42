//! Reads many series of an index, in order: neighbours come with one read.

use super::projection::Projection;
use super::reader::IndexReader;
use super::{IndexError, SeriesParts};

/// How much is read at first; most series are smaller.
const FIRST_BYTES: u64 = 512;
/// How much is read where one series followed another again and again.
const MOST_BYTES: u64 = 128 << 10;
/// Reading over a gap up to this costs less than another call.
const NEAR_BYTES: u64 = 2048;

/// A way through the series of an index. Going back is right as well, only slow.
#[derive(Debug)]
pub struct SeriesReader<'a> {
    index: &'a IndexReader,
    window: Vec<u8>,
    window_start: u64,
    ahead_bytes: u64,
    parts: SeriesParts<'a>,
}

impl<'a> SeriesReader<'a> {
    /// Reads nothing yet.
    pub fn new(index: &'a IndexReader) -> Self {
        let parts = SeriesParts::default();
        SeriesReader { index, window: Vec::new(), window_start: 0, ahead_bytes: FIRST_BYTES, parts }
    }

    /// Gives no other labels than these.
    pub fn only(mut self, names: &[String]) -> Self {
        self.parts.projection = Some(Projection::new(names, self.index));
        self
    }

    /// Labels and chunks of a series.
    pub fn read(&mut self, series: u32) -> Result<&SeriesParts<'a>, IndexError> {
        self.read_parts(series)?;
        Ok(&self.parts)
    }

    fn read_parts(&mut self, series: u32) -> Result<(), IndexError> {
        let start = self.index.series_start(series);
        if let Some(at) = self.in_window(start)
            && self.index.read_within(&self.window[at..], &mut self.parts)?
        {
            return Ok(());
        }
        let window_end = self.window_start + self.window.len() as u64;
        // A series that begins in the window or soon behind it is a neighbour of those before.
        let is_near = start >= self.window_start && start <= window_end + NEAR_BYTES;
        self.ahead_bytes = if is_near { (self.ahead_bytes * 4).min(MOST_BYTES) } else { FIRST_BYTES };
        self.window_start = start;
        self.index.source.read_up_to(start, self.ahead_bytes, &mut self.window).inspect_err(|_| self.window.clear())?;
        match self.index.read_within(&self.window, &mut self.parts)? {
            true => Ok(()),
            false => self.index.read_whole(series, &mut self.parts),
        }
    }

    fn in_window(&self, start: u64) -> Option<usize> {
        let at = usize::try_from(start.checked_sub(self.window_start)?).ok()?;
        (at < self.window.len()).then_some(at)
    }
}
