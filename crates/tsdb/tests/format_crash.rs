//! A block that is being written is, after any failure, either whole or not there.

use std::sync::Arc;

use bytes::Bytes;
use thanoxide_env::{FaultDisk, SystemDisk};
use thanoxide_model::Labels;
use thanoxide_tsdb::block::{self, Block, BlockError, BlockWriter};
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::{Chunk, Encoding};
use thanoxide_tsdb::index::SymbolSet;
use thanoxide_tsdb::meta::{BlockId, BlockMeta, META_VERSION};

fn write(disk: &FaultDisk, dir: &std::path::Path) -> Result<(), BlockError> {
    let labels = Labels::from_pairs([("__name__", "up")]);
    let mut symbols = SymbolSet::default();
    symbols.add(b"");
    symbols.add_labels(&labels);
    let mut appender = XorAppender::new();
    appender.append(1, 1.0);
    let data = Bytes::from(appender.into_bytes());
    let chunk = Chunk { min_time_ms: 1, max_time_ms: 1, encoding: Encoding::Xor, data };
    let meta =
        BlockMeta { ulid: BlockId::new(5, 7), min_time: 1, max_time: 2, version: META_VERSION, ..BlockMeta::default() };
    let mut writer = BlockWriter::create(disk, dir, meta, &symbols)?;
    writer.add_series(&labels, &[chunk])?;
    writer.finish()?;
    Ok(())
}

#[test]
fn a_failed_write_leaves_no_block() {
    let counting = FaultDisk::new(Arc::new(SystemDisk));
    let dir = tempfile::tempdir().unwrap();
    write(&counting, dir.path()).unwrap();
    let calls = counting.calls();
    assert!(calls > 10);
    for call in 1..=calls {
        let disk = FaultDisk::new(Arc::new(SystemDisk));
        let dir = tempfile::tempdir().unwrap();
        disk.fail_at(call);
        write(&disk, dir.path()).unwrap_err();
        block::remove_leftovers(&SystemDisk, dir.path()).unwrap();
        for id in block::list(&SystemDisk, dir.path()).unwrap() {
            let block = Block::open(&SystemDisk, &dir.path().join(id.to_string())).unwrap();
            assert_eq!(block.meta().stats.num_samples, 1);
            assert_eq!(block.select(&[], 0, 10).unwrap().count(), 1);
        }
        write(&FaultDisk::new(Arc::new(SystemDisk)), tempfile::tempdir().unwrap().path()).unwrap();
    }
}

#[test]
fn a_deleted_block_is_gone() {
    let disk = FaultDisk::new(Arc::new(SystemDisk));
    let dir = tempfile::tempdir().unwrap();
    write(&disk, dir.path()).unwrap();
    let id = block::list(&disk, dir.path()).unwrap()[0];
    block::delete(&disk, dir.path(), id).unwrap();
    assert!(block::list(&disk, dir.path()).unwrap().is_empty());
}
