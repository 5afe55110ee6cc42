//! What the meta file of a compacted block says about where it comes from.

use std::collections::BTreeSet;

use crate::meta::{
    BlockCompaction, BlockId, BlockMeta, BlockParent, HINT_FROM_OUT_OF_ORDER, HINT_FROM_SELECTED_SERIES,
    HINT_FROM_STALE_SERIES, META_VERSION,
};

/// The meta file of a block made of others, without its statistics: one level up, the sources of all, and the others as
/// its parents, in their order. It is a block of late samples only if all of them are.
pub fn merged_meta(ulid: BlockId, metas: &[&BlockMeta]) -> BlockMeta {
    let sources: BTreeSet<BlockId> = metas.iter().flat_map(|meta| meta.compaction.sources.iter().copied()).collect();
    let level = metas.iter().map(|meta| meta.compaction.level).max().unwrap_or(0) + 1;
    let compaction = BlockCompaction {
        level,
        sources: sources.into_iter().collect(),
        parents: metas.iter().map(|meta| parent(meta)).collect(),
        hints: merged_hints(metas),
        ..BlockCompaction::default()
    };
    BlockMeta {
        ulid,
        min_time: metas.iter().map(|meta| meta.min_time).min().unwrap_or_default(),
        max_time: metas.iter().map(|meta| meta.max_time).max().unwrap_or_default(),
        compaction,
        version: META_VERSION,
        ..BlockMeta::default()
    }
}

/// The meta file of a block that holds what is left of another after its deletions.
pub fn rewritten_meta(ulid: BlockId, meta: &BlockMeta) -> BlockMeta {
    let compaction = BlockCompaction {
        level: 1,
        sources: vec![ulid],
        parents: vec![parent(meta)],
        hints: merged_hints(&[meta]),
        ..BlockCompaction::default()
    };
    let (min_time, max_time) = (meta.min_time, meta.max_time);
    BlockMeta { ulid, min_time, max_time, compaction, version: META_VERSION, ..BlockMeta::default() }
}

fn parent(meta: &BlockMeta) -> BlockParent {
    BlockParent { ulid: meta.ulid, min_time: meta.min_time, max_time: meta.max_time }
}

fn merged_hints(metas: &[&BlockMeta]) -> Vec<String> {
    let has = |meta: &&BlockMeta, hint: &str| meta.compaction.hints.iter().any(|h| h == hint);
    let mut hints = Vec::new();
    if !metas.is_empty() && metas.iter().all(|meta| has(meta, HINT_FROM_OUT_OF_ORDER)) {
        hints.push(HINT_FROM_OUT_OF_ORDER.to_string());
    }
    for hint in [HINT_FROM_SELECTED_SERIES, HINT_FROM_STALE_SERIES] {
        if metas.iter().any(|meta| has(meta, hint)) {
            hints.push(hint.to_string());
        }
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_stays_late_only_among_its_own() {
        let meta = |at: i64, hints: &[&str]| BlockMeta {
            ulid: BlockId::new(at, 1),
            min_time: at,
            max_time: at + 10,
            compaction: BlockCompaction {
                level: 2,
                sources: vec![BlockId::new(at, 1), BlockId::new(3, 3)],
                hints: hints.iter().map(|h| (*h).to_string()).collect(),
                ..BlockCompaction::default()
            },
            ..BlockMeta::default()
        };
        let (late, plain) = (meta(20, &[HINT_FROM_OUT_OF_ORDER]), meta(10, &[]));
        let both = merged_meta(BlockId::new(99, 9), &[&late, &plain]);
        assert_eq!((both.min_time, both.max_time, both.compaction.level), (10, 30, 3));
        assert_eq!(both.compaction.sources, [BlockId::new(3, 3), BlockId::new(10, 1), BlockId::new(20, 1)]);
        assert_eq!(both.compaction.parents.iter().map(|p| p.min_time).collect::<Vec<_>>(), [20, 10]);
        assert!(both.compaction.hints.is_empty());
        assert_eq!(merged_meta(BlockId::new(99, 9), &[&late, &late]).compaction.hints, [HINT_FROM_OUT_OF_ORDER]);
    }
}
