//! A block without start times, for readers that know the encodings 1 to 3 only.

use std::path::Path;

use thanoxide_env::Disk;

use super::{Block, BlockError, BlockWriter};
use crate::chunk::without_start_times;
use crate::index::SymbolSet;
use crate::meta::{BlockCompaction, BlockId, BlockMeta, BlockParent};

impl Block {
    /// Whether any chunk has an encoding with start times (4 to 6). Looks at every chunk.
    pub fn has_start_times(&self) -> Result<bool, BlockError> {
        for series in self.index().all_postings()? {
            for meta in self.index().series(series)?.chunks {
                if self.segments().chunk(&meta)?.encoding.has_start_times() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Writes the block again into `parent` under another name, without start times. What is deleted is left out. `None`
    /// where no sample is left.
    pub fn recode(&self, disk: &dyn Disk, parent: &Path, id: BlockId) -> Result<Option<BlockMeta>, BlockError> {
        let from = self.meta();
        let origin = BlockParent { ulid: from.ulid, min_time: from.min_time, max_time: from.max_time };
        let compaction = BlockCompaction { parents: vec![origin], ..from.compaction.clone() };
        let meta = BlockMeta { ulid: id, compaction, ..from.clone() };
        let mut symbols = SymbolSet::default();
        self.index().symbols()?.for_each(|symbol| symbols.add(symbol));
        let mut writer = BlockWriter::create(disk, parent, meta, &symbols)?;
        for series in self.select(&[], i64::MIN, i64::MAX)? {
            let (labels, chunks) = series?;
            let mut recoded = Vec::with_capacity(chunks.len());
            for chunk in chunks {
                recoded.extend(without_start_times(chunk)?);
            }
            writer.add_series(&labels, &recoded)?;
        }
        writer.finish()
    }
}
