//! Floats of the log on their way to many series.
//!
//! A sweep over a million series finds none of them in a cache. So samples are first put into order by the pages of series
//! that they belong to, some hundred thousand at a time, and then applied page by page, by several threads. The order of a
//! series' own samples stays. What comes out does not depend on the number of threads, but for where closed chunks lie in
//! their files.

use super::Slot;
use super::open_chunk::At;
use super::restore::RestoreCounts;
use super::series::{Fit, Series};
use super::slab::{PAGE_SLOTS, Slab};
use crate::chunk_store::ChunkStore;
use crate::wal::record::RefSample;

/// Heads of fewer series take their samples one by one: caches hold most of these.
const LEAST_SERIES: usize = 16 * PAGE_SLOTS;
/// As many samples wait at most; fewer where there are fewer series, so that what waits stays small beside them.
const MOST_WAITING: usize = 1 << 19;
/// So many samples are looked up before the first is applied.
const RUN: usize = 32;

/// A sample that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    value: f64,
    /// Its time, less the base.
    after_ms: u32,
    /// Its place in the page.
    place: u16,
}

/// Samples that wait, by page.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pages: Vec<Vec<Waiting>>,
    base_ms: i64,
    len: usize,
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
}

impl Replay {
    /// Whether samples for so many series are worth to be put in order.
    pub(super) fn is_worth(series: usize) -> bool {
        series >= LEAST_SERIES
    }

    /// Keeps a sample. False where it does not fit to those that wait, and they must be applied before.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot, sample: &RefSample, series: usize) -> bool {
        if self.len == 0 {
            self.base_ms = sample.timestamp_ms.saturating_sub(1 << 30);
        }
        let after_ms = sample.timestamp_ms.checked_sub(self.base_ms).and_then(|after| u32::try_from(after).ok());
        let Some(after_ms) = after_ms.filter(|_| self.len < MOST_WAITING.min(2 * series)) else { return false };
        let page = slot as usize / PAGE_SLOTS;
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, Vec::new);
        }
        self.pages[page].push(Waiting { value: sample.value, after_ms, place: (slot as usize % PAGE_SLOTS) as u16 });
        self.len += 1;
        true
    }

    /// Applies what waits.
    pub(super) fn apply(&mut self, slab: &mut Slab<Series>, rules: Rules<'_>, threads: usize) -> Applied {
        if self.len == 0 {
            return Applied::default();
        }
        let base_ms = self.base_ms;
        let mut pages: Vec<_> =
            slab.pages_mut().zip(&mut self.pages).filter(|(_, waiting)| !waiting.is_empty()).collect();
        let run = |pages: &mut [(&mut [Option<Series>], &mut Vec<Waiting>)]| {
            let mut applied = Applied::default();
            for (series, waiting) in pages {
                apply_page(series, waiting, base_ms, rules, &mut applied);
                waiting.clear();
            }
            applied
        };
        let each = pages.len().div_ceil(threads.max(1)).max(1);
        let applied = if pages.len() <= each {
            run(&mut pages)
        } else {
            std::thread::scope(|scope| {
                let threads: Vec<_> = pages.chunks_mut(each).map(|pages| scope.spawn(move || run(pages))).collect();
                let parts = threads.into_iter().map(|thread| thread.join());
                let parts = parts.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                parts.fold(Applied::default(), |sum, part| sum.add(&part))
            })
        };
        self.len = 0;
        applied
    }
}

fn apply_page(page: &mut [Option<Series>], waiting: &[Waiting], base_ms: i64, rules: Rules<'_>, applied: &mut Applied) {
    for run in waiting.chunks(RUN) {
        warm(run.iter().filter_map(|waiting| page.get(usize::from(waiting.place))?.as_ref()));
        for Waiting { value, after_ms, place } in run {
            let timestamp_ms = base_ms.wrapping_add(i64::from(*after_ms));
            if let Some(Some(series)) = page.get_mut(usize::from(*place)) {
                push(series, At::time(timestamp_ms), *value, rules, applied);
            }
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
        applied.counts.samples += 1;
        applied.chunks += series.push_float(at, value, rules.chunk_range_ms, rules.store);
        applied.min_time_ms = applied.min_time_ms.min(timestamp_ms);
        applied.max_time_ms = applied.max_time_ms.max(timestamp_ms);
    }
}

/// Reads what appending to some series will look at. One load does not wait for the other here, as it would between two
/// appends: memory answers several at once.
#[inline]
pub(super) fn warm<'a>(series: impl Iterator<Item = &'a Series>) {
    std::hint::black_box(series.fold(0u8, |seen, series| seen ^ series.glance()));
}
