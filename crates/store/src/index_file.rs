//! A block's index on the local disk: fetched once, whole, and visible under its name only then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt;
use thanoxide_block::{INDEX_NAME, Meta, Ulid};
use thanoxide_env::{Disk, DiskFile};
use thanoxide_objstore::Bucket;

use crate::index::BlockIndex;

/// Opens the index in `data_dir`, fetching it first where it is missing, of the wrong size or broken.
pub(crate) async fn load(
    bucket: &dyn Bucket,
    disk: &Arc<dyn Disk>,
    data_dir: &Path,
    meta: &Meta,
) -> Result<BlockIndex, String> {
    let dir = data_dir.join(meta.id().to_string());
    let path = dir.join(INDEX_NAME);
    let name = format!("{}/{INDEX_NAME}", meta.id());
    let size_bytes = match listed_size(meta) {
        Some(size_bytes) => size_bytes,
        None => bucket.attributes(&name).await.map_err(|e| e.to_string())?.size_bytes,
    };
    if let Ok(index) = open(disk, &path, size_bytes).await {
        return Ok(index);
    }
    fetch(bucket, disk, &name, &dir, size_bytes).await?;
    open(disk, &path, size_bytes).await
}

/// The size that the meta gives.
fn listed_size(meta: &Meta) -> Option<u64> {
    let files = &meta.thanos.as_ref()?.files;
    files.iter().find(|file| file.rel_path == INDEX_NAME).map(|file| file.size_bytes).filter(|size| *size > 0)
}

async fn open(disk: &Arc<dyn Disk>, path: &Path, size_bytes: u64) -> Result<BlockIndex, String> {
    let (disk, path) = (Arc::clone(disk), path.to_path_buf());
    blocking(move || {
        let found_bytes = disk.open(&path).and_then(|file| file.len()).map_err(|e| e.to_string())?;
        if found_bytes != size_bytes {
            return Err(format!("index has {found_bytes} bytes instead of {size_bytes}"));
        }
        BlockIndex::open(&*disk, &path)
    })
    .await
}

async fn fetch(
    bucket: &dyn Bucket,
    disk: &Arc<dyn Disk>,
    name: &str,
    dir: &Path,
    size_bytes: u64,
) -> Result<(), String> {
    let object = bucket.get(name).await.map_err(|e| e.to_string())?;
    if object.attributes.size_bytes != size_bytes {
        let found_bytes = object.attributes.size_bytes;
        return Err(format!("index in the bucket has {found_bytes} bytes instead of {size_bytes}"));
    }
    let temporary = dir.join(format!("{INDEX_NAME}.tmp"));
    let file = io_blocking(disk, &temporary, |disk, path| {
        disk.create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Arc::<dyn DiskFile>::from(disk.create(path)?))
    })
    .await?;
    let mut body = object.body;
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|e| e.to_string())?;
        let file = Arc::clone(&file);
        blocking(move || file.append(&piece).map_err(|e| e.to_string())).await?;
    }
    let to = dir.join(INDEX_NAME);
    io_blocking(disk, &temporary, move |disk, path| {
        file.sync_data()?;
        disk.rename(path, &to)?;
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
    })
    .await
}

/// Removes the directories of blocks other than `keep`.
pub(crate) async fn remove_others(
    disk: &Arc<dyn Disk>,
    data_dir: &Path,
    keep: impl Fn(&Ulid) -> bool + Send + 'static,
) -> Result<(), String> {
    io_blocking(disk, data_dir, move |disk, data_dir| {
        if !disk.exists(data_dir)? {
            return Ok(());
        }
        for path in disk.list(data_dir)? {
            let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| Ulid::from_string(name).ok());
            if id.is_some_and(|id| !keep(&id)) {
                disk.remove_dir_all(&path)?;
            }
        }
        Ok(())
    })
    .await
}

async fn io_blocking<T: Send + 'static>(
    disk: &Arc<dyn Disk>,
    path: &Path,
    work: impl FnOnce(&dyn Disk, &Path) -> io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let (disk, path): (Arc<dyn Disk>, PathBuf) = (Arc::clone(disk), path.to_path_buf());
    blocking(move || work(&*disk, &path).map_err(|e| format!("{}: {e}", path.display()))).await
}

/// Work that may wait for the disk, on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(format!("internal error: {e}")),
    }
}
