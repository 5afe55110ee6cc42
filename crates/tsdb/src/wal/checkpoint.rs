//! Checkpoints: what is still needed of segments that are given up.
//!
//! `checkpoint.NNNNNNNN/` is a log of its own that stands for all segments up to its number. It is written under a
//! `.tmp` name, made durable and renamed; only then the segments go. A crash between leaves segments that replay skips.

use std::io;
use std::path::{Path, PathBuf};

use thanoxide_env::Disk;

use super::page::{Compressor, push_record};
use super::record::{Record, RefSeries, SampleRecord, begin_series, histogram_kind, push_series};
use super::segment::{SegmentReader, list_segments, segment_path};
use super::{LogError, Truncation};

/// The path of a checkpoint.
pub fn checkpoint_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("checkpoint.{number:08}"))
}

/// The numbers of the checkpoints in a log, ascending.
pub fn list_checkpoints(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u32>> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("checkpoint.")?.parse::<u32>().ok();
    let mut numbers: Vec<u32> = disk.list(dir)?.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Writes the checkpoint for all segments up to `last` and removes these and older checkpoints.
pub(crate) fn write_checkpoint(
    disk: &dyn Disk,
    dir: &Path,
    last: u32,
    truncation: &Truncation<'_>,
) -> Result<(), LogError> {
    let path = checkpoint_path(dir, last);
    write_durably(disk, dir, &path, last, truncation).map_err(|e| LogError::new(&path, &e))?;
    remove_covered(disk, dir, last).map_err(|e| LogError::new(dir, &e))
}

/// Removes what an earlier run left half done.
pub(crate) fn remove_leftovers(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for path in disk.list(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("checkpoint.") && name.ends_with(".tmp") {
            disk.remove_dir_all(&path)?;
        } else if name.ends_with(".repair") {
            disk.remove_file(&path)?;
        }
    }
    match list_checkpoints(disk, dir)?.last() {
        Some(newest) => remove_covered(disk, dir, *newest),
        None => Ok(()),
    }
}

fn remove_covered(disk: &dyn Disk, dir: &Path, last: u32) -> io::Result<()> {
    for number in list_segments(disk, dir)?.into_iter().filter(|n| *n <= last) {
        disk.remove_file(&segment_path(dir, number))?;
    }
    for number in list_checkpoints(disk, dir)?.into_iter().filter(|n| *n < last) {
        disk.remove_dir_all(&checkpoint_path(dir, number))?;
    }
    Ok(())
}

fn write_durably(disk: &dyn Disk, dir: &Path, path: &Path, last: u32, truncation: &Truncation<'_>) -> io::Result<()> {
    let temporary = path.with_extension(format!("{last:08}.tmp"));
    if disk.exists(&temporary)? {
        disk.remove_dir_all(&temporary)?;
    }
    disk.create_dir_all(&temporary)?;
    let mut writer = CheckpointWriter::new(disk, &temporary)?;
    for source in sources(disk, dir, last)? {
        let mut reader = SegmentReader::open(disk, &source)?;
        while let Some(record) = reader.next_record()? {
            writer.copy(record, last, truncation)?;
        }
    }
    writer.finish()?;
    disk.sync_dir(&temporary)?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(dir)
}

/// The segments of the checkpoint before, then those of the log up to `last`.
fn sources(disk: &dyn Disk, dir: &Path, last: u32) -> io::Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    let checkpoint = list_checkpoints(disk, dir)?.last().copied();
    if let Some(number) = checkpoint {
        let dir = checkpoint_path(dir, number);
        sources.extend(list_segments(disk, &dir)?.into_iter().map(|n| segment_path(&dir, n)));
    }
    let segments = list_segments(disk, dir)?.into_iter();
    let wanted = segments.filter(|n| *n <= last && checkpoint.is_none_or(|c| *n > c));
    sources.extend(wanted.map(|n| segment_path(dir, n)));
    Ok(sources)
}

struct CheckpointWriter {
    file: Box<dyn thanoxide_env::DiskFile>,
    written: u64,
    buffer: Vec<u8>,
    compressor: Compressor,
    record: Vec<u8>,
}

impl CheckpointWriter {
    fn new(disk: &dyn Disk, dir: &Path) -> io::Result<Self> {
        Ok(CheckpointWriter {
            file: disk.create(&segment_path(dir, 0))?,
            written: 0,
            buffer: Vec::new(),
            compressor: Compressor::default(),
            record: Vec::new(),
        })
    }

    fn copy(&mut self, record: &[u8], last: u32, truncation: &Truncation<'_>) -> io::Result<()> {
        let min_time_ms = truncation.min_time_ms;
        match Record::decode(record) {
            Ok(Record::Series(mut series)) => {
                series.retain(|s| (truncation.keep_series)(s.series, last));
                self.push_series(&series)
            }
            Ok(Record::Samples(mut samples)) => {
                samples.retain(|s| s.timestamp_ms >= min_time_ms);
                let mut kept = SampleRecord::default();
                samples.iter().for_each(|s| kept.push_float(s.series, s.timestamp_ms, s.value));
                self.push(kept.bytes())
            }
            Ok(Record::Histograms(mut histograms)) => {
                histograms.retain(|h| h.timestamp_ms >= min_time_ms);
                for group in histograms.chunk_by(|a, b| histogram_kind(&a.value) == histogram_kind(&b.value)) {
                    let mut kept = SampleRecord::default();
                    group.iter().for_each(|h| kept.push_histogram(h.series, h.timestamp_ms, &h.value));
                    self.push(kept.bytes())?;
                }
                Ok(())
            }
            // A deletion is needed for as long as what it deletes may be read again.
            Ok(Record::Tombstones(stones)) if stones.iter().any(|(_, _, max)| *max >= min_time_ms) => self.push(record),
            // What cannot be decoded was not applied at replay either.
            _ => Ok(()),
        }
    }

    fn push_series(&mut self, series: &[RefSeries<'_>]) -> io::Result<()> {
        if series.is_empty() {
            return Ok(());
        }
        let mut record = std::mem::take(&mut self.record);
        begin_series(&mut record);
        for s in series {
            push_series(&mut record, s.series, s.labels.iter().copied());
        }
        let pushed = self.push(&record);
        self.record = record;
        pushed
    }

    fn push(&mut self, record: &[u8]) -> io::Result<()> {
        const FLUSH_BYTES: usize = 1024 * 1024;
        if record.is_empty() {
            return Ok(());
        }
        let (stored, flag) = self.compressor.compress(record);
        push_record(&mut self.buffer, self.written, stored, flag);
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.append(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()
    }
}
