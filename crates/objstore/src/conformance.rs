//! The contract of [`Bucket`] as a test suite: call [`bucket_conformance`] with an empty bucket.

use std::sync::Arc;

use bytes::Bytes;
use thanoxide_env::Disk;

use crate::bucket::{Bucket, BucketError, UploadSource};

/// Larger than one part of the default size, so that it goes in several.
const LARGE_BYTES: usize = (33 << 20) + 123;

/// Puts an empty bucket through all operations and empties it again. `scratch` is a directory of `disk` for files.
///
/// # Panics
/// Where the bucket does not keep the contract; the message names the rule.
pub async fn bucket_conformance(bucket: &dyn Bucket, disk: Arc<dyn Disk>, scratch: &std::path::Path) {
    missing_objects(bucket).await;
    names(bucket).await;
    reading(bucket).await;
    listing(bucket).await;
    files(bucket, disk, scratch).await;
    assert!(bucket.iter("").await.expect("iter").is_empty(), "an emptied bucket lists nothing, dirs neither");
}

async fn missing_objects(bucket: &dyn Bucket) {
    assert!(bucket.get("no/such").await.is_err_and(|e| e.is_not_found()), "get of a missing object is NotFound");
    let range = bucket.get_range("no/such", 0..1).await;
    assert!(range.is_err_and(|e| e.is_not_found()), "get_range of a missing object is NotFound");
    let ranges = bucket.get_ranges("no/such", &[0..1, 4..5]).await;
    assert!(ranges.is_err_and(|e| e.is_not_found()), "get_ranges of a missing object is NotFound");
    assert!(bucket.attributes("no/such").await.is_err_and(|e| e.is_not_found()), "attributes: NotFound");
    assert!(!bucket.exists("no/such").await.expect("exists"), "a missing object does not exist");
    assert!(bucket.iter("no/such").await.expect("iter").is_empty(), "a missing dir is empty");
    assert!(bucket.iter_recursive("no/such").await.expect("iter_recursive").is_empty(), "a missing dir is empty");
}

async fn names(bucket: &dyn Bucket) {
    for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b"] {
        let result = bucket.upload(bad, Bytes::from_static(b"x").into()).await;
        assert!(matches!(result, Err(BucketError::InvalidName { .. })), "name {bad:?} is refused: {result:?}");
    }
}

async fn reading(bucket: &dyn Bucket) {
    bucket.upload("dir/object", Bytes::from_static(b"0123456789").into()).await.expect("upload");
    let object = bucket.get("dir/object").await.expect("get");
    assert_eq!(object.attributes.size_bytes, 10, "get tells the size");
    assert_eq!(object.bytes(10).await.expect("bytes"), "0123456789");
    let too_large = bucket.read("dir/object", 9).await;
    assert!(matches!(too_large, Err(BucketError::TooLarge { .. })), "a limit is kept");
    assert_eq!(bucket.get_range("dir/object", 2..5).await.expect("get_range"), "234");
    assert_eq!(bucket.get_range("dir/object", 8..50).await.expect("get_range"), "89", "a range ends with its object");
    assert!(bucket.get_range("dir/object", 10..12).await.is_err(), "a range behind the end is an error");
    let ranges = bucket.get_ranges("dir/object", &[7..9, 0..2, 1..3, 9..10]).await.expect("get_ranges");
    assert_eq!(ranges, ["78", "01", "12", "9"], "ranges come in their order, and may overlap");
    assert!(bucket.get_ranges("dir/object", &[]).await.expect("get_ranges").is_empty());
    assert!(bucket.get_ranges("dir/object", &[0..2, 10..12]).await.is_err(), "one behind the end spoils all");
    let attributes = bucket.attributes("dir/object").await.expect("attributes");
    assert!(attributes.size_bytes == 10 && attributes.last_modified_ms > 1_600_000_000_000, "{attributes:?}");
    assert!(bucket.exists("dir/object").await.expect("exists"));
    // A server that keeps its objects in directories may stumble here.
    assert!(!matches!(bucket.exists("dir").await, Ok(true)), "a dir is no object");
    bucket.upload("dir/object", Bytes::from_static(b"new").into()).await.expect("upload");
    assert_eq!(bucket.read("dir/object", 10).await.expect("read"), "new", "an upload replaces");
    bucket.upload("dir/empty", Bytes::new().into()).await.expect("upload");
    assert_eq!(bucket.read("dir/empty", 10).await.expect("read"), "", "objects may be empty");
    for name in ["dir/object", "dir/empty"] {
        bucket.delete(name).await.expect("delete");
        assert!(!bucket.exists(name).await.expect("exists"), "a deleted object is gone");
    }
}

async fn listing(bucket: &dyn Bucket) {
    let all = ["a", "b/1", "b/2", "b/c/3", "b/c/d/4", "ba/5"];
    for name in all {
        bucket.upload(name, Bytes::copy_from_slice(name.as_bytes()).into()).await.expect("upload");
    }
    assert_eq!(bucket.iter("").await.expect("iter"), ["a", "b/", "ba/"], "the root");
    assert_eq!(bucket.iter("b").await.expect("iter"), ["b/1", "b/2", "b/c/"], "a dir, full names");
    assert_eq!(bucket.iter("b/").await.expect("iter"), ["b/1", "b/2", "b/c/"], "a dir with its slash");
    let deep = bucket.iter_recursive("b").await.expect("iter_recursive");
    assert_eq!(deep.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["b/1", "b/2", "b/c/3", "b/c/d/4"]);
    assert!(deep.iter().all(|e| e.attributes.size_bytes == e.name.len() as u64), "sizes: {deep:?}");
    assert_eq!(bucket.iter_recursive("").await.expect("iter_recursive").len(), all.len());
    for name in all {
        bucket.delete(name).await.expect("delete");
    }
}

async fn files(bucket: &dyn Bucket, disk: Arc<dyn Disk>, scratch: &std::path::Path) {
    let large: Vec<u8> = (0..LARGE_BYTES).map(|i| (i ^ (i >> 9)) as u8).collect();
    for (name, bytes) in [("f/small", b"small".as_slice()), ("f/large", &large), ("f/none", b"")] {
        let path = scratch.join("source");
        disk.write_atomically(&path, bytes).expect("scratch file");
        let source = UploadSource::File { disk: Arc::clone(&disk), path };
        bucket.upload(name, source).await.expect("upload of a file");
        assert!(bucket.read(name, u64::MAX).await.expect("read") == bytes, "{name} comes back as it went");
        bucket.delete(name).await.expect("delete");
    }
    let source = UploadSource::File { disk, path: scratch.join("missing") };
    assert!(bucket.upload("f/missing", source).await.is_err(), "a missing file is an error");
    assert!(!bucket.exists("f/missing").await.expect("exists"), "a failed upload leaves nothing");
}
