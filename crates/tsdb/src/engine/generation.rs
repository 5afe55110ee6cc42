//! Which life of a tenant a directory holds.
//!
//! `<tenant>/generation` is one line: sixteen hexadecimal digits, chosen at random when the tenant is made. What the shared
//! log and the snapshot say of another generation is of a life that ended.

use std::io;
use std::path::Path;

use thanoxide_env::Env;

/// The file's name. Stock programs ignore it.
pub const GENERATION_FILE: &str = "generation";

/// Reads a tenant's generation; `None` where it has none, being new or a stock program's.
pub(super) fn read(dir: &Path, env: &Env) -> io::Result<Option<u64>> {
    match env.disk.read(&dir.join(GENERATION_FILE)) {
        Ok(bytes) => Ok(std::str::from_utf8(&bytes).ok().and_then(|text| u64::from_str_radix(text.trim(), 16).ok())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Makes a tenant's generation durable.
pub(super) fn write(dir: &Path, generation: u64, env: &Env) -> io::Result<()> {
    env.disk.write_atomically(&dir.join(GENERATION_FILE), format!("{generation:016x}\n").as_bytes())
}
