//! Matching series in a block's index.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use thanoxide_env::Disk;
use thanoxide_model::{Labels, Matcher};
use thanoxide_tsdb::encoding::FileSource;
use thanoxide_tsdb::index::{IndexError, IndexReader};
use thanoxide_tsdb::postings;

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
    /// with those chunks.
    pub(crate) fn select(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
        mut visit: impl FnMut(Labels, &[ChunkPlace]) -> Result<(), SelectError>,
    ) -> Result<(), SelectError> {
        let mut places = Vec::new();
        for series in self.matching(matchers)? {
            let entry = self.reader.series(series)?;
            places.clear();
            let overlapping = entry.chunks.iter().filter(|c| c.min_time_ms <= end_ms && start_ms <= c.max_time_ms);
            places.extend(overlapping.map(|chunk| ChunkPlace {
                reference: chunk.reference,
                min_time_ms: chunk.min_time_ms,
                max_time_ms: chunk.max_time_ms,
            }));
            if !places.is_empty() {
                visit(entry.labels, &places)?;
            }
        }
        Ok(())
    }

    /// Label names of the series that satisfy all matchers, sorted.
    pub(crate) fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<Vec<u8>>, String> {
        if matchers.is_empty() {
            return Ok(self.reader.label_names().map(<[u8]>::to_vec).collect());
        }
        let mut names: BTreeSet<Vec<u8>> = BTreeSet::new();
        for series in self.matching(matchers).map_err(|e| e.to_string())? {
            for (name, _) in &self.reader.series(series).map_err(|e| e.to_string())?.labels {
                if !names.contains(name) {
                    names.insert(name.to_vec());
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Values of a label among the series that satisfy all matchers, sorted.
    pub(crate) fn label_values(&self, name: &[u8], matchers: &[Matcher]) -> Result<Vec<Vec<u8>>, String> {
        let all = self.reader.label_values(name).map_err(|e| e.to_string())?;
        if matchers.is_empty() {
            return Ok(all);
        }
        let among = self.matching(matchers).map_err(|e| e.to_string())?;
        let mut values = Vec::new();
        for value in all {
            let having = self.reader.postings(name, &value).map_err(|e| e.to_string())?;
            if !postings::intersect(&having, &among).is_empty() {
                values.push(value);
            }
        }
        Ok(values)
    }

    fn matching(&self, matchers: &[Matcher]) -> Result<Vec<u32>, IndexError> {
        postings::select(&self.reader, matchers)
    }
}
