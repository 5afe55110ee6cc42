//! Chunk snapshots: what a stock head held when it stopped, `chunk_snapshot.<segment>.<offset>/`.
//!
//! A snapshot is a directory of segments like a log's, with records of its own:
//! ```text
//! 1 series     ref u64 | labels | u64 | uvarint has chunk | chunk
//!   chunk      first time u64 | last time u64 | encoding u8 | uvarint len | len bytes | state of the appender
//! 2 tombstones uvarint len | ...        3 exemplars
//! ```
//! The log still holds all of it, so only the chunks are read, for the case that the log is damaged.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use thanoxide_env::Disk;

use super::head_chunks::HeadChunk;
use super::record::{RefSeries, read_series};
use super::segment::{SegmentReader, list_segments, segment_path};
use crate::chunk::{Chunk, Encoding};
use crate::encoding::{DecodeError, Reader};

/// How the names of snapshots begin.
pub const SNAPSHOT_PREFIX: &str = "chunk_snapshot.";

const SERIES: u8 = 1;

/// The snapshots beside a stock log, the newest last.
pub fn list_snapshots(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<PathBuf>> {
    let is_snapshot = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(SNAPSHOT_PREFIX))
    };
    Ok(disk.list(dir)?.into_iter().filter(is_snapshot).collect())
}

/// Shows each series and its chunk. What cannot be read is stepped over.
pub fn read_snapshot(
    disk: &dyn Disk,
    dir: &Path,
    visit: &mut dyn FnMut(&RefSeries<'_>, Option<HeadChunk>),
) -> io::Result<()> {
    for number in list_segments(disk, dir)? {
        let mut reader = SegmentReader::open(disk, &segment_path(dir, number))?;
        while let Some(record) = reader.next_record()? {
            match read_record(record) {
                Ok(Some((series, chunk))) => visit(&series, chunk),
                Ok(None) => {}
                Err(error) => tracing::warn!(snapshot = %dir.display(), %error, "record of a snapshot is damaged"),
            }
        }
    }
    Ok(())
}

fn read_record(record: &[u8]) -> Result<Option<(RefSeries<'_>, Option<HeadChunk>)>, DecodeError> {
    let mut reader = Reader::new(record);
    if reader.u8()? != SERIES {
        return Ok(None);
    }
    let series = read_series(&mut reader)?;
    reader.u64()?;
    if reader.uvarint()? == 0 {
        return Ok(Some((series, None)));
    }
    let (min_time_ms, max_time_ms) = (reader.u64()? as i64, reader.u64()? as i64);
    let encoding = Encoding::from_byte(reader.u8()?);
    let data = Bytes::copy_from_slice(reader.uvarint_bytes()?);
    let chunk = encoding.map(|encoding| HeadChunk {
        series: series.series,
        out_of_order: false,
        chunk: Chunk { min_time_ms, max_time_ms, encoding, data },
    });
    Ok(Some((series, chunk)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_records_do_not_panic(mut bytes: Vec<u8>) {
            let _ = read_record(&bytes);
            bytes.insert(0, SERIES);
            let _ = read_record(&bytes);
        }
    }
}
