//! Where files are: exactly the calls that a crash-safe writer orders, no more.
//!
//! # Hidden contract
//! After a crash only this holds: bytes appended before a successful [`DiskFile::sync_data`] are there; a created,
//! renamed or removed name is so once [`Disk::sync_dir`] of its directory returned. Everything else may be there or not,
//! in any order.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Appends all bytes or fails, having appended any part of them.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Fills `into` from `offset`; [`io::ErrorKind::UnexpectedEof`] where the file ends first.
    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()>;

    /// Makes all appended bytes durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// How many bytes it has.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file system.
pub trait Disk: Send + Sync + Debug {
    /// Creates a file, or empties it.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to read, and to append at its end.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Renames a file or directory, replacing a file of the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and its parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The paths in a directory, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// Whether there is something of this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Whether the name is a directory's.
    fn is_dir(&self, path: &Path) -> io::Result<bool>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes a file's lock, or says at once that another process has it. The lock lasts as long as the guard.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Debug + Send + Sync>>;

    /// Bytes that may still be written where `path` lies.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Writes a small file whole: a temporary name, sync, rename, sync of the directory.
    fn write_atomically(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace(path, bytes)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    /// As [`Disk::write_atomically`] without the last sync: after a crash the file is the old one or the new one.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let file = self.create(&temporary)?;
        file.append(bytes)?;
        file.sync_data()?;
        drop(file);
        self.rename(&temporary, path)
    }
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

#[derive(Debug)]
struct SystemFile(File);

impl DiskFile for SystemFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        // Append mode has no `truncate`: the file is emptied first, so that later appends go to its end even after a cut.
        drop(OpenOptions::new().write(true).create(true).truncate(true).open(path)?);
        self.open(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SystemFile(OpenOptions::new().read(true).append(true).open(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(metadata.is_dir()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Debug + Send + Sync>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(Locked(file))),
            Err(e) => Err(io::Error::new(io::ErrorKind::WouldBlock, io::Error::from(e))),
        }
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }
}

/// A file whose lock ends with it, also where a child that is just being started still has the file open.
#[derive(Debug)]
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // If it fails, the lock ends when the last one closes the file.
        let _ = rustix::fs::flock(&self.0, rustix::fs::FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let guard = SystemDisk.lock(&path).unwrap();
        assert_eq!(SystemDisk.lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(guard);
        SystemDisk.lock(&path).unwrap();
    }

    #[test]
    fn atomic_writes_replace() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.json");
        SystemDisk.write_atomically(&path, b"one").unwrap();
        SystemDisk.write_atomically(&path, b"two").unwrap();
        assert_eq!(SystemDisk.read(&path).unwrap(), b"two");
        assert_eq!(SystemDisk.list(dir.path()).unwrap(), vec![path]);
    }
}
