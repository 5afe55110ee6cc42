//! Matching series in a block's index.

use std::path::Path;
use std::sync::Arc;

use thanoxide_env::Disk;
use thanoxide_model::Matcher;
use thanoxide_tsdb::encoding::FileSource;
use thanoxide_tsdb::index::{IndexError, IndexReader, SeriesParts, SeriesReader};

use crate::chunk_frame::ChunkPlace;
use crate::selection::SelectError;

/// An open index. All calls may wait for the disk.
#[derive(Debug)]
pub(crate) struct BlockIndex {
    reader: IndexReader,
}

impl From<IndexError> for SelectError {
    fn from(error: IndexError) -> Self {
        SelectError::Index(error.to_string())
    }
}

impl BlockIndex {
    /// Opens an index file; its table of contents, symbols and postings offsets are checked.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, String> {
        let source = FileSource::open(disk, path).map_err(|e| e.to_string())?;
        Ok(BlockIndex { reader: IndexReader::open(Arc::new(source)).map_err(|e| e.to_string())? })
    }

    /// Visits the series that satisfy all matchers and have chunks in `start_ms..=end_ms`, in the order of their own labels,
    /// with those chunks, until `visit` says false. With `only`, other labels are not read.
    pub(crate) fn select<'a>(
        &'a self,
        matchers: &[Matcher],
        (start_ms, end_ms): (i64, i64),
        only: Option<&[String]>,
        mut visit: impl FnMut(&SeriesParts<'a>, &[ChunkPlace]) -> Result<bool, SelectError>,
    ) -> Result<(), SelectError> {
        let mut places = Vec::new();
        let mut reader = SeriesReader::new(&self.reader);
        if let Some(names) = only {
            reader = reader.only(names);
        }
        for series in self.reader.matching(matchers)? {
            let entry = reader.read(series)?;
            places.clear();
            let overlapping = entry.chunks.iter().filter(|c| c.min_time_ms <= end_ms && start_ms <= c.max_time_ms);
            places.extend(overlapping.map(|chunk| ChunkPlace {
                reference: chunk.reference,
                min_time_ms: chunk.min_time_ms,
                max_time_ms: chunk.max_time_ms,
            }));
            if !places.is_empty() && !visit(entry, &places)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether any series has a label of that name.
    pub(crate) fn has_name(&self, name: &[u8]) -> bool {
        self.reader.label_names().any(|known| known == name)
    }

    /// Label names of the series that satisfy all matchers, sorted.
    pub(crate) fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<Vec<u8>>, String> {
        self.reader.names_among(matchers).map_err(|e| e.to_string())
    }

    /// Values of a label among the series that satisfy all matchers, sorted.
    pub(crate) fn label_values(&self, name: &[u8], matchers: &[Matcher]) -> Result<Vec<Vec<u8>>, String> {
        self.reader.values_among(name, matchers).map_err(|e| e.to_string())
    }
}
