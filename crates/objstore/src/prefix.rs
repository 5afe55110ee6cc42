//! A bucket below a dir of another one.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::bucket::{Attributes, Bucket, BucketError, Object, ObjectEntry, RangeCost, UploadSource, join};

/// Puts a dir before every name, and takes it off what comes back.
#[derive(Debug)]
pub struct PrefixBucket {
    inner: Arc<dyn Bucket>,
    prefix: String,
}

impl PrefixBucket {
    /// The bucket below `prefix`; slashes around it do not matter, and an empty one is no prefix.
    pub fn wrap(inner: Arc<dyn Bucket>, prefix: &str) -> Arc<dyn Bucket> {
        match prefix.trim_matches('/') {
            "" => inner,
            prefix => Arc::new(PrefixBucket { inner, prefix: prefix.to_string() }),
        }
    }

    fn full(&self, name: &str) -> String {
        join(&self.prefix, name)
    }

    fn strip(&self, full: &str) -> String {
        full.strip_prefix(&self.prefix).and_then(|name| name.strip_prefix('/')).unwrap_or(full).to_string()
    }

    fn strip_error(&self, error: BucketError) -> BucketError {
        match error {
            BucketError::NotFound { name } => BucketError::NotFound { name: self.strip(&name) },
            other => other,
        }
    }
}

#[async_trait]
impl Bucket for PrefixBucket {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn get(&self, name: &str) -> Result<Object, BucketError> {
        let object = self.inner.get(&self.full(name)).await.map_err(|e| self.strip_error(e))?;
        Ok(Object { name: name.to_string(), ..object })
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.inner.get_range(&self.full(name), range).await.map_err(|e| self.strip_error(e))
    }

    async fn get_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, BucketError> {
        self.inner.get_ranges(&self.full(name), ranges).await.map_err(|e| self.strip_error(e))
    }

    fn range_cost(&self) -> RangeCost {
        self.inner.range_cost()
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.inner.exists(&self.full(name)).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.inner.attributes(&self.full(name)).await.map_err(|e| self.strip_error(e))
    }

    async fn upload(&self, name: &str, source: UploadSource) -> Result<(), BucketError> {
        self.inner.upload(&self.full(name), source).await
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.inner.delete(&self.full(name)).await.map_err(|e| self.strip_error(e))
    }

    async fn iter(&self, dir: &str) -> Result<Vec<String>, BucketError> {
        let names = self.inner.iter(&self.full(dir)).await?;
        Ok(names.iter().map(|name| self.strip(name)).collect())
    }

    async fn iter_recursive(&self, dir: &str) -> Result<Vec<ObjectEntry>, BucketError> {
        let mut entries = self.inner.iter_recursive(&self.full(dir)).await?;
        for entry in &mut entries {
            entry.name = self.strip(&entry.name);
        }
        Ok(entries)
    }
}
