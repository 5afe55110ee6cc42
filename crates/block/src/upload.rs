//! Bringing a block into a bucket.
//!
//! Order: chunks, index, `meta.json`. So a reader that sees the meta sees all of the block, and an upload that broke off
//! leaves a partial block that the next attempt completes: objects that are there with the right size are not sent again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use thanoxide_env::{Clock, Disk};
use thanoxide_objstore::{Bucket, BucketError, UploadSource};
use thiserror::Error;

use crate::meta::{BlockFile, FileHash, INDEX_NAME, META_NAME, Meta, MetaError, ThanosMeta};
use crate::shipper::{BlockHash, UploadOptions};

/// Bytes of a file that are hashed at a time.
const HASH_PIECE_BYTES: usize = 256 << 10;

/// Why a block was not uploaded.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The block on disk is not whole: uploading it again will not help.
    #[error("block {}: {reason}", dir.display())]
    Corrupt {
        /// The block's directory.
        dir: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed.
    #[error("block {}: {error}", dir.display())]
    Disk {
        /// The block's directory.
        dir: PathBuf,
        /// The disk's words.
        error: io::Error,
    },
    /// The bucket failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// Uploads the block in `dir` with Thanos's section `thanos`, whose file list and upload time are filled in here.
/// Returns the meta as it is in the bucket. Repeating it is harmless.
pub async fn upload_block(
    bucket: &dyn Bucket,
    disk: &Arc<dyn Disk>,
    clock: &dyn Clock,
    dir: &Path,
    mut thanos: ThanosMeta,
    options: UploadOptions,
) -> Result<Meta, UploadError> {
    let mut meta = read_local_meta(&**disk, dir)?;
    let mut files = list_files(&**disk, dir)?;
    let names = files.iter().filter_map(|file| file.rel_path.strip_prefix("chunks/"));
    thanos.segment_files = names.map(str::to_string).collect();
    upload_files(bucket, disk, dir, &meta.id().to_string(), &files, options.concurrency).await?;
    if options.hash == BlockHash::Sha256 {
        for file in &mut files {
            file.hash = Some(sha256(&**disk, dir, file)?);
        }
    }
    thanos.files = files;
    thanos.files.push(BlockFile { rel_path: META_NAME.to_string(), size_bytes: 0, hash: None });
    thanos.set_upload_time(clock.now_ms());
    meta.thanos = Some(thanos);
    bucket.upload(&format!("{}/{META_NAME}", meta.id()), meta.to_json().into()).await?;
    Ok(meta)
}

/// The SHA-256 of a file, read piece by piece.
fn sha256(disk: &dyn Disk, dir: &Path, file: &BlockFile) -> Result<FileHash, UploadError> {
    let failed = |error| UploadError::Disk { dir: dir.to_path_buf(), error };
    let open = disk.open(&dir.join(&file.rel_path)).map_err(failed)?;
    let (mut hasher, mut piece, mut at) = (Sha256::new(), vec![0; HASH_PIECE_BYTES], 0);
    while at < file.size_bytes {
        let len = (file.size_bytes - at).min(HASH_PIECE_BYTES as u64) as usize;
        open.read_exact_at(&mut piece[..len], at).map_err(failed)?;
        hasher.update(&piece[..len]);
        at += len as u64;
    }
    let value = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FileHash { function: "SHA256".to_string(), value })
}

/// Reads `meta.json` of a block on disk.
pub(crate) fn read_local_meta(disk: &dyn Disk, dir: &Path) -> Result<Meta, UploadError> {
    let corrupt = |e: MetaError| UploadError::Corrupt { dir: dir.to_path_buf(), reason: e.to_string() };
    match disk.read(&dir.join(META_NAME)) {
        Ok(json) => Meta::parse(&json).map_err(corrupt),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(UploadError::Corrupt { dir: dir.to_path_buf(), reason: "no meta.json".into() })
        }
        Err(error) => Err(UploadError::Disk { dir: dir.to_path_buf(), error }),
    }
}

/// Chunk files, then the index: the order of upload, and also the sorted order.
fn list_files(disk: &dyn Disk, dir: &Path) -> Result<Vec<BlockFile>, UploadError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            UploadError::Corrupt { dir: dir.to_path_buf(), reason: format!("a file is missing: {error}") }
        }
        _ => UploadError::Disk { dir: dir.to_path_buf(), error },
    };
    let chunks = disk.list(&dir.join("chunks")).map_err(failed)?;
    let mut names = Vec::with_capacity(chunks.len() + 1);
    for path in chunks {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
            names.push(format!("chunks/{name}"));
        }
    }
    names.push(INDEX_NAME.to_string());
    let sized = names.into_iter().map(|rel_path| {
        let size_bytes = disk.open(&dir.join(&rel_path))?.len()?;
        Ok(BlockFile { rel_path, size_bytes, hash: None })
    });
    sized.collect::<io::Result<Vec<_>>>().map_err(failed)
}

/// Chunk files, some at once, then the index, which is the last.
async fn upload_files(
    bucket: &dyn Bucket,
    disk: &Arc<dyn Disk>,
    dir: &Path,
    id: &str,
    files: &[BlockFile],
    concurrency: usize,
) -> Result<(), UploadError> {
    let mut uploads: Vec<_> = files.iter().map(|file| upload_file(bucket, disk, dir, id, file)).collect();
    let index = uploads.pop();
    futures::stream::iter(uploads).buffer_unordered(concurrency.max(1)).try_collect::<()>().await?;
    match index {
        Some(index) => index.await,
        None => Ok(()),
    }
}

async fn upload_file(
    bucket: &dyn Bucket,
    disk: &Arc<dyn Disk>,
    dir: &Path,
    id: &str,
    file: &BlockFile,
) -> Result<(), UploadError> {
    let name = format!("{id}/{}", file.rel_path);
    match bucket.attributes(&name).await {
        Ok(attributes) if attributes.size_bytes == file.size_bytes => return Ok(()),
        Ok(_) => {}
        Err(e) if e.is_not_found() => {}
        Err(e) => return Err(e.into()),
    }
    let source = UploadSource::File { disk: Arc::clone(disk), path: dir.join(&file.rel_path) };
    Ok(bucket.upload(&name, source).await?)
}
