//! The `Bucket` trait and its messages.

use std::fmt::{self, Debug};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use thanoxide_env::Disk;
use thiserror::Error;

/// Why a bucket did not do what it was asked for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BucketError {
    /// There is no such object.
    #[error("object {name:?} not found")]
    NotFound {
        /// Its name.
        name: String,
    },
    /// The credentials do not allow it.
    #[error("{operation} {name:?}: access denied: {message}")]
    Denied {
        /// What was tried.
        operation: &'static str,
        /// With what.
        name: String,
        /// The storage's words.
        message: String,
    },
    /// No object can have this name.
    #[error("object name {name:?}: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The object is larger than the caller takes.
    #[error("object {name:?} has more than the {limit_bytes} bytes that are taken")]
    TooLarge {
        /// Its name.
        name: String,
        /// The caller's limit.
        limit_bytes: u64,
    },
    /// Anything else; trying again later may help.
    #[error("{operation} {name:?}: {message}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// With what.
        name: String,
        /// What went wrong.
        message: String,
    },
}

impl BucketError {
    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, BucketError::NotFound { .. })
    }

    /// A [`BucketError::Failed`].
    pub fn failed(operation: &'static str, name: &str, message: impl fmt::Display) -> Self {
        BucketError::Failed { operation, name: name.to_string(), message: message.to_string() }
    }
}

/// The bytes of an object as they come.
pub type ByteStream = BoxStream<'static, Result<Bytes, BucketError>>;

/// What is known of an object besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Its length.
    pub size_bytes: u64,
    /// When it was written, ms since the Unix epoch, by the storage's clock.
    pub last_modified_ms: i64,
}

/// An object of a recursive listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Its full name.
    pub name: String,
    /// Size and time.
    pub attributes: Attributes,
}

/// An opened object.
pub struct Object {
    /// Its name.
    pub name: String,
    /// Size and time.
    pub attributes: Attributes,
    /// Its bytes.
    pub body: ByteStream,
}

impl Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("name", &self.name).field("attributes", &self.attributes).finish_non_exhaustive()
    }
}

impl Object {
    /// All bytes, if there are no more than `limit_bytes`.
    pub async fn bytes(mut self, limit_bytes: u64) -> Result<Bytes, BucketError> {
        let too_large = || BucketError::TooLarge { name: self.name.clone(), limit_bytes };
        if self.attributes.size_bytes > limit_bytes {
            return Err(too_large());
        }
        let mut all = BytesMut::with_capacity(self.attributes.size_bytes as usize);
        while let Some(piece) = self.body.next().await {
            let piece = piece?;
            if (all.len() + piece.len()) as u64 > limit_bytes {
                return Err(too_large());
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}

/// What an upload takes its bytes from.
#[derive(Clone, Debug)]
pub enum UploadSource {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file; large ones are read and sent part by part.
    File {
        /// Where the file is.
        disk: Arc<dyn Disk>,
        /// Its path.
        path: PathBuf,
    },
}

impl From<Bytes> for UploadSource {
    fn from(bytes: Bytes) -> Self {
        UploadSource::Bytes(bytes)
    }
}

impl From<Vec<u8>> for UploadSource {
    fn from(bytes: Vec<u8>) -> Self {
        UploadSource::Bytes(Bytes::from(bytes))
    }
}

/// How objects are best read in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeCost {
    /// A gap between two wanted ranges up to this is cheaper read along than left out.
    pub max_gap_bytes: u64,
    /// No request should be larger.
    pub max_request_bytes: u64,
    /// Ranges of one object that [`Bucket::get_ranges`] reads with one request, at most; where it is 1, callers do better to ask for
    /// several at the same time.
    pub max_ranges: usize,
}

impl RangeCost {
    /// Of storage behind a network: what counts is the number of requests. The largest is below what allocators keep no
    /// memory for.
    pub const REMOTE: RangeCost = RangeCost { max_gap_bytes: 512 << 10, max_request_bytes: 4 << 20, max_ranges: 1 };
    /// Of files on this machine: a request opens the file and changes threads, which takes as long as reading 64 KiB; a range more
    /// of the same file is a call of the kernel. What a request reads should fit a cache.
    pub const LOCAL: RangeCost = RangeCost { max_gap_bytes: 1 << 10, max_request_bytes: 512 << 10, max_ranges: 1024 };
}

/// Object storage. Names are relative, without a leading or doubled `/`.
#[async_trait]
pub trait Bucket: Send + Sync + Debug {
    /// How metrics and logs call it.
    fn name(&self) -> &str;

    /// Opens an object.
    async fn get(&self, name: &str) -> Result<Object, BucketError>;

    /// Some bytes of an object; fewer where it ends first. A range that starts at or behind the end is an error.
    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError>;

    /// Some ranges of one object, in the order of `ranges`. They must lie in the object: of one that ends behind it there may be fewer
    /// bytes, or an error.
    async fn get_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, BucketError> {
        one_by_one(self, name, ranges).await
    }

    /// How large the ranges of [`Bucket::get_range`] should be, and how many [`Bucket::get_ranges`] is best asked for.
    fn range_cost(&self) -> RangeCost {
        RangeCost::REMOTE
    }

    /// Whether there is an object of this name; a dir is none.
    async fn exists(&self, name: &str) -> Result<bool, BucketError>;

    /// Size and time of an object.
    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError>;

    /// Writes an object, replacing an older one. It is visible whole or not at all.
    async fn upload(&self, name: &str, source: UploadSource) -> Result<(), BucketError>;

    /// Removes an object. S3 does not tell whether there was one: a missing one may or may not be an error.
    async fn delete(&self, name: &str) -> Result<(), BucketError>;

    /// Full names of what lies directly in a dir (empty: the root), sorted; dirs end with `/`. A missing dir is empty.
    async fn iter(&self, dir: &str) -> Result<Vec<String>, BucketError>;

    /// All objects at any depth below a dir (empty: the root), sorted by name.
    async fn iter_recursive(&self, dir: &str) -> Result<Vec<ObjectEntry>, BucketError>;

    /// A whole object of at most `limit_bytes`.
    async fn read(&self, name: &str, limit_bytes: u64) -> Result<Bytes, BucketError> {
        self.get(name).await?.bytes(limit_bytes).await
    }
}

#[async_trait]
impl<B: Bucket + ?Sized> Bucket for Arc<B> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn get(&self, name: &str) -> Result<Object, BucketError> {
        (**self).get(name).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        (**self).get_range(name, range).await
    }

    async fn get_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, BucketError> {
        (**self).get_ranges(name, ranges).await
    }

    fn range_cost(&self) -> RangeCost {
        (**self).range_cost()
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        (**self).exists(name).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        (**self).attributes(name).await
    }

    async fn upload(&self, name: &str, source: UploadSource) -> Result<(), BucketError> {
        (**self).upload(name, source).await
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        (**self).delete(name).await
    }

    async fn iter(&self, dir: &str) -> Result<Vec<String>, BucketError> {
        (**self).iter(dir).await
    }

    async fn iter_recursive(&self, dir: &str) -> Result<Vec<ObjectEntry>, BucketError> {
        (**self).iter_recursive(dir).await
    }
}

/// Some ranges of one object, with a request each.
pub(crate) async fn one_by_one<B: Bucket + ?Sized>(
    bucket: &B,
    name: &str,
    ranges: &[Range<u64>],
) -> Result<Vec<Bytes>, BucketError> {
    let mut all = Vec::with_capacity(ranges.len());
    for range in ranges {
        all.push(bucket.get_range(name, range.clone()).await?);
    }
    Ok(all)
}

/// Joins a dir and a name; either may be empty.
pub fn join(dir: &str, name: &str) -> String {
    match dir.trim_end_matches('/') {
        "" => name.to_string(),
        dir => format!("{dir}/{name}"),
    }
}
