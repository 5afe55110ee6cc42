//! Makes a damaged segment whole again for whoever reads it next, stock programs included.
//!
//! A torn tail is cut off. A segment with damage before its end is written anew from its good records; the original is
//! kept in `wal-damaged/` beside the log.

use std::io;
use std::path::{Path, PathBuf};

use thanoxide_env::Disk;

use super::ReplayReport;
use super::page::{Compressor, push_record};
use super::segment::SegmentReader;

/// Repairs a segment that was read to its end. Says whether there was anything to do.
pub(crate) fn repair_segment(
    disk: &dyn Disk,
    log_dir: &Path,
    path: &Path,
    reader: &SegmentReader,
    report: &mut ReplayReport,
) -> io::Result<bool> {
    let inner = reader.damage().iter().filter(|d| d.end < reader.len());
    let (count, bytes) = inner.fold((0, 0), |(n, bytes), d| (n + 1, bytes + (d.end - d.offset)));
    for damage in reader.damage() {
        let (offset, end, reason) = (damage.offset, damage.end, damage.reason);
        tracing::warn!(segment = %path.display(), offset, end, reason, "stepped over damage in the log");
    }
    report.damaged += count;
    report.damaged_bytes += bytes;
    if count > 0 {
        rewrite(disk, log_dir, path)?;
        return Ok(true);
    }
    if reader.good_end() == reader.len() {
        return Ok(false);
    }
    report.torn += u64::from(!reader.damage().is_empty());
    let file = disk.open(path)?;
    file.truncate(reader.good_end())?;
    file.sync_data()?;
    Ok(true)
}

/// Makes the new names durable.
pub(crate) fn sync_repairs(disk: &dyn Disk, log_dir: &Path, dir: &Path) -> io::Result<()> {
    let damaged = damaged_dir(log_dir);
    if disk.is_dir(&damaged)? {
        disk.sync_dir(&damaged)?;
    }
    disk.sync_dir(dir)
}

fn damaged_dir(log_dir: &Path) -> PathBuf {
    log_dir.with_file_name("wal-damaged")
}

fn rewrite(disk: &dyn Disk, log_dir: &Path, path: &Path) -> io::Result<()> {
    const FLUSH_BYTES: usize = 1024 * 1024;
    keep_original(disk, log_dir, path)?;
    let temporary = path.with_extension("repair");
    let file = disk.create(&temporary)?;
    let mut reader = SegmentReader::open(disk, path)?;
    let (mut compressor, mut buffer, mut written) = (Compressor::default(), Vec::new(), 0);
    while let Some(record) = reader.next_record()? {
        let (stored, flag) = compressor.compress(record);
        push_record(&mut buffer, written, stored, flag);
        if buffer.len() >= FLUSH_BYTES {
            file.append(&buffer)?;
            written += buffer.len() as u64;
            buffer.clear();
        }
    }
    file.append(&buffer)?;
    file.sync_data()?;
    disk.rename(&temporary, path)
}

fn keep_original(disk: &dyn Disk, log_dir: &Path, path: &Path) -> io::Result<()> {
    let dir = damaged_dir(log_dir);
    disk.create_dir_all(&dir)?;
    let name = path.strip_prefix(log_dir).unwrap_or(path).to_string_lossy().replace('/', "-");
    let kept = (0..1000).map(|n| dir.join(format!("{name}.{n}")));
    for kept in kept {
        if !disk.exists(&kept)? {
            return disk.hard_link(path, &kept);
        }
    }
    Ok(())
}
