//! Golden data and corpora, read where they lie.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use serde_json::Value;

/// A path below `THANOXIDE_SHARED`, or below `../shared` beside the repository.
pub fn path(relative: &str) -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("THANOXIDE_SHARED").map_or_else(beside, PathBuf::from).join(relative)
}

/// The text of a file, unpacked if its name ends in `.gz`.
pub fn text(relative: &str) -> Result<String> {
    let path = path(relative);
    let file = File::open(&path).with_context(|| format!("golden data is missing: {}", path.display()))?;
    let mut text = String::new();
    if relative.ends_with(".gz") {
        GzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        BufReader::new(file).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// A JSON document.
pub fn json(relative: &str) -> Result<Value> {
    Ok(serde_json::from_str(&text(relative)?)?)
}

/// The lines of a `.jsonl.gz` file.
pub fn json_lines(relative: &str) -> Result<Vec<Value>> {
    let path = path(relative);
    let file = File::open(&path).with_context(|| format!("golden data is missing: {}", path.display()))?;
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}
