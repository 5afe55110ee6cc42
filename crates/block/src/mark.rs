//! Marks: small JSON objects in a block's dir that tell what to do with it.

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::meta::{MetaError, ulid_text};

/// Name of the mark of a block that is to be deleted.
pub const DELETION_MARK_NAME: &str = "deletion-mark.json";
/// Name of the mark of a block that is not to be compacted.
pub const NO_COMPACT_MARK_NAME: &str = "no-compact-mark.json";
/// Name of the mark of a block that is not to be downsampled.
pub const NO_DOWNSAMPLE_MARK_NAME: &str = "no-downsample-mark.json";

/// `deletion-mark.json`: the block will be deleted some time after it was marked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionMark {
    /// The block.
    #[serde(with = "ulid_text")]
    pub id: Ulid,
    /// 1.
    pub version: i64,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// When it was marked, seconds since the Unix epoch.
    #[serde(rename = "deletion_time")]
    pub deletion_time_s: i64,
}

impl DeletionMark {
    /// Parses a mark and checks its version.
    pub fn parse(json: &[u8]) -> Result<Self, MetaError> {
        let mark: DeletionMark =
            serde_json::from_slice(json).map_err(|e| MetaError::Malformed(format!("mark: {e}")))?;
        if mark.version == 1 { Ok(mark) } else { Err(MetaError::Version { section: "mark", version: mark.version }) }
    }
}
