//! Reads what was shipped, as another program would.

use thanoxide_block::{META_NAME, Meta};
use thanoxide_env::SystemDisk;
use thanoxide_objstore::Bucket;
use thanoxide_tsdb::block::Block;

use crate::place::{Place, Samples, add_chunk, tenant};

/// All samples of a tenant's blocks in the bucket, under the labels that their metas tell. Each one must come once.
pub(crate) async fn read_bucket(place: &Place, name: &str) -> Samples {
    let labels = place.config.labels_of(&tenant(name));
    let mut all = Samples::new();
    for id in place.uploaded().await {
        let json = place.bucket.read(&format!("{id}/{META_NAME}"), 1 << 20).await.unwrap();
        let external = Meta::parse_uploaded(&json).unwrap().label_set();
        if external != labels {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let block = dir.path().join(&id);
        std::fs::create_dir_all(block.join("chunks")).unwrap();
        for object in place.bucket.iter_recursive(&id).await.unwrap() {
            let bytes = place.bucket.read(&object.name, 1 << 30).await.unwrap();
            std::fs::write(dir.path().join(&object.name), bytes).unwrap();
        }
        let block = Block::open(&SystemDisk, &block).unwrap();
        for series in block.select(&[], i64::MIN, i64::MAX).unwrap() {
            let (own, chunks) = series.unwrap();
            let labels = own.overlay(&external);
            let samples = all.entry(labels.clone()).or_default();
            chunks.iter().for_each(|chunk| add_chunk(samples, &labels, chunk));
        }
    }
    all
}
