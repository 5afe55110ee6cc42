//! A block's `meta.json`.
//!
//! Written as Prometheus and Thanos write it: tabs, this order of fields, counts of 0 left out, no newline at the end. What
//! Thanos adds is kept as it is, in its order.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter};
use thiserror::Error;
use ulid::Ulid;

/// The name of the file in a block's directory.
pub const META_FILE: &str = "meta.json";
/// The only version there is.
pub const META_VERSION: u32 = 1;
/// A hint: the block holds what came out of order.
pub const HINT_FROM_OUT_OF_ORDER: &str = "from-out-of-order";
/// A hint: the block holds series that had become stale.
pub const HINT_FROM_STALE_SERIES: &str = "from-stale-series";
/// A hint: the block holds series that were selected.
pub const HINT_FROM_SELECTED_SERIES: &str = "from-selected-series";

/// Why a meta file was refused.
#[derive(Debug, Error)]
pub enum MetaError {
    /// It is not the JSON expected.
    #[error("meta.json: {0}")]
    Json(#[from] serde_json::Error),
    /// It is of another version.
    #[error("meta.json: unexpected meta file version {0}")]
    Version(u32),
}

/// A block's name: a ULID, written in its 26 characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub Ulid);

/// A name that is not a ULID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a block name")]
pub struct BadBlockId(String);

impl BlockId {
    /// A new name for this moment.
    pub fn new(now_ms: i64, random: u128) -> Self {
        BlockId(Ulid::from_parts(now_ms.max(0) as u64, random))
    }

    /// The moment in the name.
    pub fn timestamp_ms(&self) -> i64 {
        self.0.timestamp_ms() as i64
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for BlockId {
    type Err = BadBlockId;

    fn from_str(text: &str) -> Result<Self, BadBlockId> {
        Ulid::from_string(text).map(BlockId).map_err(|_| BadBlockId(text.to_owned()))
    }
}

impl Serialize for BlockId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a block is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockMeta {
    /// Its name.
    pub ulid: BlockId,
    /// Time of the oldest sample, or earlier; inclusive.
    pub min_time: i64,
    /// Time behind the newest sample; exclusive.
    pub max_time: i64,
    /// What it holds.
    #[serde(default)]
    pub stats: BlockStats,
    /// Where it comes from.
    pub compaction: BlockCompaction,
    /// Always [`META_VERSION`].
    pub version: u32,
    /// What Thanos adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thanos: Option<serde_json::Value>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How much a block holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockStats {
    /// Samples of all kinds.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Floats.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Histograms.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    /// Deleted ranges.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

/// Where a block comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockCompaction {
    /// How often its samples were compacted; 1 is "cut from a head".
    pub level: u32,
    /// The level 1 blocks in it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub sources: Vec<BlockId>,
    /// Whether nothing would be left after compaction.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deletable: bool,
    /// The blocks it was made of.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub parents: Vec<BlockParent>,
    /// Whether compacting it failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Remarks such as [`HINT_FROM_OUT_OF_ORDER`], sorted.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub hints: Vec<String>,
}

/// Go writes an empty list as null here and there.
fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A block that another was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockParent {
    /// Its name.
    pub ulid: BlockId,
    /// Its oldest time.
    pub min_time: i64,
    /// The time behind its newest.
    pub max_time: i64,
}

impl BlockMeta {
    /// From the file.
    pub fn from_json(json: &[u8]) -> Result<Self, MetaError> {
        let meta: BlockMeta = serde_json::from_slice(json)?;
        match meta.version {
            META_VERSION => Ok(meta),
            other => Err(MetaError::Version(other)),
        }
    }

    /// The file.
    pub fn to_json(&self) -> Vec<u8> {
        to_go_json(self)
    }
}

/// JSON as Go's `MarshalIndent` with a tab writes it: `<`, `>`, `&` and the line separators are escaped.
pub fn to_go_json(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::with_capacity(1024);
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, GoFormatter::default());
    value.serialize(&mut serializer).expect("plain data with text keys is always JSON, and memory takes it");
    json
}

struct GoFormatter(PrettyFormatter<'static>);

impl Default for GoFormatter {
    fn default() -> Self {
        GoFormatter(PrettyFormatter::with_indent(b"\t"))
    }
}

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            let c = special.chars().next().expect("found there");
            write!(writer, "{plain}\\u{:04x}", c as u32)?;
            rest = &special[c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_go_does() {
        let json = to_go_json(&"a<b>&\u{2028}\"\n\u{1}é");
        assert_eq!(String::from_utf8(json).unwrap(), "\"a\\u003cb\\u003e\\u0026\\u2028\\\"\\n\\u0001é\"");
    }

    #[test]
    fn other_versions_are_refused() {
        let json =
            br#"{"ulid":"01KDWFZY806GNF34XXGBJEJWFE","minTime":1,"maxTime":2,"compaction":{"level":1},"version":2}"#;
        assert!(matches!(BlockMeta::from_json(json), Err(MetaError::Version(2))));
    }
}
