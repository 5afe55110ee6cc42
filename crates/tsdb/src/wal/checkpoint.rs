//! Checkpoints: what a stock program kept of segments that it gave up.
//!
//! `checkpoint.NNNNNNNN/` is a log of its own that stands for all segments up to its number.

use std::io;
use std::path::{Path, PathBuf};

use thanoxide_env::Disk;

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
