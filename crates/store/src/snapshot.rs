//! The blocks that are served at one moment. Immutable: a sync makes a new one and swaps it in.

use std::collections::BTreeMap;
use std::sync::Arc;

use thanoxide_block::{Meta, Ulid};
use thanoxide_model::{Labels, Matcher};
use thanoxide_storeapi::TsdbInfo;

use crate::block::{ServedBlock, series_matchers};
use crate::resolution::choose;

/// Name of the pseudo label that block matchers are about.
const BLOCK_ID: &str = "__block_id";

/// A block that should be served but could not be loaded.
#[derive(Clone, Debug)]
pub(crate) struct BrokenBlock {
    pub(crate) meta: Arc<Meta>,
    pub(crate) reason: String,
}

/// Blocks by external label set, each set sorted by min time.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    blocks: BTreeMap<Ulid, Arc<ServedBlock>>,
    streams: BTreeMap<Labels, Vec<Arc<ServedBlock>>>,
    broken: Vec<BrokenBlock>,
}

/// What is asked of the blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) max_resolution_ms: i64,
    pub(crate) matchers: &'a [Matcher],
    pub(crate) block_matchers: &'a [Matcher],
}

/// A block that is to answer, and the matchers for its series.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) block: Arc<ServedBlock>,
    pub(crate) matchers: Vec<Matcher>,
}

impl Snapshot {
    pub(crate) fn new(blocks: BTreeMap<Ulid, Arc<ServedBlock>>, broken: Vec<BrokenBlock>) -> Self {
        let mut streams: BTreeMap<Labels, Vec<Arc<ServedBlock>>> = BTreeMap::new();
        for block in blocks.values() {
            streams.entry(block.labels.clone()).or_default().push(Arc::clone(block));
        }
        for stream in streams.values_mut() {
            stream.sort_by_key(|block| (block.meta.min_time_ms(), block.meta.max_time_ms(), block.id()));
        }
        Snapshot { blocks, streams, broken }
    }

    pub(crate) fn blocks(&self) -> &BTreeMap<Ulid, Arc<ServedBlock>> {
        &self.blocks
    }

    /// The blocks that answer, and what is to be told of those that should but cannot.
    pub(crate) fn choose(&self, wanted: Wanted<'_>) -> (Vec<Chosen>, Vec<String>) {
        let mut chosen = Vec::new();
        for (labels, stream) in &self.streams {
            let Some(matchers) = series_matchers(labels, wanted.matchers) else { continue };
            let allowed: Vec<_> =
                stream.iter().filter(|block| is_allowed(block.id(), wanted.block_matchers)).map(Arc::clone).collect();
            let blocks = choose(&allowed, wanted.start_ms, wanted.end_ms, wanted.max_resolution_ms);
            chosen.extend(blocks.into_iter().map(|block| Chosen { block, matchers: matchers.clone() }));
        }
        // A finer block may fill several gaps of a coarser resolution.
        chosen.sort_by_key(|chosen| chosen.block.id());
        chosen.dedup_by_key(|chosen| chosen.block.id());
        let broken = self.broken.iter().filter(|broken| {
            let meta = &broken.meta;
            let in_time = meta.min_time_ms() <= wanted.end_ms && wanted.start_ms < meta.max_time_ms();
            in_time
                && meta.resolution_ms() <= wanted.max_resolution_ms
                && is_allowed(meta.id(), wanted.block_matchers)
                && series_matchers(&meta.label_set(), wanted.matchers).is_some()
        });
        let told = broken.map(|broken| format!("block {} could not be loaded: {}", broken.meta.id(), broken.reason));
        (chosen, told.collect())
    }

    /// Time range and labels of each stream.
    pub(crate) fn infos(&self) -> Vec<TsdbInfo> {
        let info = |(labels, stream): (&Labels, &Vec<Arc<ServedBlock>>)| {
            let min_time_ms = stream.iter().map(|block| block.meta.min_time_ms()).min()?;
            let max_time_ms = stream.iter().map(|block| block.meta.max_time_ms()).max()?;
            Some(TsdbInfo { labels: labels.clone(), min_time_ms, max_time_ms })
        };
        self.streams.iter().filter_map(info).collect()
    }
}

fn is_allowed(id: Ulid, block_matchers: &[Matcher]) -> bool {
    let id = id.to_string();
    block_matchers.iter().filter(|m| m.name() == BLOCK_ID.as_bytes()).all(|m| m.matches(id.as_bytes()))
}
