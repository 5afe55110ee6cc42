//! Which blocks of a stream answer, by time and resolution.

/// A block as the choice sees it: `[min_time_ms, max_time_ms)` at a resolution.
pub(crate) trait Ranged {
    fn min_time_ms(&self) -> i64;
    fn max_time_ms(&self) -> i64;
    fn resolution_ms(&self) -> i64;
}

/// The blocks of one external label set that answer for `start_ms..=end_ms`: those of the coarsest resolution that is
/// allowed, and where they leave gaps, those of the next finer one. `blocks` must be sorted by their min time.
pub(crate) fn choose<B: Ranged + Clone>(blocks: &[B], start_ms: i64, end_ms: i64, max_resolution_ms: i64) -> Vec<B> {
    let mut resolutions: Vec<i64> =
        blocks.iter().map(Ranged::resolution_ms).filter(|r| *r <= max_resolution_ms).collect();
    resolutions.sort_unstable_by(|a, b| b.cmp(a));
    resolutions.dedup();
    let mut chosen = Vec::new();
    fill(blocks, &resolutions, start_ms, end_ms, &mut chosen);
    chosen
}

/// As deep as there are resolutions: three in practice.
fn fill<B: Ranged + Clone>(blocks: &[B], resolutions: &[i64], start_ms: i64, end_ms: i64, chosen: &mut Vec<B>) {
    let Some((resolution_ms, finer)) = resolutions.split_first() else { return };
    let mut covered_to_ms = start_ms;
    for block in blocks.iter().filter(|block| block.resolution_ms() == *resolution_ms) {
        if block.max_time_ms() <= start_ms {
            continue;
        }
        if block.min_time_ms() > end_ms {
            break;
        }
        if covered_to_ms < block.min_time_ms() {
            fill(blocks, finer, covered_to_ms, block.min_time_ms() - 1, chosen);
        }
        chosen.push(block.clone());
        covered_to_ms = covered_to_ms.max(block.max_time_ms());
    }
    if covered_to_ms <= end_ms {
        fill(blocks, finer, covered_to_ms, end_ms, chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Block(i64, i64, i64);

    impl Ranged for Block {
        fn min_time_ms(&self) -> i64 {
            self.0
        }
        fn max_time_ms(&self) -> i64 {
            self.1
        }
        fn resolution_ms(&self) -> i64 {
            self.2
        }
    }

    #[test]
    fn gaps_are_filled_with_finer_blocks() {
        let blocks = [
            Block(0, 100, 0),
            Block(0, 200, 300),
            Block(100, 200, 0),
            Block(200, 300, 0),
            Block(200, 400, 3600),
            Block(300, 400, 0),
            Block(400, 500, 0),
        ];
        let raw: Vec<_> = blocks.iter().filter(|b| b.2 == 0).cloned().collect();
        assert_eq!(choose(&blocks, 0, 499, 0), raw);
        assert_eq!(choose(&blocks, 0, 499, 300), [vec![Block(0, 200, 300)], raw[2..].to_vec()].concat());
        assert_eq!(choose(&blocks, 0, 499, 9999), [Block(0, 200, 300), Block(200, 400, 3600), Block(400, 500, 0)]);
        assert_eq!(choose(&blocks, 100, 199, 0), [Block(100, 200, 0)], "the end of a block is exclusive");
        assert_eq!(choose(&blocks, 50, 100, 0), [Block(0, 100, 0), Block(100, 200, 0)], "the end of a query is not");
        assert!(choose(&blocks, 500, 900, 9999).is_empty());
    }

    #[test]
    fn overlapping_blocks_all_answer() {
        let blocks = [Block(0, 100, 0), Block(10, 50, 0), Block(60, 70, 0)];
        assert_eq!(choose(&blocks, 65, 80, 0), [Block(0, 100, 0), Block(60, 70, 0)]);
    }
}
