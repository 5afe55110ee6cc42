//! A bucket that notes among the steps of a disk when an object is there.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use thanoxide_env::SimDisk;
use thanoxide_objstore::{Attributes, Bucket, BucketError, Object, ObjectBucket, ObjectEntry, UploadSource};

/// What there was at some moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Acknowledged batches.
    pub(crate) batches: usize,
    /// Objects, in the order of their uploads.
    pub(crate) objects: usize,
    /// Passes of the shipper that came to their end.
    pub(crate) passes: usize,
}

#[derive(Debug, Default)]
struct Recorded {
    phase: &'static str,
    moments: Vec<Moment>,
    objects: Vec<(String, Bytes)>,
}

#[derive(Debug)]
pub(crate) struct RecordingBucket {
    inner: ObjectBucket,
    disk: SimDisk,
    recorded: Mutex<Recorded>,
}

impl RecordingBucket {
    pub(crate) fn new(disk: SimDisk) -> Self {
        let recorded = Recorded { moments: vec![Moment::default()], ..Recorded::default() };
        RecordingBucket { inner: ObjectBucket::in_memory(), disk, recorded: Mutex::new(recorded) }
    }

    fn note(&self, change: impl FnOnce(&mut Moment)) {
        let mut recorded = self.recorded();
        let mut moment = recorded.moments[recorded.moments.len() - 1];
        change(&mut moment);
        recorded.moments.push(moment);
        self.disk.mark(recorded.phase, recorded.moments.len() as u64 - 1);
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap()
    }

    /// Another kind of step begins.
    pub(crate) fn phase(&self, phase: &'static str) {
        self.recorded().phase = phase;
        self.note(|_| ());
    }

    /// A batch more is acknowledged.
    pub(crate) fn acknowledge(&self) {
        self.note(|moment| moment.batches += 1);
    }

    /// A pass of the shipper came to its end.
    pub(crate) fn passed(&self) {
        self.note(|moment| moment.passes += 1);
    }

    /// What there was, by the number that the disk was told.
    pub(crate) fn moments(&self) -> Vec<Moment> {
        self.recorded().moments.clone()
    }

    /// All objects in the order of their uploads.
    pub(crate) fn objects(&self) -> Vec<(String, Bytes)> {
        self.recorded().objects.clone()
    }
}

#[async_trait]
impl Bucket for RecordingBucket {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn get(&self, name: &str) -> Result<Object, BucketError> {
        self.inner.get(name).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.inner.get_range(name, range).await
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.inner.exists(name).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.inner.attributes(name).await
    }

    async fn upload(&self, name: &str, source: UploadSource) -> Result<(), BucketError> {
        self.inner.upload(name, source).await?;
        let bytes = self.inner.read(name, 1 << 24).await?;
        self.recorded().objects.push((name.to_string(), bytes));
        self.note(|moment| moment.objects += 1);
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.inner.delete(name).await
    }

    async fn iter(&self, dir: &str) -> Result<Vec<String>, BucketError> {
        self.inner.iter(dir).await
    }

    async fn iter_recursive(&self, dir: &str) -> Result<Vec<ObjectEntry>, BucketError> {
        self.inner.iter_recursive(dir).await
    }
}
