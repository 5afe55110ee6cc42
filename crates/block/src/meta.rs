//! `meta.json`: Prometheus's block meta and Thanos's section.
//!
//! Written as Thanos writes it, byte for byte: tab-indented, fields in its order, empty ones left out where it leaves
//! them out, `<`, `>` and `&` escaped, a newline at the end.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thanoxide_model::Labels;
use thiserror::Error;
use ulid::Ulid;

/// Name of the meta file in a block.
pub const META_NAME: &str = "meta.json";
/// Name of the index file in a block.
pub const INDEX_NAME: &str = "index";
/// The only version of both the meta and its Thanos section.
const VERSION: i64 = 1;
/// How Go prints the time that was never set.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Why a `meta.json` cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MetaError {
    /// Not JSON, or not of this form.
    #[error("meta.json: {0}")]
    Malformed(String),
    /// Of another version.
    #[error("meta.json: unexpected {section} version {version}")]
    Version {
        /// `meta` or `thanos`.
        section: &'static str,
        /// What it says.
        version: i64,
    },
    /// Without Thanos's section, which says whose block it is.
    #[error("meta.json: no thanos section with labels")]
    NoThanos,
}

/// A whole `meta.json`. Times are ms since the Unix epoch; `max_time_ms` is exclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The block's id.
    #[serde(with = "ulid_text")]
    pub ulid: Ulid,
    /// Oldest sample.
    #[serde(rename = "minTime")]
    pub min_time_ms: i64,
    /// End of the time range, exclusive.
    #[serde(rename = "maxTime")]
    pub max_time_ms: i64,
    /// Counts.
    #[serde(default)]
    pub stats: Stats,
    /// Where the block comes from.
    pub compaction: Compaction,
    /// 1.
    pub version: i64,
    /// Thanos's section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thanos: Option<ThanosMeta>,
}

/// Counts of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    /// Samples of all kinds.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Floats.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Native histograms.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    /// Deletions.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

/// Where a block comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compaction {
    /// 1 for blocks cut from a head.
    pub level: u32,
    /// The level-1 blocks whose data it holds.
    #[serde(with = "ulid_texts", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Ulid>,
    /// Whether compaction left nothing of it.
    #[serde(skip_serializing_if = "is_false")]
    pub deletable: bool,
    /// The blocks it was made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
    /// Whether compacting it failed before.
    #[serde(skip_serializing_if = "is_false")]
    pub failed: bool,
    /// Such as `from-out-of-order`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// A block that went into another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its id.
    #[serde(with = "ulid_text")]
    pub ulid: Ulid,
    /// Its oldest time.
    #[serde(rename = "minTime")]
    pub min_time_ms: i64,
    /// Its end, exclusive.
    #[serde(rename = "maxTime")]
    pub max_time_ms: i64,
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
        let meta: Meta = serde_json::from_slice(json).map_err(|e| MetaError::Malformed(e.to_string()))?;
        if meta.version != VERSION {
            return Err(MetaError::Version { section: "meta", version: meta.version });
        }
        match meta.thanos.as_ref().and_then(|thanos| thanos.version) {
            None | Some(0 | VERSION) => Ok(meta),
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
        let mut text = tab_indented(self);
        text.push('\n');
        text.into_bytes()
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

/// JSON as Go's encoder indents and escapes it.
pub(crate) fn tab_indented<T: Serialize>(value: &T) -> String {
    let mut bytes = Vec::with_capacity(1024);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value.serialize(&mut serializer).expect("maps with text keys always have a JSON form");
    let text = String::from_utf8(bytes).expect("JSON is UTF-8");
    // These characters are only ever inside strings.
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
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

fn is_false(b: &bool) -> bool {
    !*b
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
        assert!(tab_indented(&thanos).contains(r#""a": "\u003cb\u0026c\u003e""#));
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
        assert!(matches!(Meta::parse(meta(2, "").as_bytes()), Err(MetaError::Version { section: "meta", .. })));
        let future = meta(1, r#","thanos":{"version":7,"labels":{}}"#);
        assert!(matches!(Meta::parse(future.as_bytes()), Err(MetaError::Version { section: "thanos", version: 7 })));
        assert!(Meta::parse_uploaded(meta(1, r#","thanos":{"labels":{}}"#).as_bytes()).is_ok());
        assert!(Meta::parse_uploaded(meta(1, r#","thanos":{"labels":null}"#).as_bytes()).is_err());
    }
}
