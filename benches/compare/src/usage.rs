//! What processes have used so far, as `/proc` says.

use std::fs;
use std::ops::{Add, Sub};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Bytes of a block in `st_blocks`, whatever the file system's own block is.
const STAT_BLOCK_BYTES: u64 = 512;

/// What a process, or several together, have used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time, in steps of a clock tick (10 ms).
    pub(crate) cpu_s: f64,
    /// Resident memory now.
    pub(crate) resident_bytes: f64,
    /// The most resident memory since the start or the last [`reset_peak`].
    pub(crate) peak_bytes: f64,
    /// Bytes given to the storage layer.
    pub(crate) written_bytes: f64,
}

impl Usage {
    /// What a process has used.
    pub(crate) fn of(pid: u32) -> Result<Usage> {
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/{pid}/{name}")).with_context(|| format!("process {pid} is gone"))
        };
        let (stat, status, io) = (read("stat")?, read("status")?, read("io")?);
        Ok(Usage {
            cpu_s: seconds_of(&stat)?,
            resident_bytes: 1024.0 * field(&status, "VmRSS:").context("no VmRSS")?,
            peak_bytes: 1024.0 * field(&status, "VmHWM:").context("no VmHWM")?,
            written_bytes: field(&io, "write_bytes:").context("no write_bytes")?,
        })
    }
}

impl Add for Usage {
    type Output = Usage;

    fn add(self, other: Usage) -> Usage {
        Usage {
            cpu_s: self.cpu_s + other.cpu_s,
            resident_bytes: self.resident_bytes + other.resident_bytes,
            peak_bytes: self.peak_bytes + other.peak_bytes,
            written_bytes: self.written_bytes + other.written_bytes,
        }
    }
}

impl Sub for Usage {
    type Output = Usage;

    fn sub(self, other: Usage) -> Usage {
        Usage {
            cpu_s: self.cpu_s - other.cpu_s,
            resident_bytes: self.resident_bytes - other.resident_bytes,
            peak_bytes: self.peak_bytes - other.peak_bytes,
            written_bytes: self.written_bytes - other.written_bytes,
        }
    }
}

/// User and system time of a process; one that has ended keeps it until its parent has asked for its status.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    seconds_of(&fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?)
}

/// Lets the peak of a process start again from what is resident now.
pub(crate) fn reset_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot reset the memory peak")
}

/// Bytes that the files below a directory occupy. Files that vanish meanwhile count nothing.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * STAT_BLOCK_BYTES,
        Err(_) => 0,
    });
    bytes.sum()
}

fn seconds_of(stat: &str) -> Result<f64> {
    Ok(cpu_ticks(stat).context("bad stat")? as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// `utime + stime`: fields 14 and 15, counted behind the program's name, which may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

fn field(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_read_behind_any_program_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("nothing"), None);
    }

    #[test]
    fn this_process_has_memory_and_files_have_bytes() {
        assert!(Usage::of(std::process::id()).unwrap().resident_bytes > 100_000.0);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/file"), vec![1; 10_000]).unwrap();
        assert!(disk_bytes(dir.path()) >= 10_000);
    }
}
