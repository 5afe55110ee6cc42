//! Reads many series of an index, in order.

use super::projection::Projection;
use super::reader::IndexReader;
use super::series_window::SeriesWindow;
use super::{IndexError, SeriesParts};

/// A way through the series of an index. Going back is right as well, only slow.
#[derive(Debug)]
pub struct SeriesReader<'a> {
    index: &'a IndexReader,
    window: SeriesWindow,
    parts: SeriesParts<'a>,
}

impl<'a> SeriesReader<'a> {
    /// Reads nothing yet.
    pub fn new(index: &'a IndexReader) -> Self {
        SeriesReader { index, window: SeriesWindow::default(), parts: SeriesParts::default() }
    }

    /// Gives no other labels than these.
    pub fn only(mut self, names: &[String]) -> Self {
        self.parts.projection = Some(Projection::new(names, self.index));
        self
    }

    /// Labels and chunks of a series.
    pub fn read(&mut self, series: u32) -> Result<&SeriesParts<'a>, IndexError> {
        self.index.read_body(self.window.body(self.index, series)?, &mut self.parts)?;
        Ok(&self.parts)
    }
}
