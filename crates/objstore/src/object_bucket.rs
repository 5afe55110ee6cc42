//! A bucket over an `object_store` backend: S3, a directory, memory.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes as PutAttributes, Error as StoreError, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, WriteMultipart,
};
use thanoxide_env::{Disk, DiskFile};

use crate::bucket::{Attributes, Bucket, BucketError, Object, ObjectEntry, RangeCost, UploadSource, one_by_one};

/// The smallest part that S3 takes.
const MIN_PART_BYTES: u64 = 5 << 20;
/// The most parts that S3 takes, with some room.
const MAX_PARTS: u64 = 9_000;
/// Parts of one upload under way at the same time, besides the one being read.
const PARTS_IN_FLIGHT: usize = 2;

/// How uploads are made.
#[derive(Clone, Debug)]
pub(crate) struct UploadOptions {
    /// Files above this go in parts of this size.
    pub(crate) part_bytes: u64,
    /// Whether uploads may go in parts at all.
    pub(crate) multipart: bool,
    /// Attributes of each new object.
    pub(crate) attributes: PutAttributes,
}

impl Default for UploadOptions {
    fn default() -> Self {
        UploadOptions { part_bytes: 16 << 20, multipart: true, attributes: PutAttributes::new() }
    }
}

/// A bucket over a backend of the `object_store` crate.
#[derive(Debug)]
pub struct ObjectBucket {
    name: String,
    store: Arc<dyn ObjectStore>,
    upload: UploadOptions,
    range_cost: RangeCost,
}

impl ObjectBucket {
    /// A bucket that lives as long as the process, for tests.
    pub fn in_memory() -> Self {
        Self::new("in-memory".into(), Arc::new(object_store::memory::InMemory::new()), UploadOptions::default())
    }

    pub(crate) fn new(name: String, store: Arc<dyn ObjectStore>, upload: UploadOptions) -> Self {
        ObjectBucket { name, store, upload, range_cost: RangeCost::REMOTE }
    }

    /// The same for files of this machine.
    pub(crate) fn local(name: String, store: Arc<dyn ObjectStore>, upload: UploadOptions) -> Self {
        ObjectBucket { range_cost: RangeCost::LOCAL, ..Self::new(name, store, upload) }
    }

    async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), StoreError> {
        let options = PutOptions { attributes: self.upload.attributes.clone(), ..PutOptions::default() };
        self.store.put_opts(path, bytes.into(), options).await.map(drop)
    }

    async fn upload_file(&self, name: &str, disk: Arc<dyn Disk>, path: PathBuf) -> Result<(), BucketError> {
        let location = parse(name)?;
        let (file, size) = open_file(disk, path).await.map_err(|e| BucketError::failed("upload", name, e))?;
        let part_bytes = self.upload.part_bytes.max(MIN_PART_BYTES).max(size.div_ceil(MAX_PARTS));
        if !self.upload.multipart || size <= part_bytes {
            let bytes = read_part(file, 0, size).await.map_err(|e| BucketError::failed("upload", name, e))?;
            return self.put(&location, bytes).await.map_err(|e| convert("upload", name, e));
        }
        let options =
            PutMultipartOptions { attributes: self.upload.attributes.clone(), ..PutMultipartOptions::default() };
        let upload = self.store.put_multipart_opts(&location, options).await.map_err(|e| convert("upload", name, e))?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, part_bytes as usize);
        match send_parts(&mut parts, name, file, size, part_bytes).await {
            Ok(()) => parts.finish().await.map(drop).map_err(|e| convert("upload", name, e)),
            Err(e) => {
                if let Err(abort) = parts.abort().await {
                    tracing::warn!(object = name, error = %abort, "an upload that failed could not be taken back");
                }
                Err(e)
            }
        }
    }
}

type SharedFile = Arc<dyn DiskFile>;

async fn open_file(disk: Arc<dyn Disk>, path: PathBuf) -> std::io::Result<(SharedFile, u64)> {
    blocking(move || {
        let file: SharedFile = Arc::from(disk.open(&path)?);
        let size = file.len()?;
        Ok((file, size))
    })
    .await
}

async fn read_part(file: SharedFile, offset: u64, len: u64) -> std::io::Result<Bytes> {
    blocking(move || {
        let mut part = vec![0; len as usize];
        file.read_exact_at(&mut part, offset)?;
        Ok(Bytes::from(part))
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

async fn send_parts(
    parts: &mut WriteMultipart,
    name: &str,
    file: SharedFile,
    size: u64,
    part_bytes: u64,
) -> Result<(), BucketError> {
    let mut offset = 0;
    while offset < size {
        let len = part_bytes.min(size - offset);
        let part =
            read_part(Arc::clone(&file), offset, len).await.map_err(|e| BucketError::failed("upload", name, e))?;
        parts.wait_for_capacity(PARTS_IN_FLIGHT).await.map_err(|e| convert("upload", name, e))?;
        parts.put(part);
        offset += len;
    }
    Ok(())
}

fn parse(name: &str) -> Result<Path, BucketError> {
    let invalid = |reason: String| BucketError::InvalidName { name: name.to_string(), reason };
    if name.is_empty() || name.starts_with('/') || name.ends_with('/') {
        return Err(invalid("it is empty, or begins or ends with a slash".into()));
    }
    Path::parse(name).map_err(|e| invalid(e.to_string()))
}

/// The path of a dir; `None` is the root.
fn parse_dir(dir: &str) -> Result<Option<Path>, BucketError> {
    match dir.trim_end_matches('/') {
        "" => Ok(None),
        dir => parse(dir).map(Some),
    }
}

fn convert(operation: &'static str, name: &str, error: StoreError) -> BucketError {
    match error {
        StoreError::NotFound { .. } => BucketError::NotFound { name: name.to_string() },
        StoreError::PermissionDenied { source, .. } | StoreError::Unauthenticated { source, .. } => {
            BucketError::Denied { operation, name: name.to_string(), message: chain(&*source) }
        }
        StoreError::InvalidPath { source } => {
            BucketError::InvalidName { name: name.to_string(), reason: source.to_string() }
        }
        other => BucketError::failed(operation, name, chain(&other)),
    }
}

/// An error with its causes, which transport errors need to be understood.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

fn attributes_of(meta: &ObjectMeta) -> Attributes {
    Attributes { size_bytes: meta.size, last_modified_ms: meta.last_modified.timestamp_millis() }
}

#[async_trait]
impl Bucket for ObjectBucket {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, name: &str) -> Result<Object, BucketError> {
        let result =
            self.store.get_opts(&parse(name)?, GetOptions::default()).await.map_err(|e| convert("get", name, e))?;
        let attributes = attributes_of(&result.meta);
        let owned = name.to_string();
        let body = result.into_stream().map_err(move |e| convert("get", &owned, e)).boxed();
        Ok(Object { name: name.to_string(), attributes, body })
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.store.get_range(&parse(name)?, range).await.map_err(|e| convert("get_range", name, e))
    }

    async fn get_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, BucketError> {
        if self.range_cost.max_ranges == 1 {
            // The library would read what lies between, too.
            return one_by_one(self, name, ranges).await;
        }
        self.store.get_ranges(&parse(name)?, ranges).await.map_err(|e| convert("get_range", name, e))
    }

    fn range_cost(&self) -> RangeCost {
        self.range_cost
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        match self.store.head(&parse(name)?).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(e) => Err(convert("exists", name, e)),
        }
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        let meta = self.store.head(&parse(name)?).await.map_err(|e| convert("attributes", name, e))?;
        Ok(attributes_of(&meta))
    }

    async fn upload(&self, name: &str, source: UploadSource) -> Result<(), BucketError> {
        match source {
            UploadSource::Bytes(bytes) => self.put(&parse(name)?, bytes).await.map_err(|e| convert("upload", name, e)),
            UploadSource::File { disk, path } => self.upload_file(name, disk, path).await,
        }
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.store.delete(&parse(name)?).await.map_err(|e| convert("delete", name, e))
    }

    async fn iter(&self, dir: &str) -> Result<Vec<String>, BucketError> {
        let prefix = parse_dir(dir)?;
        let listed = match self.store.list_with_delimiter(prefix.as_ref()).await {
            Ok(listed) => listed,
            Err(StoreError::NotFound { .. }) => return Ok(Vec::new()),
            Err(e) => return Err(convert("iter", dir, e)),
        };
        let dirs = listed.common_prefixes.iter().map(|prefix| format!("{prefix}/"));
        let mut names: Vec<String> = dirs.chain(listed.objects.iter().map(|meta| meta.location.to_string())).collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn iter_recursive(&self, dir: &str) -> Result<Vec<ObjectEntry>, BucketError> {
        let prefix = parse_dir(dir)?;
        let entries = self
            .store
            .list(prefix.as_ref())
            .map_ok(|meta| ObjectEntry { name: meta.location.to_string(), attributes: attributes_of(&meta) });
        match entries.try_collect::<Vec<_>>().await {
            Ok(mut entries) => {
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(entries)
            }
            Err(StoreError::NotFound { .. }) => Ok(Vec::new()),
            Err(e) => Err(convert("iter", dir, e)),
        }
    }
}
