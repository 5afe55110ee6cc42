//! Head chunks: what a stock head wrote out of memory, `chunks_head/000001` and so on.
//!
//! ```text
//! 01 30 BC 91, version 1, three zero bytes
//! chunk: series reference u64 | first time u64 | last time u64 | encoding u8 | uvarint len | len bytes
//!        | crc u32 of all before
//! ```
//! The top bit of the encoding says that the samples came out of order. A file may end in zeros. The series are named by
//! the log beside it. See `docs/format/stock-head.md`.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use thanoxide_env::{Disk, DiskFile};

use super::record::SeriesRef;
use crate::chunk::{Chunk, Encoding};
use crate::encoding::{DecodeError, Put, Reader, checksum};

const MAGIC: u32 = 0x0130_bc91;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 8;
const OUT_OF_ORDER: u8 = 0x80;
/// Reference, times, encoding: what is before the length.
const CHUNK_HEADER_BYTES: usize = 8 * 3 + 1;
/// How large a file may become.
const MAX_FILE_BYTES: u64 = 128 << 20;
const FLUSH_BYTES: usize = 1 << 20;

/// The directory beside a stock log.
pub const HEAD_CHUNKS_DIR: &str = "chunks_head";

/// A chunk of a head, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadChunk {
    /// Its series, as the log names it.
    pub series: SeriesRef,
    /// Whether its samples came out of order.
    pub out_of_order: bool,
    /// The chunk.
    pub chunk: Chunk,
}

/// Shows all chunks in the order of the files. Says how many files are damaged; what they hold behind the damage is not
/// shown.
pub fn read_head_chunks(disk: &dyn Disk, dir: &Path, visit: &mut dyn FnMut(HeadChunk)) -> io::Result<u64> {
    let mut damaged = 0;
    for (_, path) in head_chunk_files(disk, dir)? {
        let file = Bytes::from(disk.read(&path)?);
        if let Err(error) = read_file(&file, visit) {
            tracing::warn!(file = %path.display(), %error, "head chunks are damaged");
            damaged += 1;
        }
    }
    Ok(damaged)
}

/// The files of a `chunks_head` directory and their numbers, in order.
pub fn head_chunk_files(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    if !disk.is_dir(dir)? {
        return Ok(Vec::new());
    }
    let numbered = |path: PathBuf| Some((path.file_name()?.to_str()?.parse().ok()?, path));
    let mut files: Vec<(u32, PathBuf)> = disk.list(dir)?.into_iter().filter_map(numbered).collect();
    files.sort_unstable();
    Ok(files)
}

fn read_file(file: &Bytes, visit: &mut dyn FnMut(HeadChunk)) -> Result<(), DecodeError> {
    if file.iter().take(HEADER_BYTES).all(|byte| *byte == 0) {
        // Made and not written to.
        return Ok(());
    }
    let mut reader = Reader::new(file);
    if reader.u32()? != MAGIC || reader.u8()? != VERSION {
        return Err(DecodeError::UnexpectedEnd);
    }
    reader.bytes(HEADER_BYTES - 5)?;
    while reader.rest().len() >= CHUNK_HEADER_BYTES {
        let rest = reader.rest();
        if rest[..CHUNK_HEADER_BYTES - 1].iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let (series, min_time_ms, max_time_ms) = (reader.u64()?, reader.u64()? as i64, reader.u64()? as i64);
        let kind = reader.u8()?;
        let data = reader.uvarint_bytes()?;
        let covered = rest.len() - reader.len();
        let stored = reader.u32()?;
        let computed = checksum(&rest[..covered]);
        if stored != computed {
            return Err(DecodeError::Checksum { stored, computed });
        }
        // An encoding of the future costs this chunk only.
        if let Some(encoding) = Encoding::from_byte(kind & !OUT_OF_ORDER) {
            let chunk = Chunk { min_time_ms, max_time_ms, encoding, data: file.slice_ref(data) };
            visit(HeadChunk { series, out_of_order: kind & OUT_OF_ORDER != 0, chunk });
        }
    }
    if reader.rest().iter().all(|byte| *byte == 0) { Ok(()) } else { Err(DecodeError::UnexpectedEnd) }
}

/// Writes head chunks as stock reads them.
#[derive(Debug)]
pub struct HeadChunksWriter<'d> {
    disk: &'d dyn Disk,
    dir: PathBuf,
    next_number: u32,
    file: Option<Box<dyn DiskFile>>,
    written: u64,
    buffer: Vec<u8>,
}

impl<'d> HeadChunksWriter<'d> {
    /// Begins behind the files that are in `dir`, which is there.
    pub fn new(disk: &'d dyn Disk, dir: &Path) -> io::Result<Self> {
        let next_number = head_chunk_files(disk, dir)?.last().map_or(1, |(number, _)| number + 1);
        Ok(HeadChunksWriter { disk, dir: dir.to_path_buf(), next_number, file: None, written: 0, buffer: Vec::new() })
    }

    /// Adds a chunk. Those of a series come in the order of their times.
    pub fn push(&mut self, chunk: &HeadChunk) -> io::Result<()> {
        let most = (CHUNK_HEADER_BYTES + 5 + chunk.chunk.data.len() + 4) as u64;
        if self.file.is_none() || self.written + self.buffer.len() as u64 + most > MAX_FILE_BYTES {
            self.next_file()?;
        }
        let start = self.buffer.len();
        self.buffer.put_u64(chunk.series);
        self.buffer.put_u64(chunk.chunk.min_time_ms as u64);
        self.buffer.put_u64(chunk.chunk.max_time_ms as u64);
        self.buffer.put_u8(chunk.chunk.encoding as u8 | if chunk.out_of_order { OUT_OF_ORDER } else { 0 });
        self.buffer.put_uvarint_bytes(&chunk.chunk.data);
        self.buffer.put_checksum_from(start);
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Makes all chunks durable, and the names of their files.
    pub fn finish(mut self) -> io::Result<()> {
        self.end_file()?;
        self.disk.sync_dir(&self.dir)
    }

    fn next_file(&mut self) -> io::Result<()> {
        self.end_file()?;
        self.file = Some(self.disk.create(&self.dir.join(format!("{:06}", self.next_number)))?);
        self.next_number += 1;
        self.written = 0;
        self.buffer.put_u32(MAGIC);
        self.buffer.extend_from_slice(&[VERSION, 0, 0, 0]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.append(&self.buffer)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    fn end_file(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.take().map_or(Ok(()), |file| file.sync_data())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thanoxide_env::SimDisk;

    use super::*;

    fn chunk(series: u64, min: i64, len: usize, out_of_order: bool) -> HeadChunk {
        let data = Bytes::from(vec![series as u8; len]);
        let chunk = Chunk { min_time_ms: min, max_time_ms: min + 7, encoding: Encoding::Xor, data };
        HeadChunk { series, out_of_order, chunk }
    }

    fn read_all(disk: &SimDisk, dir: &Path) -> (Vec<HeadChunk>, u64) {
        let mut all = Vec::new();
        let damaged = read_head_chunks(disk, dir, &mut |chunk| all.push(chunk)).unwrap();
        (all, damaged)
    }

    #[test]
    fn chunks_come_back() {
        let (disk, dir) = (SimDisk::default(), Path::new("/chunks_head"));
        disk.create_dir_all(dir).unwrap();
        let chunks: Vec<_> = (1..200).map(|i| chunk(i, -5 + i as i64, 10 * i as usize, i % 3 == 0)).collect();
        for part in chunks.chunks(50) {
            let mut writer = HeadChunksWriter::new(&disk, dir).unwrap();
            part.iter().for_each(|chunk| writer.push(chunk).unwrap());
            writer.finish().unwrap();
        }
        assert_eq!(read_all(&disk, dir), (chunks.clone(), 0));
        assert_eq!(head_chunk_files(&disk, dir).unwrap().len(), 4);
        // A file is as long as it was made for, and zeros are no chunks.
        disk.open(&dir.join("000002")).unwrap().append(&[0; 5000]).unwrap();
        assert_eq!(read_all(&disk, dir), (chunks, 0));
    }

    #[test]
    fn damage_costs_the_rest_of_its_file() {
        let (disk, dir) = (SimDisk::default(), Path::new("/chunks_head"));
        disk.create_dir_all(dir).unwrap();
        let mut writer = HeadChunksWriter::new(&disk, dir).unwrap();
        (1..=3).for_each(|i| writer.push(&chunk(i, 0, 100, false)).unwrap());
        writer.finish().unwrap();
        let path = dir.join("000001");
        let mut bytes = disk.read(&path).unwrap();
        bytes[200] ^= 1;
        disk.overwrite(&path, bytes).unwrap();
        let (chunks, damaged) = read_all(&disk, dir);
        assert_eq!((chunks.len(), damaged), (1, 1));
    }

    proptest! {
        #[test]
        fn arbitrary_files_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500), honest: bool) {
            let (disk, dir) = (SimDisk::default(), Path::new("/chunks_head"));
            disk.create_dir_all(dir).unwrap();
            let header: &[u8] = if honest { &[1, 0x30, 0xbc, 0x91, 1, 0, 0, 0] } else { &[] };
            disk.create(&dir.join("000001")).unwrap().append(&[header, &bytes].concat()).unwrap();
            read_all(&disk, dir);
        }
    }
}
