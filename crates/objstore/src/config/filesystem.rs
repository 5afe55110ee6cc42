//! A directory as a bucket.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use serde::Deserialize;

use super::ConfigError;
use crate::object_bucket::{ObjectBucket, UploadOptions};

/// Settings of type `FILESYSTEM`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilesystemConfig {
    /// The directory; made where it is missing.
    pub directory: String,
}

impl FilesystemConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.directory.is_empty() { Err(invalid("missing directory for filesystem bucket".into())) } else { Ok(()) }
    }

    /// Objects are written under a temporary name (`name#n`), synced, renamed, and their directory synced.
    pub(super) fn open(&self) -> Result<ObjectBucket, ConfigError> {
        let directory = PathBuf::from(&self.directory);
        let refuse = |e: &dyn std::fmt::Display| invalid(format!("directory {}: {e}", self.directory));
        if !directory.is_dir() {
            std::fs::create_dir_all(&directory).map_err(|e| refuse(&e))?;
        }
        let store = LocalFileSystem::new_with_prefix(&directory).map_err(|e| refuse(&e))?;
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        Ok(ObjectBucket::local(format!("fs: {}", self.directory), Arc::new(store), UploadOptions::default()))
    }
}

fn invalid(reason: String) -> ConfigError {
    ConfigError::Invalid { kind: "FILESYSTEM", reason }
}
