//! Thanos's section of a block's `meta.json`.
//!
//! Written as Thanos writes it, byte for byte: fields in its order, empty ones left out where it leaves them out, and,
//! other than Prometheus, with a newline at the end.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thanoxide_model::Labels;
use thanoxide_tsdb::meta::{BlockMeta, to_go_json};
use thiserror::Error;
use ulid::Ulid;

/// Name of the meta file in a block.
pub const META_NAME: &str = thanoxide_tsdb::meta::META_FILE;
/// Name of the index file in a block.
pub const INDEX_NAME: &str = "index";
/// The only version of Thanos's section.
const VERSION: i64 = 1;
/// How Go prints the time that was never set.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Why a `meta.json` cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MetaError {
    /// Not JSON, not of this form, or of another version.
    #[error("{0}")]
    Malformed(String),
    /// A mark or Thanos's section is of another version.
    #[error("unexpected {section} version {version}")]
    Version {
        /// `mark` or `thanos`.
        section: &'static str,
        /// What it says.
        version: i64,
    },
    /// Without Thanos's section, which says whose block it is.
    #[error("meta.json: no thanos section with labels")]
    NoThanos,
}

/// A whole `meta.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Prometheus's part. Its own `thanos` field is empty: it is [`Meta::thanos`].
    pub tsdb: BlockMeta,
    /// Thanos's section.
    pub thanos: Option<ThanosMeta>,
}

/// Thanos's section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThanosMeta {
    /// 1; absent in old blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The external labels: whose block this is.
    pub labels: BTreeMap<String, String>,
    /// Resolution.
    #[serde(default)]
    pub downsample: Downsample,
    /// Who uploaded it.
    #[serde(default)]
    pub source: Source,
    /// Names of the chunk files; kept for old readers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segment_files: Vec<String>,
    /// All files, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<BlockFile>,
    /// What was rewritten, as found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrites: Vec<serde_json::Value>,
    /// Sizes within the index.
    #[serde(default)]
    pub index_stats: IndexStats,
    /// Anything, as found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<serde_json::Value>,
    /// When it was uploaded, RFC 3339; year 1 is unknown.
    #[serde(default = "zero_time")]
    pub upload_time: String,
}

/// Resolution of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downsample {
    /// 0 (raw), 300000 or 3600000.
    #[serde(rename = "resolution")]
    pub resolution_ms: i64,
}

/// A file of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockFile {
    /// Path within the block.
    pub rel_path: String,
    /// Its size; absent for `meta.json`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size_bytes: u64,
    /// Its hash, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<FileHash>,
}

/// Hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// `SHA256`.
    #[serde(rename = "hashFunc")]
    pub function: String,
    /// Hexadecimal.
    pub value: String,
}

/// Largest sizes within an index. Stock writes the smallest integer where it saw nothing to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexStats {
    /// Largest series entry in bytes.
    #[serde(skip_serializing_if = "is_zero_signed")]
    pub series_max_size: i64,
    /// Largest chunk in bytes.
    #[serde(skip_serializing_if = "is_zero_signed")]
    pub chunk_max_size: i64,
}

/// Who uploaded a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(pub String);

impl Source {
    /// `receive`.
    pub fn receive() -> Self {
        Source("receive".into())
    }

    /// Whether it made the block from others in the bucket, which are older than it is.
    pub fn is_compactor(&self) -> bool {
        matches!(self.0.as_str(), "compactor" | "compactor.repair" | "bucket.repair")
    }
}

impl ThanosMeta {
    /// The section of a new raw block.
    pub fn new(labels: &Labels, source: Source) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ThanosMeta {
            version: None,
            labels: labels.iter().map(|(name, value)| (text(name), text(value))).collect(),
            downsample: Downsample::default(),
            source,
            segment_files: Vec::new(),
            files: Vec::new(),
            rewrites: Vec::new(),
            index_stats: IndexStats::default(),
            extensions: None,
            upload_time: zero_time(),
        }
    }

    /// The external labels as a label set.
    pub fn label_set(&self) -> Labels {
        Labels::from_pairs(&self.labels)
    }

    /// When it was uploaded, where that is known.
    pub fn upload_time_ms(&self) -> Option<i64> {
        if self.upload_time == ZERO_TIME {
            return None;
        }
        self.upload_time.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond())
    }

    /// Sets the time of the upload.
    pub fn set_upload_time(&mut self, now_ms: i64) {
        self.upload_time = match jiff::Timestamp::from_millisecond(now_ms) {
            Ok(time) => time.to_string(),
            Err(_) => zero_time(),
        };
    }
}

impl Meta {
    /// Parses a meta of either kind and checks the versions.
    pub fn parse(json: &[u8]) -> Result<Self, MetaError> {
        let mut tsdb = BlockMeta::from_json(json).map_err(|e| MetaError::Malformed(e.to_string()))?;
        let Some(section) = tsdb.thanos.take() else { return Ok(Meta { tsdb, thanos: None }) };
        let thanos: ThanosMeta =
            serde_json::from_value(section).map_err(|e| MetaError::Malformed(format!("meta.json: thanos: {e}")))?;
        match thanos.version {
            None | Some(0 | VERSION) => Ok(Meta { tsdb, thanos: Some(thanos) }),
            Some(version) => Err(MetaError::Version { section: "thanos", version }),
        }
    }

    /// Parses the meta of a block in a bucket, which must have Thanos's section.
    pub fn parse_uploaded(json: &[u8]) -> Result<Self, MetaError> {
        let meta = Self::parse(json)?;
        if meta.thanos.is_some() { Ok(meta) } else { Err(MetaError::NoThanos) }
    }

    /// The file's bytes.
    pub fn to_json(&self) -> Vec<u8> {
        let section = |thanos| serde_json::to_value(thanos).expect("maps with text keys always have a JSON form");
        let mut whole = self.tsdb.clone();
        whole.thanos = self.thanos.as_ref().map(section);
        go_lines(&whole)
    }

    /// The block's id.
    pub fn id(&self) -> Ulid {
        self.tsdb.ulid.0
    }

    /// Time of the oldest sample.
    pub fn min_time_ms(&self) -> i64 {
        self.tsdb.min_time
    }

    /// End of the time range, exclusive.
    pub fn max_time_ms(&self) -> i64 {
        self.tsdb.max_time
    }

    /// The external labels; empty without Thanos's section.
    pub fn label_set(&self) -> Labels {
        self.thanos.as_ref().map(ThanosMeta::label_set).unwrap_or_default()
    }

    /// The resolution; 0 without Thanos's section.
    pub fn resolution_ms(&self) -> i64 {
        self.thanos.as_ref().map_or(0, |thanos| thanos.downsample.resolution_ms)
    }
}

/// JSON as Go's encoder writes it, with the newline that its file writer adds.
pub(crate) fn go_lines(value: &impl Serialize) -> Vec<u8> {
    let mut json = to_go_json(value);
    json.push(b'\n');
    json
}

fn zero_time() -> String {
    ZERO_TIME.to_string()
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn is_zero_signed(n: &i64) -> bool {
    *n == 0
}

/// A ULID as its text.
pub(crate) mod ulid_text {
    use super::{Deserialize, Deserializer, Serializer, Ulid};

    pub(crate) fn serialize<S: Serializer>(ulid: &Ulid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(ulid)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ulid, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ulid::from_string(&text).map_err(|e| serde::de::Error::custom(format!("ulid {text:?}: {e}")))
    }
}

/// A list of ULIDs as texts; `null` is an empty one.
pub(crate) mod ulid_texts {
    use super::{Deserialize, Deserializer, Serializer, Ulid};

    pub(crate) fn serialize<S: Serializer>(ulids: &[Ulid], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ulids.iter().map(Ulid::to_string))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Ulid>, D::Error> {
        let texts = Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default();
        let parse = |text: &String| Ulid::from_string(text).map_err(|e| format!("ulid {text:?}: {e}"));
        texts.iter().map(parse).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_escapes_are_gos() {
        let mut thanos = ThanosMeta::new(&Labels::from_pairs([("a", "<b&c>")]), Source::receive());
        assert_eq!(thanos.upload_time_ms(), None);
        thanos.set_upload_time(1_767_413_106_000);
        assert_eq!(thanos.upload_time, "2026-01-03T04:05:06Z");
        thanos.set_upload_time(1_767_413_106_120);
        assert_eq!(thanos.upload_time, "2026-01-03T04:05:06.12Z");
        assert_eq!(thanos.upload_time_ms(), Some(1_767_413_106_120));
        let json = String::from_utf8(go_lines(&thanos)).unwrap();
        assert!(json.contains(r#""a": "\u003cb\u0026c\u003e""#), "{json}");
    }

    #[test]
    fn versions_are_checked() {
        let id = Ulid::from_parts(1, 2);
        let meta = |version: i64, thanos: &str| {
            format!(
                r#"{{"ulid":"{id}","minTime":0,"maxTime":1,"compaction":{{"level":1}},"version":{version}{thanos}}}"#
            )
        };
        assert!(Meta::parse(meta(1, "").as_bytes()).is_ok());
        assert_eq!(Meta::parse_uploaded(meta(1, "").as_bytes()), Err(MetaError::NoThanos));
        assert!(matches!(Meta::parse(meta(2, "").as_bytes()), Err(MetaError::Malformed(_))));
        let future = meta(1, r#","thanos":{"version":7,"labels":{}}"#);
        assert!(matches!(Meta::parse(future.as_bytes()), Err(MetaError::Version { section: "thanos", version: 7 })));
        assert!(Meta::parse_uploaded(meta(1, r#","thanos":{"labels":{}}"#).as_bytes()).is_ok());
        assert!(Meta::parse_uploaded(meta(1, r#","thanos":{"labels":null}"#).as_bytes()).is_err());
    }
}
