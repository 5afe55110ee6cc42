//! Reads one label of many series of an index, in order.

use super::reader::IndexReader;
use super::series_window::SeriesWindow;
use super::{InSection, IndexError};
use crate::encoding::Reader;

/// A way through the series of an index. Going back is right as well, only slow.
#[derive(Debug)]
pub(super) struct LabelReader<'a> {
    index: &'a IndexReader,
    name: &'a [u8],
    window: SeriesWindow,
    /// Names by the numbers of their texts, and whether each is the wanted one, in the order in which series have them.
    names: Vec<(u32, bool)>,
}

impl<'a> LabelReader<'a> {
    /// Reads nothing yet.
    pub(super) fn new(index: &'a IndexReader, name: &'a [u8]) -> Self {
        LabelReader { index, name, window: SeriesWindow::default(), names: Vec::new() }
    }

    /// The value of a series, as the number of its text; `None` where it has none.
    pub(super) fn value_of(&mut self, series: u32) -> Result<Option<u32>, IndexError> {
        let mut reader = Reader::new(self.window.body(self.index, series)?);
        for at in 0..reader.uvarint_len().in_section("series")? {
            let (name, value) = (reader.uvarint32().in_section("series")?, reader.uvarint32().in_section("series")?);
            let is_wanted = match self.names.get(at).filter(|(known, _)| *known == name) {
                Some((_, is_wanted)) => *is_wanted,
                None => is_wanted(self.index, self.name, &mut self.names, name)?,
            };
            if is_wanted {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

fn is_wanted(index: &IndexReader, wanted: &[u8], names: &mut Vec<(u32, bool)>, name: u32) -> Result<bool, IndexError> {
    if let Some((_, is_wanted)) = names.iter().find(|(known, _)| *known == name) {
        return Ok(*is_wanted);
    }
    let is_wanted = index.symbol(name)? == wanted;
    names.push((name, is_wanted));
    Ok(is_wanted)
}
