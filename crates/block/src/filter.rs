//! Which blocks need not be read because others hold their data.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use thanoxide_model::Labels;
use thanoxide_tsdb::meta::BlockId;
use ulid::Ulid;

use crate::meta::Meta;

/// The blocks all of whose sources are in another block of the same labels and resolution. The block with the most
/// sources is kept, of equals the one with the smallest id.
pub fn deduplicate<'a>(blocks: impl Iterator<Item = &'a Arc<Meta>>) -> HashSet<Ulid> {
    let mut groups: BTreeMap<(i64, Labels), Vec<&Meta>> = BTreeMap::new();
    for meta in blocks {
        groups.entry((meta.resolution_ms(), meta.label_set())).or_default().push(meta);
    }
    groups.into_values().flat_map(duplicates).collect()
}

fn duplicates(mut group: Vec<&Meta>) -> Vec<Ulid> {
    group.sort_by(|a, b| sources_of(b).len().cmp(&sources_of(a).len()).then_with(|| a.id().cmp(&b.id())));
    let mut kept_of_source: BTreeMap<Ulid, Vec<usize>> = BTreeMap::new();
    let mut duplicates = Vec::new();
    for (index, meta) in group.iter().enumerate() {
        if is_covered(sources_of(meta), &kept_of_source) {
            duplicates.push(meta.id());
            continue;
        }
        for source in sources_of(meta) {
            kept_of_source.entry(source.0).or_default().push(index);
        }
    }
    duplicates
}

fn sources_of(meta: &Meta) -> &[BlockId] {
    &meta.tsdb.compaction.sources
}

/// Whether one kept block has all the sources.
fn is_covered(sources: &[BlockId], kept_of_source: &BTreeMap<Ulid, Vec<usize>>) -> bool {
    let Some((first, others)) = sources.split_first() else { return false };
    let Some(candidates) = kept_of_source.get(&first.0) else { return false };
    let has =
        |source: &BlockId, block: usize| kept_of_source.get(&source.0).is_some_and(|blocks| blocks.contains(&block));
    candidates.iter().any(|block| others.iter().all(|source| has(source, *block)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{Source, ThanosMeta};
    use thanoxide_tsdb::meta::{BlockCompaction, BlockMeta, META_VERSION};

    fn block(id: u128, label: &str, resolution_ms: i64, sources: &[u128]) -> Arc<Meta> {
        let mut thanos = ThanosMeta::new(&Labels::from_pairs([("a", label)]), Source::receive());
        thanos.downsample.resolution_ms = resolution_ms;
        let sources = sources.iter().map(|s| BlockId(Ulid::from_parts(0, *s))).collect();
        let tsdb = BlockMeta {
            ulid: BlockId(Ulid::from_parts(0, id)),
            version: META_VERSION,
            compaction: BlockCompaction { level: 1, sources, ..BlockCompaction::default() },
            ..BlockMeta::default()
        };
        Arc::new(Meta { tsdb, thanos: Some(thanos) })
    }

    #[test]
    fn covered_blocks_are_duplicates() {
        let blocks = [
            block(1, "x", 0, &[1]),
            block(2, "x", 0, &[2]),
            block(3, "x", 0, &[3]),
            block(4, "x", 0, &[1, 2]),
            block(5, "x", 0, &[1, 2]),
            block(6, "x", 0, &[2, 3, 9]),
            block(7, "x", 300_000, &[1]),
            block(8, "y", 0, &[1]),
            block(9, "x", 0, &[1, 3]),
            block(10, "x", 0, &[]),
            block(11, "x", 0, &[]),
        ];
        let mut gone: Vec<u128> = deduplicate(blocks.iter()).iter().map(|id| id.random()).collect();
        gone.sort_unstable();
        assert_eq!(gone, [1, 2, 3, 5], "9 has sources of two kept blocks, so no single one covers it");
    }
}
