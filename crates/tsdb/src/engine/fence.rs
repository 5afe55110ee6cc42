//! Who wrote last to a tenant's directory: we, or a stock program that went on with what we handed back.
//!
//! `<tenant>/handed-back` is written last when a head is handed back. It lists the stock files of that moment with their
//! lengths. A stock program that starts always begins a new segment of its log, so the list fits only as long as none did.
//! * It fits: our own log and snapshot are newest. The file goes first, then what was handed back.
//! * It does not: what is ours in the log and the snapshot is of a life that ended, and the directory is taken over with a
//!   new generation. Once that is durable the file goes, then the stock files do.
//!
//! Without the file nothing was handed back: what is ours and what a stock program added go together.

use std::fmt::Write;
use std::io;
use std::path::Path;

use thanoxide_env::Env;

use super::takeover::{STOCK_DIRS, is_stock};

/// The file's name. Stock programs ignore it.
const FENCE_FILE: &str = "handed-back";

/// Says what was handed back, which is durable. The list itself need not be: one that a crash tore does not fit, and then
/// the next start reads the stock files, which hold the same.
pub(super) fn write(dir: &Path, env: &Env) -> io::Result<()> {
    let listing = listing(dir, env)?;
    env.disk.create(&dir.join(FENCE_FILE))?.append(listing.as_bytes())?;
    env.disk.sync_dir(dir)
}

/// Ends what a hand-back began, if no stock program came between. Says whether one did, and wrote last.
pub(super) fn reclaim(dir: &Path, env: &Env) -> io::Result<bool> {
    let handed_back = match env.disk.read(&dir.join(FENCE_FILE)) {
        Ok(listing) => listing,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    if listing(dir, env)?.as_bytes() != handed_back {
        return Ok(true);
    }
    lift(dir, env)?;
    for name in STOCK_DIRS {
        let path = dir.join(name);
        if env.disk.exists(&path)? {
            env.disk.remove_dir_all(&path)?;
        }
    }
    Ok(false)
}

/// From here on what is ours counts. Durable before anything of the stock files goes, for without these the file says that
/// a stock program wrote last.
pub(super) fn lift(dir: &Path, env: &Env) -> io::Result<()> {
    let path = dir.join(FENCE_FILE);
    if env.disk.exists(&path)? {
        env.disk.remove_file(&path)?;
        env.disk.sync_dir(dir)?;
    }
    Ok(())
}

/// Names and lengths of all files of a stock head.
fn listing(dir: &Path, env: &Env) -> io::Result<String> {
    let mut text = String::new();
    if is_stock(dir, env)? {
        for name in STOCK_DIRS {
            list_into(&dir.join(name), name, env, &mut text)?;
        }
    }
    Ok(text)
}

fn list_into(dir: &Path, shown: &str, env: &Env, text: &mut String) -> io::Result<()> {
    if !env.disk.is_dir(dir)? {
        return Ok(());
    }
    for path in env.disk.list(dir)? {
        let shown = format!("{shown}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        if env.disk.is_dir(&path)? {
            list_into(&path, &shown, env, text)?;
        } else {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{shown} {}", env.disk.open(&path)?.len()?);
        }
    }
    Ok(())
}
