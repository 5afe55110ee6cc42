//! The head: the newest samples of one tenant, in memory.
//!
//! Label texts are numbered once ([`symbols`]). A series is a record in a slot ([`slab`]); it is found by a keyed 128-bit
//! hash of its labels, and by label value through [`postings`]. Its newest samples are in an open chunk, cut by
//! Prometheus's rules ([`series`]).
//!
//! Invariants:
//! * No sample is older than `min_valid_ms` when it is taken, and whatever a block holds is older than that.
//! * A series in the table has at least one chunk, except during replay.
//! * References are never used twice, not even after a restart.

mod append;
mod collect;
pub mod matching;
mod open_chunk;
mod postings;
mod replay;
mod sample_records;
mod series;
mod slab;
mod symbols;
mod truncate;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use roaring::{RoaringBitmap, RoaringTreemap};

pub use append::{AppendLimits, Rejected, Scratch};
pub use collect::SelectedSeries;
pub(crate) use open_chunk::{OpenChunk, Pushed, range_end};
pub use replay::{Replay, ReplayCounts};

use crate::wal::record::SeriesRef;
use postings::Postings;
use series::Series;
use slab::Slab;
use symbols::{Symbol, Symbols};

/// A series' place in the head; used again once the series is gone.
pub(crate) type Slot = u32;

/// How many series and samples a head holds, and of what time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadStats {
    /// Series.
    pub series: usize,
    /// Chunks, open ones included.
    pub chunks: usize,
    /// Samples taken since the head was made.
    pub appended: u64,
    /// First and last time, `None` where there is no sample.
    pub times_ms: Option<(i64, i64)>,
}

/// The newest samples of one tenant.
#[derive(Debug)]
pub struct Head {
    chunk_range_ms: i64,
    hash_key: u64,
    symbols: Symbols,
    slab: Slab<Series>,
    /// The series made last.
    newest: Slot,
    table: HashTable<Slot>,
    live: RoaringBitmap,
    postings: Postings,
    next_ref: SeriesRef,
    /// First and last time of a sample; `i64::MAX` and `i64::MIN` where there is none.
    min_time_ms: i64,
    max_time_ms: i64,
    min_valid_ms: i64,
    appended: u64,
    chunks: usize,
    /// References without a series, and the newest segment that may still speak of them.
    expiries: HashMap<SeriesRef, u32, FixedState>,
}

impl Head {
    /// An empty head. Blocks hold all that is older than `min_valid_ms`.
    pub fn new(chunk_range_ms: i64, min_valid_ms: i64, hash_key: u64) -> Self {
        Head {
            chunk_range_ms,
            hash_key,
            symbols: Symbols::new(hash_key),
            slab: Slab::default(),
            newest: 0,
            table: HashTable::new(),
            live: RoaringBitmap::new(),
            postings: Postings::default(),
            next_ref: 1,
            min_time_ms: i64::MAX,
            max_time_ms: i64::MIN,
            min_valid_ms,
            appended: 0,
            chunks: 0,
            expiries: HashMap::default(),
        }
    }

    /// First and last time of a sample.
    pub fn times_ms(&self) -> Option<(i64, i64)> {
        (self.min_time_ms <= self.max_time_ms).then_some((self.min_time_ms, self.max_time_ms))
    }

    /// What the head holds.
    pub fn stats(&self) -> HeadStats {
        HeadStats { series: self.table.len(), chunks: self.chunks, appended: self.appended, times_ms: self.times_ms() }
    }

    /// The references of all series.
    pub fn live_refs(&self) -> RoaringTreemap {
        self.live.iter().filter_map(|slot| self.slab.get(slot)).map(|series| series.series_ref).collect()
    }

    /// References whose series are gone, and the newest segment that may speak of them.
    pub fn expiries(&self) -> impl Iterator<Item = (SeriesRef, u32)> {
        self.expiries.iter().map(|(series, segment)| (*series, *segment))
    }

    /// Forgets references that no segment after `segment` speaks of.
    pub fn expire(&mut self, segment: u32) {
        self.expiries.retain(|_, newest| *newest > segment);
    }

    /// The labels of a series.
    fn labels_of<'a>(&'a self, series: &'a Series) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone {
        series.labels.iter().map(|(name, value)| (self.symbols.text(*name), self.symbols.text(*value)))
    }

    fn find(&self, hash: u128) -> Option<Slot> {
        let same = |slot: &Slot| self.slab.get(*slot).is_some_and(|series| series.hash == hash);
        self.table.find(hash as u64, same).copied()
    }

    /// Makes a series, which must not be there yet. Labels are sorted, unique and not empty.
    fn insert<'a>(
        &mut self,
        hash: u128,
        series_ref: SeriesRef,
        labels: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Slot {
        let labels = self.intern(labels);
        let slot = self.slab.insert(Series::new(hash, series_ref, labels));
        self.newest = slot;
        let Head { slab, table, postings, live, .. } = self;
        let hash_of = |slot: &Slot| slab.get(*slot).map_or(0, |series| series.hash as u64);
        table.insert_unique(hash as u64, slot, hash_of);
        live.insert(slot);
        if let Some(series) = slab.get(slot) {
            series.labels.iter().for_each(|(name, value)| postings.insert(*name, *value, slot));
        }
        slot
    }

    /// Numbers of a new series' labels. They are mostly those of the series before it, at the same places.
    fn intern<'a>(&mut self, labels: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Box<[(Symbol, Symbol)]> {
        let Head { slab, symbols, newest, .. } = self;
        let before = slab.get(*newest).map_or(&[] as &[_], |series| &series.labels);
        let hints = before.iter().map(Some).chain(std::iter::repeat(None));
        let mut numbered = Vec::with_capacity(before.len());
        numbered.extend(labels.zip(hints).map(|((name, value), hint)| {
            (symbols.intern(name, hint.map(|h| h.0)), symbols.intern(value, hint.map(|h| h.1)))
        }));
        numbered.into_boxed_slice()
    }

    fn hash(&self, packed: &[u8]) -> u128 {
        xxhash_rust::xxh3::xxh3_128_with_seed(packed, self.hash_key)
    }
}
