//! Where the blocks come from: the generator of the shared benchmark data makes them once, then they are kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::progress;
use super::question::shared;

/// One shape of blocks.
pub(crate) struct Data {
    /// What they are kept as.
    pub(crate) name: &'static str,
    /// The generator's name for it.
    pub(crate) shape: &'static str,
    /// Its `-n`.
    pub(crate) size: u64,
    pub(crate) flags: &'static [&'static str],
}

impl Data {
    /// A directory with the blocks of a size.
    pub(crate) fn blocks(&self, size: u64) -> Result<PathBuf> {
        let dir = kept()?.join(format!("{}-{size}", self.name));
        if dir.is_dir() {
            return Ok(dir);
        }
        let unfinished = dir.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        progress(&format!("making blocks {}", dir.display()));
        let mut command = Command::new("go");
        command.current_dir(shared("bench")).env("GOFLAGS", "-mod=mod").args(["run", "./blockgen"]);
        command.args(["-shape", self.shape, "-n", &size.to_string(), "-ext", "tenant=bench"]).args(self.flags);
        // It lists its blocks, and standard output is for tables.
        command.arg("-out").arg(&unfinished).stdout(Stdio::null());
        let status = command.status().context("cannot run go to make blocks")?;
        ensure!(status.success(), "the block generator failed; --block DIR gives blocks instead");
        fs::rename(&unfinished, &dir)?;
        Ok(dir)
    }
}

/// Beside this program, so that `cargo clean` removes it.
fn kept() -> Result<PathBuf> {
    let here = std::env::current_exe().context("no path of this program")?;
    Ok(here.parent().unwrap_or(Path::new("")).join("compare-blocks"))
}

/// The blocks in a directory, each with its `meta.json`.
pub(crate) fn listed(blocks: &Path) -> Result<Vec<(PathBuf, Value)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(blocks).with_context(|| format!("cannot read {}", blocks.display()))? {
        let path = entry?.path();
        let Ok(text) = fs::read_to_string(path.join("meta.json")) else { continue };
        found.push((path, serde_json::from_str(&text).context("bad meta.json")?));
    }
    Ok(found)
}

/// The names of the labels that the blocks' `meta.json` add to their series.
pub(crate) fn external_labels(blocks: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (_, meta) in listed(blocks)? {
        let labels = meta["thanos"]["labels"].as_object();
        names.extend(labels.into_iter().flat_map(|labels| labels.keys().cloned()));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_labels_are_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("block")).unwrap();
        fs::write(dir.path().join("block/meta.json"), r#"{"thanos": {"labels": {"tenant": "a"}}}"#).unwrap();
        assert_eq!(external_labels(dir.path()).unwrap(), ["tenant"]);
    }
}
