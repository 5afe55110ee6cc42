//! Blocks in a tenant's directory that nobody shows: what a failure left of one that was being made, and what could not be
//! removed.
//!
//! The next start would show them, and with them what was deleted meanwhile. So they are tried again before any block is
//! made or anything is deleted, which is told to come again as long as they cannot be removed.

use std::io;
use std::path::Path;

use thanoxide_env::Env;

use super::EngineError;
use super::tenant::Tenant;
use crate::block::{self, CREATION_SUFFIX};
use crate::meta::BlockId;

impl Tenant {
    /// Removes a block that nobody shows, whole or half written: now, or with [`Tenant::remove_leftovers`].
    pub(super) fn discard(&self, id: BlockId, env: &Env) {
        if !remove_block(&self.dir, id, env) {
            self.leftovers.lock().push(id);
        }
    }

    /// Removes what could not be removed before. With `cutting` held.
    pub(super) fn remove_leftovers(&self, env: &Env) -> Result<(), EngineError> {
        let mut leftovers = self.leftovers.lock();
        if leftovers.is_empty() {
            return Ok(());
        }
        let io = |e| EngineError::io(&self.dir, &e);
        leftovers.iter().try_for_each(|id| try_remove(&self.dir, *id, env)).map_err(io)?;
        // One may have been removed but for the last sync.
        env.disk.sync_dir(&self.dir).map_err(io)?;
        leftovers.clear();
        Ok(())
    }
}

/// Removes a block, whole or half written. Says whether nothing of it can come back.
pub(super) fn remove_block(dir: &Path, id: BlockId, env: &Env) -> bool {
    let removed = try_remove(dir, id, env);
    if let Err(error) = &removed {
        tracing::warn!(dir = %dir.display(), block = %id, %error, "cannot remove block");
    }
    removed.is_ok()
}

fn try_remove(dir: &Path, id: BlockId, env: &Env) -> io::Result<()> {
    let half = dir.join(format!("{id}{CREATION_SUFFIX}"));
    if env.disk.exists(&half)? {
        return env.disk.remove_dir_all(&half);
    }
    if env.disk.exists(&dir.join(id.to_string()))? {
        return block::delete(&*env.disk, dir, id);
    }
    Ok(())
}
