//! Floats of the log on their way to many series.
//!
//! A sweep over a million series finds none of them in a cache. So samples wait first, by the pages of series that they
//! belong to ([`super::waiting`]), and are then applied page by page, those of a series in one go, by several threads. The
//! order of a series' own samples stays. What comes out does not depend on the number of threads, or on how many wait, but
//! for where closed chunks lie in their files.
//!
//! What waits must be small beside the series. But series grow by what is left of the log: while much is left, there is room
//! that they do not need yet.

use super::Slot;
use super::open_chunk::At;
use super::restore::RestoreCounts;
use super::series::{Fit, Series};
use super::slab::{PAGE_SLOTS, Slab};
use super::waiting::{Blocks, InOrder, Waiting, WaitingPages};
use crate::chunk_store::ChunkStore;
use crate::encoding::RunBuffer;
use crate::wal::record::RefSample;

/// Heads of fewer series take their samples one by one: caches hold most of these.
const LEAST_SERIES: usize = 16 * PAGE_SLOTS;
/// As many samples may wait in any case, for each series three: a look at a series costs as much as appending several samples to it.
const LEAST_ROOM: usize = 3 << 20;
/// A sample more may wait for each so many bytes of samples that are left. They make series larger by many times as much as
/// one that waits takes.
const LEFT_BYTES: usize = 256;
/// So many series are looked at before the first of them takes its samples.
const RUN: usize = 32;

/// Samples that wait, and what applying them needs.
#[derive(Debug, Default)]
pub(super) struct Replay {
    waiting: WaitingPages,
    room: usize,
    series: usize,
    /// Bytes of the log that are left, and that were left when samples were applied before.
    left_bytes: usize,
    before_bytes: usize,
    tools: Vec<Tools>,
}

/// Some pages of series, and what waits for each.
type Pages<'p> = Vec<(&'p mut [Option<Series>], &'p mut Blocks)>;

/// What a thread uses again and again.
#[derive(Debug, Default)]
struct Tools {
    in_order: InOrder,
    buffer: RunBuffer,
}

/// What the series are measured by.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) chunk_range_ms: i64,
    pub(super) min_valid_ms: i64,
    pub(super) store: &'a ChunkStore,
}

/// What became of samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied {
    pub(super) counts: RestoreCounts,
    pub(super) chunks: usize,
    /// First and last time of those taken; `i64::MAX` and `i64::MIN` where there is none.
    pub(super) min_time_ms: i64,
    pub(super) max_time_ms: i64,
}

impl Default for Applied {
    fn default() -> Self {
        let (counts, chunks) = (RestoreCounts::default(), 0);
        Applied { counts, chunks, min_time_ms: i64::MAX, max_time_ms: i64::MIN }
    }
}

impl Applied {
    #[must_use]
    pub(super) fn add(mut self, other: &Applied) -> Self {
        self.counts.add(&other.counts);
        self.chunks += other.chunks;
        self.min_time_ms = self.min_time_ms.min(other.min_time_ms);
        self.max_time_ms = self.max_time_ms.max(other.max_time_ms);
        self
    }

    /// Counts samples that were taken, and their first and last time.
    #[inline]
    fn note(&mut self, samples: usize, first_ms: i64, last_ms: i64) {
        self.counts.samples += samples as u64;
        self.min_time_ms = self.min_time_ms.min(first_ms);
        self.max_time_ms = self.max_time_ms.max(last_ms);
    }
}

impl Replay {
    /// Whether samples for so many series are worth to be put in order.
    pub(super) fn is_worth(series: usize) -> bool {
        series >= LEAST_SERIES
    }

    /// Makes room for samples of so many series, which have so many bytes of the log left. Series that are `grown` do not become much
    /// larger by these.
    pub(super) fn set_room(&mut self, series: usize, left_bytes: usize, grown: bool) {
        self.room = LEAST_ROOM.min(3 * series) + if grown { 0 } else { left_bytes / LEFT_BYTES };
        self.series = series;
        (self.left_bytes, self.before_bytes) = (left_bytes, self.before_bytes.max(left_bytes));
    }

    /// Keeps a sample. False where there is no room, or it does not fit to those that wait: they must be applied before.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot, sample: &RefSample) -> bool {
        self.waiting.len() < self.room && self.waiting.push(slot, sample)
    }

    /// Applies what waits.
    pub(super) fn apply(&mut self, slab: &mut Slab<Series>, rules: Rules<'_>, threads: usize) -> Applied {
        if self.waiting.len() == 0 {
            return Applied::default();
        }
        let (base_ms, given_samples) = (self.waiting.base_ms(), self.waiting.len());
        let pages = slab.pages_mut().zip(self.waiting.pages_mut());
        let pages: Vec<_> = pages.filter(|(_, blocks)| !blocks.is_empty()).collect();
        let each = pages.len().div_ceil(threads.max(1)).max(1);
        self.tools.resize_with(pages.len().div_ceil(each), Tools::default);
        let given_bytes = std::mem::replace(&mut self.before_bytes, self.left_bytes) - self.left_bytes;
        // Chunks get room for what is left of the log, as if that were spread evenly.
        let left_samples = self.left_bytes.saturating_mul(given_samples) / given_bytes.max(1);
        let ahead_samples = left_samples / self.series.max(1);
        self.tools.iter_mut().for_each(|tools| tools.buffer.ahead_samples = ahead_samples);
        let mut pages = pages.into_iter();
        let parts = self.tools.iter_mut().map(|tools| (pages.by_ref().take(each).collect::<Pages<'_>>(), tools));
        let run = |(pages, tools): (Pages<'_>, &mut Tools)| {
            let mut applied = Applied::default();
            for (series, blocks) in pages {
                apply_page(series, blocks, base_ms, rules, tools, &mut applied);
                // What was closed is written by one thread while others go on. If it cannot be, it stays in memory, and is tried again.
                let _ = rules.store.flush();
            }
            applied
        };
        let applied = std::thread::scope(|scope| {
            let mut parts = parts;
            let own = parts.next();
            let threads: Vec<_> = parts.map(|part| scope.spawn(move || run(part))).collect();
            let first = own.map_or_else(Applied::default, run);
            let others = threads.into_iter().map(|thread| thread.join());
            let others = others.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            others.fold(first, |sum, part| sum.add(&part))
        });
        self.waiting.clear(self.room);
        applied
    }
}

fn apply_page(
    page: &mut [Option<Series>],
    blocks: &Blocks,
    base_ms: i64,
    rules: Rules<'_>,
    tools: &mut Tools,
    applied: &mut Applied,
) {
    let Tools { in_order, buffer } = tools;
    in_order.each(blocks, |in_order| {
        for (number, some) in page.chunks_mut(RUN).enumerate() {
            let runs = |place: usize| in_order.of(number * RUN + place);
            let awaited = some.iter().enumerate().filter(|(place, _)| !runs(*place).is_empty());
            warm(awaited.filter_map(|(_, series)| series.as_ref()));
            for (place, series) in some.iter_mut().enumerate() {
                if let Some(series) = series {
                    push_run(series, runs(place), base_ms, rules, buffer, applied);
                }
            }
        }
    });
}

/// Appends samples of one series.
#[inline]
fn push_run(
    series: &mut Series,
    mut run: &[Waiting],
    base_ms: i64,
    rules: Rules<'_>,
    buffer: &mut RunBuffer,
    applied: &mut Applied,
) {
    while let Some(first) = run.first() {
        let samples = run.iter().map(|waiting| waiting.sample(base_ms));
        let taken = series.push_floats(samples, rules.min_valid_ms, buffer, rules.store);
        if let (Some(last), Some(rest)) = (run.get(taken.wrapping_sub(1)), run.get(taken..)) {
            applied.note(taken, first.sample(base_ms).0, last.sample(base_ms).0);
            run = rest;
        }
        // The one that ended it, if any, is known, too old, or begins a chunk.
        if let Some((next, rest)) = run.split_first() {
            let (timestamp_ms, value) = next.sample(base_ms);
            push(series, At::time(timestamp_ms), value, rules, applied);
            run = rest;
        }
    }
}

#[inline]
pub(super) fn push(series: &mut Series, at: At, value: f64, rules: Rules<'_>, applied: &mut Applied) {
    let timestamp_ms = at.timestamp_ms;
    if timestamp_ms < rules.min_valid_ms {
        applied.counts.in_blocks += 1;
    } else if series.fit_float(timestamp_ms, value) != Fit::Newest {
        applied.counts.known += 1;
    } else {
        applied.chunks += series.push_float(at, value, rules.chunk_range_ms, rules.store);
        applied.note(1, timestamp_ms, timestamp_ms);
    }
}

/// Reads what appending to some series will look at. One load does not wait for the other here, as it would between two
/// appends: memory answers several at once.
#[inline]
pub(super) fn warm<'a>(series: impl Iterator<Item = &'a Series>) {
    std::hint::black_box(series.fold(0u8, |seen, series| seen ^ series.glance()));
}
