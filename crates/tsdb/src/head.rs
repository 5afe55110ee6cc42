//! The head: the newest samples of one tenant, in memory.
//!
//! Each label is numbered once ([`labels`]). A series is a record in a slot ([`slab`]); it is found by a keyed 128-bit
//! hash of its labels, and by label value through the label's list ([`postings`]). Its newest samples are in an open chunk, cut by
//! Prometheus's rules ([`series`]).
//!
//! Invariants:
//! * No sample is older than `min_valid_ms` when it is taken, and whatever a block holds is older than that.
//! * A series in the table has at least one chunk or late sample ([`late`]), except during replay.
//! * References are never used twice, not even after a restart.

mod append;
mod cardinality;
mod collect;
mod delete;
mod exemplars;
mod full_chunks;
mod import;
mod labels;
pub mod late;
mod late_cut;
pub mod matching;
mod memory;
mod metadata;
mod numbers;
mod open_chunk;
mod order;
mod packing;
mod postings;
mod readings;
mod relocate;
mod replay;
mod restore;
mod sample_records;
mod save;
mod series;
mod slab;
mod texts;
mod truncate;
mod verdicts;
mod waiting;

use std::sync::Arc;

use roaring::RoaringBitmap;
use thanoxide_model::Labels;

pub use append::{AppendLimits, LateLimits, Rejected, Scratch};
pub use collect::SelectedSeries;
pub(crate) use collect::sort_head_series;
pub use memory::HeadMemory;
pub(crate) use open_chunk::{At, OpenChunk, Pushed, range_end};
pub(crate) use order::SeriesOrder;
pub use restore::RestoreCounts;
pub(crate) use restore::{DecodedDefinitions, DecodedFloats, DecodedSeries, Restore, SeriesDecoder};

use crate::chunk_store::ChunkStore;
use crate::exemplars::Exemplars;
use crate::metadata::Metadata;
use crate::tombstones::Tombstones;
use crate::wal::record::SeriesRef;
use labels::{Ahead, LabelPairs, Pair};
use late::LateSamples;
use numbers::Numbers;
use packing::NewSeries;
use readings::Readings;
use series::Series;
use slab::Slab;
use verdicts::Verdicts;

/// A series' place in the head; used again once the series is gone.
pub(crate) type Slot = u32;

/// How many series and samples a head holds, and of what time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadStats {
    /// Series.
    pub series: usize,
    /// Series that came since the head was made, whether they are still there or not.
    pub created: u64,
    /// Chunks, open ones included.
    pub chunks: usize,
    /// Samples taken since the head was made.
    pub appended: u64,
    /// First and last time in order, `None` where there is no sample.
    pub times_ms: Option<(i64, i64)>,
    /// First and last time of late samples.
    pub late_times_ms: Option<(i64, i64)>,
}

/// The newest samples of one tenant.
#[derive(Debug)]
pub struct Head {
    chunk_range_ms: i64,
    hash_key: u64,
    labels: LabelPairs,
    verdicts: Verdicts,
    slab: Slab<Series>,
    /// The labels of the series made last: the next one has most of them, at the same places.
    beside: Vec<Pair>,
    /// Its hash.
    last_hash: u128,
    table: Numbers,
    live: RoaringBitmap,
    next_ref: SeriesRef,
    /// First and last time of a sample; `i64::MAX` and `i64::MIN` where there is none.
    min_time_ms: i64,
    max_time_ms: i64,
    min_valid_ms: i64,
    /// What `min_valid_ms` would be, had no cut come before its time; `i64::MAX` where none has.
    cut_early_from_ms: i64,
    /// Blocks hold what is older, even where it is still here.
    visible_from_ms: i64,
    /// The first time among the series that a sweep has seen, and of samples since it began.
    swept_min_time_ms: i64,
    appended: u64,
    created: u64,
    chunks: usize,
    /// Where full chunks go.
    store: Arc<ChunkStore>,
    late: LateSamples,
    /// Samples in order that are deleted.
    deleted: Tombstones,
    exemplars: Exemplars,
    metadata: Metadata,
    readings: Readings,
}

/// What packed labels are found by.
fn hash_labels(key: u64, packed: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128_with_seed(packed, key)
}

impl Head {
    /// An empty head. Blocks hold all that is older than `min_valid_ms`.
    pub fn new(chunk_range_ms: i64, min_valid_ms: i64, hash_key: u64, store: Arc<ChunkStore>) -> Self {
        Head {
            chunk_range_ms,
            hash_key,
            labels: LabelPairs::new(hash_key),
            verdicts: Verdicts::default(),
            slab: Slab::default(),
            beside: Vec::new(),
            last_hash: 0,
            table: Numbers::default(),
            live: RoaringBitmap::new(),
            next_ref: 1,
            min_time_ms: i64::MAX,
            max_time_ms: i64::MIN,
            min_valid_ms,
            cut_early_from_ms: i64::MAX,
            visible_from_ms: i64::MIN,
            swept_min_time_ms: i64::MAX,
            appended: 0,
            created: 0,
            chunks: 0,
            store,
            late: LateSamples::default(),
            deleted: Tombstones::default(),
            exemplars: Exemplars::default(),
            metadata: Metadata::default(),
            readings: Readings::default(),
        }
    }

    /// The same with so many late samples in a chunk.
    pub fn with_late_chunks(mut self, chunk_samples: usize) -> Self {
        self.late = LateSamples::new(chunk_samples);
        self
    }

    /// First and last time of a sample that came in order.
    pub fn times_ms(&self) -> Option<(i64, i64)> {
        (self.min_time_ms <= self.max_time_ms).then_some((self.min_time_ms, self.max_time_ms))
    }

    /// What the head holds.
    pub fn stats(&self) -> HeadStats {
        HeadStats {
            series: self.table.len(),
            created: self.created,
            chunks: self.chunks,
            appended: self.appended,
            times_ms: self.times_ms(),
            late_times_ms: self.late.times_ms(),
        }
    }

    /// The labels of a series.
    fn labels_of<'a>(&'a self, series: &'a Series) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone {
        series.labels.iter().map(|label| self.labels.text(*label))
    }

    fn find(&self, hash: u128) -> Option<Slot> {
        self.table.find(hash as u32, |slot| self.slab.get(slot).is_some_and(|series| series.hash == hash))
    }

    /// Makes a series, which must not be there yet. Labels are sorted, unique and not empty.
    fn insert<'a>(
        &mut self,
        hash: u128,
        series_ref: SeriesRef,
        labels: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Slot {
        self.insert_ahead(hash, series_ref, labels, &[], false)
    }

    /// The same with what is noted of its labels.
    fn insert_noted(&mut self, series_ref: SeriesRef, new: &NewSeries<'_>) -> Slot {
        let is_after = new.after == self.last_hash;
        self.insert_ahead(new.hash, series_ref, Labels::iter_packed(new.packed), new.ahead, is_after)
    }

    /// `is_after` says whether the series noted before is the one made last.
    fn insert_ahead<'a>(
        &mut self,
        hash: u128,
        series_ref: SeriesRef,
        labels: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        ahead: &[Ahead],
        is_after: bool,
    ) -> Slot {
        self.created += 1;
        self.last_hash = hash;
        let Head { slab, table, labels: known, live, beside, .. } = self;
        let slot = slab.insert(Series::new(hash, series_ref, Box::default()));
        let mut places = 0;
        for (name, value) in labels {
            let before = beside.get(places).copied();
            let pair = match ahead.get(places) {
                Some(noted) => known.insert_ahead(*noted, (name, value), before.filter(|_| is_after), slot),
                None => known.insert(name, value, before, slot),
            };
            match beside.get_mut(places) {
                Some(before) => *before = pair,
                None => beside.push(pair),
            }
            places += 1;
        }
        beside.truncate(places);
        if let Some(series) = slab.get_mut(slot) {
            series.labels = Box::from(beside.as_slice());
        }
        table.insert(hash as u32, slot);
        live.insert(slot);
        slot
    }

    fn hash(&self, packed: &[u8]) -> u128 {
        hash_labels(self.hash_key, packed)
    }
}
