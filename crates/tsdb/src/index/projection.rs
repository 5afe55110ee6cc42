//! Series of which only some labels are wanted: the texts of the others are not looked up.

use super::reader::IndexReader;
use super::{InSection, IndexError, SeriesParts};
use crate::encoding::Reader;

/// The labels that are wanted, and what has been seen of the series so far.
#[derive(Clone, Debug)]
pub(super) struct Projection {
    wanted: Vec<String>,
    /// Names by their symbols, and whether they are wanted. There are few.
    names: Vec<(u32, bool)>,
    /// The names of the series before.
    last: Vec<u32>,
    /// Whether all series had the same names.
    is_uniform: bool,
}

impl Projection {
    pub(super) fn new(wanted: &[String]) -> Self {
        Projection { wanted: wanted.to_vec(), names: Vec::new(), last: Vec::new(), is_uniform: true }
    }

    pub(super) fn is_uniform(&self) -> bool {
        self.is_uniform
    }

    fn see(&mut self, at: usize, name: u32) {
        if self.last.get(at) != Some(&name) {
            self.is_uniform = false;
            self.last.truncate(at);
            self.last.push(name);
        }
    }
}

impl IndexReader {
    /// Reads the wanted labels over those of the series before; what both have in the same place stays.
    pub(super) fn read_wanted<'s>(
        &'s self,
        reader: &mut Reader<'_>,
        projection: &mut Projection,
        into: &mut SeriesParts<'s>,
    ) -> Result<(), IndexError> {
        let count = reader.uvarint_len().in_section("series")?;
        let (is_first, mut kept) = (projection.last.is_empty(), 0);
        for at in 0..count {
            let (name, value) = (reader.uvarint32().in_section("series")?, reader.uvarint32().in_section("series")?);
            projection.see(at, name);
            if !self.is_wanted(name, projection)? {
                continue;
            }
            if into.symbols.get(kept) != Some(&(name, value)) {
                into.symbols.truncate(kept);
                into.labels.truncate(kept);
                into.symbols.push((name, value));
                into.labels.push((self.storable(name)?, self.storable(value)?));
            }
            kept += 1;
        }
        projection.is_uniform = is_first || (projection.is_uniform && projection.last.len() == count);
        projection.last.truncate(count);
        into.symbols.truncate(kept);
        into.labels.truncate(kept);
        if into.labels.iter().any(|(_, value)| value.is_empty()) {
            // As where all labels are read: one without a value is none.
            into.labels.retain(|(_, value)| !value.is_empty());
            into.symbols.clear();
        }
        Ok(())
    }

    fn is_wanted(&self, name: u32, projection: &mut Projection) -> Result<bool, IndexError> {
        if let Some((_, is_wanted)) = projection.names.iter().find(|(known, _)| *known == name) {
            return Ok(*is_wanted);
        }
        let text = self.storable(name)?;
        let is_wanted = projection.wanted.iter().any(|wanted| wanted.as_bytes() == text);
        projection.names.push((name, is_wanted));
        Ok(is_wanted)
    }
}
