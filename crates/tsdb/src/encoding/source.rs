//! Bytes that are read a range at a time: a file, or memory.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use thanoxide_env::{Disk, DiskFile};

/// Bytes at rest.
pub trait ByteSource: Send + Sync + Debug {
    /// How many there are.
    fn len(&self) -> u64;

    /// Some of them; [`io::ErrorKind::UnexpectedEof`] where there are fewer.
    fn range(&self, range: Range<u64>) -> io::Result<Bytes>;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `len` bytes from `start` on; fewer at the end.
    fn up_to(&self, start: u64, len: u64) -> io::Result<Bytes> {
        let start = start.min(self.len());
        self.range(start..start.saturating_add(len).min(self.len()))
    }

    /// As [`Self::range`], in the place of what a buffer holds.
    fn read(&self, range: Range<u64>, into: &mut Vec<u8>) -> io::Result<()> {
        let bytes = self.range(range)?;
        into.clear();
        into.extend_from_slice(&bytes);
        Ok(())
    }

    /// As [`Self::up_to`], in the place of what a buffer holds.
    fn read_up_to(&self, start: u64, len: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let start = start.min(self.len());
        self.read(start..start.saturating_add(len).min(self.len()), into)
    }
}

impl ByteSource for Bytes {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn range(&self, range: Range<u64>) -> io::Result<Bytes> {
        check(&range, ByteSource::len(self))?;
        Ok(self.slice(range.start as usize..range.end as usize))
    }
}

fn check(range: &Range<u64>, len: u64) -> io::Result<()> {
    match range.start <= range.end && range.end <= len {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("bytes {range:?} of {len}"))),
    }
}

/// A file on a [`Disk`], which does not change.
#[derive(Debug)]
pub struct FileSource {
    file: Box<dyn DiskFile>,
    len: u64,
}

impl FileSource {
    /// Opens a file.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path)?;
        let len = file.len()?;
        Ok(FileSource { file, len })
    }
}

impl ByteSource for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn range(&self, range: Range<u64>) -> io::Result<Bytes> {
        check(&range, self.len)?;
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(Bytes::from(bytes))
    }

    fn read(&self, range: Range<u64>, into: &mut Vec<u8>) -> io::Result<()> {
        check(&range, self.len)?;
        // Bytes that are there already are overwritten: only a buffer that grows is filled with zeros first.
        into.resize((range.end - range.start) as usize, 0);
        self.file.read_exact_at(into, range.start)
    }
}
