//! Which blocks to compact next: Prometheus's rules.
//!
//! 1. Blocks that overlap: the whole first run of them.
//! 2. Leaving the newest block alone: for each range but the smallest, the first aligned window with more than one block
//!    that is full, or lies before the newest block considered. A window with a block whose compaction failed is left alone.
//! 3. From the newest back, one block of a large range with many tombstones, or one where all is deleted.
//!
//! Blocks made from a part of a head are planned apart, after all others, so that they keep their hint.

use crate::meta::{BlockMeta, HINT_FROM_SELECTED_SERIES, HINT_FROM_STALE_SERIES};

/// Above this share of deleted ranges to series a large block is written anew.
const MANY_TOMBSTONES: f64 = 0.05;

/// The ranges that blocks grow through: `smallest_ms`, three times that, and so on, up to `largest_ms`.
pub fn exponential_ranges_ms(smallest_ms: i64, largest_ms: i64) -> Vec<i64> {
    let growing = std::iter::successors(Some(smallest_ms), |range_ms| range_ms.checked_mul(3));
    let mut ranges_ms: Vec<i64> = growing.take(10).take_while(|range_ms| *range_ms <= largest_ms).collect();
    if ranges_ms.is_empty() {
        ranges_ms.push(smallest_ms);
    }
    ranges_ms
}

/// The blocks to compact into one, in order of their times; none where all is well. `ranges_ms` rise.
pub fn plan<'m>(metas: &[&'m BlockMeta], ranges_ms: &[i64]) -> Vec<&'m BlockMeta> {
    let hinted = |meta: &BlockMeta, hint: &str| meta.compaction.hints.iter().any(|h| h == hint);
    let class = |meta: &BlockMeta| match () {
        () if hinted(meta, HINT_FROM_STALE_SERIES) => 1,
        () if hinted(meta, HINT_FROM_SELECTED_SERIES) => 2,
        () => 0,
    };
    let planned =
        (0..3).map(|c| plan_class(metas.iter().copied().filter(|meta| class(meta) == c).collect(), ranges_ms));
    planned.into_iter().find(|blocks| !blocks.is_empty()).unwrap_or_default()
}

fn plan_class<'m>(mut metas: Vec<&'m BlockMeta>, ranges_ms: &[i64]) -> Vec<&'m BlockMeta> {
    metas.sort_by_key(|meta| meta.min_time);
    let overlapping = first_overlap(&metas);
    if !overlapping.is_empty() {
        return overlapping;
    }
    // The newest stays as it is for one more range, so that new data can be copied away without overlaps.
    metas.pop();
    let window = full_window(&metas, ranges_ms);
    if !window.is_empty() {
        return window;
    }
    much_deleted(&metas, ranges_ms).into_iter().collect()
}

fn first_overlap<'m>(metas: &[&'m BlockMeta]) -> Vec<&'m BlockMeta> {
    let mut run = Vec::new();
    let Some(mut end_ms) = metas.first().map(|meta| meta.max_time) else { return run };
    for (before, meta) in metas.iter().zip(&metas[1..]) {
        if meta.min_time < end_ms {
            if run.is_empty() {
                run.push(*before);
            }
            run.push(*meta);
        } else if !run.is_empty() {
            break;
        }
        end_ms = end_ms.max(meta.max_time);
    }
    run
}

fn full_window<'m>(metas: &[&'m BlockMeta], ranges_ms: &[i64]) -> Vec<&'m BlockMeta> {
    let Some(newest_ms) = metas.last().map(|meta| meta.min_time) else { return Vec::new() };
    let windows = ranges_ms.iter().skip(1).flat_map(|range_ms| windows(metas, *range_ms).map(|w| (*range_ms, w)));
    let ready = |(range_ms, window): &(i64, &[&'m BlockMeta])| {
        let end_ms = window[window.len() - 1].max_time;
        let full = end_ms.saturating_sub(window[0].min_time) == *range_ms || end_ms <= newest_ms;
        full && window.len() > 1 && window.iter().all(|meta| !meta.compaction.failed)
    };
    windows.into_iter().find(ready).map(|(_, window)| window.to_vec()).unwrap_or_default()
}

/// The blocks of each aligned window of a range that lie in it whole.
fn windows<'a, 'm>(metas: &'a [&'m BlockMeta], range_ms: i64) -> impl Iterator<Item = &'a [&'m BlockMeta]> {
    let mut rest = metas;
    std::iter::from_fn(move || {
        loop {
            let first = rest.first()?;
            let end_ms = first.min_time.div_euclid(range_ms).saturating_add(1).saturating_mul(range_ms);
            let inside = rest.iter().take_while(|meta| meta.max_time <= end_ms).count();
            let (window, behind) = rest.split_at(inside.max(1));
            rest = behind;
            if inside > 0 {
                return Some(window);
            }
        }
    })
}

fn much_deleted<'m>(metas: &[&'m BlockMeta], ranges_ms: &[i64]) -> Option<&'m BlockMeta> {
    let large_ms = *ranges_ms.get(ranges_ms.len() / 2)?;
    for meta in metas.iter().rev() {
        let stats = &meta.stats;
        if meta.max_time.saturating_sub(meta.min_time) < large_ms {
            let all_deleted = stats.num_tombstones > 0 && stats.num_tombstones >= stats.num_series;
            return all_deleted.then_some(*meta);
        }
        if stats.num_tombstones as f64 / (stats.num_series + 1) as f64 > MANY_TOMBSTONES {
            return Some(*meta);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{BlockId, BlockStats};

    fn block(min_time: i64, max_time: i64) -> BlockMeta {
        BlockMeta { ulid: BlockId::new(min_time, max_time as u128), min_time, max_time, ..BlockMeta::default() }
    }

    fn planned(metas: &[BlockMeta]) -> Vec<(i64, i64)> {
        let metas: Vec<&BlockMeta> = metas.iter().collect();
        plan(&metas, &[20, 60, 180, 540, 1620]).into_iter().map(|meta| (meta.min_time, meta.max_time)).collect()
    }

    fn blocks(ranges: &[(i64, i64)]) -> Vec<BlockMeta> {
        ranges.iter().map(|(min, max)| block(*min, *max)).collect()
    }

    #[test]
    fn a_window_is_compacted_when_it_is_full_or_past() {
        assert_eq!(planned(&blocks(&[(0, 20)])), []);
        assert_eq!(planned(&blocks(&[(0, 20), (20, 40), (40, 60)])), []);
        assert_eq!(planned(&blocks(&[(0, 20), (20, 40), (40, 60), (60, 80)])), [(0, 20), (20, 40), (40, 60)]);
        assert_eq!(planned(&blocks(&[(0, 20), (20, 40), (60, 80), (80, 100)])), [(0, 20), (20, 40)]);
        let large = [(0, 60), (60, 120), (120, 180), (180, 200), (200, 220)];
        assert_eq!(planned(&blocks(&large)), [(0, 60), (60, 120), (120, 180)]);
        assert_eq!(planned(&blocks(&[(-60, -40), (-40, -20), (-20, 0), (0, 20)])), [(-60, -40), (-40, -20), (-20, 0)]);
    }

    #[test]
    fn overlaps_come_first_even_with_the_newest() {
        assert_eq!(planned(&blocks(&[(0, 20), (19, 40), (40, 60)])), [(0, 20), (19, 40)]);
        assert_eq!(planned(&blocks(&[(0, 20), (20, 40), (30, 50), (45, 60)])), [(20, 40), (30, 50), (45, 60)]);
        assert_eq!(planned(&blocks(&[(0, 60), (10, 20), (30, 40), (60, 80)])), [(0, 60), (10, 20), (30, 40)]);
    }

    #[test]
    fn a_failed_block_and_blocks_of_a_part_stay_apart() {
        let mut metas = blocks(&[(0, 20), (20, 40), (40, 60), (60, 80)]);
        metas[1].compaction.failed = true;
        assert_eq!(planned(&metas), []);
        let mut metas = blocks(&[(0, 20), (10, 40)]);
        metas[1].compaction.hints.push(HINT_FROM_STALE_SERIES.to_string());
        assert_eq!(planned(&metas), []);
    }

    #[test]
    fn blocks_with_much_deleted_are_written_anew() {
        let deleted = |ranges: &[(i64, i64)], num_series, num_tombstones| {
            let mut metas = blocks(ranges);
            metas[0].stats = BlockStats { num_series, num_tombstones, ..BlockStats::default() };
            planned(&metas)
        };
        assert_eq!(deleted(&[(0, 540), (540, 560)], 10, 3), [(0, 540)]);
        assert_eq!(deleted(&[(0, 540), (540, 560)], 100, 3), []);
        assert_eq!(deleted(&[(0, 60), (60, 80)], 10, 3), []);
        assert_eq!(deleted(&[(0, 60), (60, 80)], 10, 10), [(0, 60)]);
    }

    #[test]
    fn ranges_grow_threefold() {
        assert_eq!(exponential_ranges_ms(7_200_000, 129_600_000), [7_200_000, 21_600_000, 64_800_000]);
        assert_eq!(exponential_ranges_ms(7_200_000, 1), [7_200_000]);
    }
}
