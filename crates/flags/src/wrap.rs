//! Paragraphs broken into lines as Go's documentation printer does it.
//!
//! The breaks are those of least cost: a line costs the square of the room it leaves, the last line nothing, and a break
//! that does not follow punctuation 64 more. A word longer than a line stands alone; overlong lines are compared first.
//! Which of two equally good breaks is taken follows from the algorithm: Hirschberg and Larmore, "The least weight
//! subsequence problem", SIAM J. Comput. 16 (1987), which looks at each candidate start of a line only while it can win.

/// The cost of a break after a word without punctuation.
const BREAK_COST: u64 = 64;

/// How much lines are too long, then everything else.
type Cost = (u64, u64);

/// Breaks the words of `text` into lines of at most `width` characters.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (mut lines, mut end) = (Vec::new(), words.len());
    let starts = Paragraph::new(&words, width).line_starts();
    while end > 0 {
        let start = starts[end];
        lines.push(words[start..end].join(" "));
        end = start;
    }
    lines.reverse();
    lines
}

struct Paragraph<'a> {
    words: &'a [&'a str],
    width: usize,
    /// Characters of the first i words, each with the space behind it.
    ends: Vec<usize>,
    /// Least cost of the first i words.
    costs: Vec<Cost>,
}

impl<'a> Paragraph<'a> {
    fn new(words: &'a [&'a str], width: usize) -> Self {
        let mut ends = vec![0];
        for word in words {
            ends.push(ends[ends.len() - 1] + word.chars().count() + 1);
        }
        Paragraph { words, width, ends, costs: vec![(0, 0)] }
    }

    /// For each end the start of the best last line that ends there.
    fn line_starts(mut self) -> Vec<usize> {
        let count = self.words.len();
        let (mut candidates, mut starts) = (vec![0], vec![0]);
        for end in 1..count {
            starts.push(candidates[0]);
            self.costs.push(self.cost(candidates[0], end));
            while let [first, second, ..] = candidates[..]
                && self.cost(second, end + 1) <= self.cost(first, end + 1)
            {
                candidates.remove(0);
            }
            while let [.., before, last] = candidates[..]
                && self.never_wins(before, last, end)
            {
                candidates.pop();
            }
            let last = candidates[candidates.len() - 1];
            if self.cost(end, count) < self.cost(last, count) {
                if self.cost(end, end + 1) < self.cost(last, end + 1) {
                    candidates.clear();
                }
                candidates.push(end);
            }
        }
        starts.push(candidates[0]);
        starts
    }

    /// Whether `b` is beaten by `a` until it is beaten by `c`.
    fn never_wins(&self, a: usize, b: usize, c: usize) -> bool {
        let first_win = (c..=self.words.len()).find(|end| self.cost(a, *end) > self.cost(b, *end));
        first_win.is_none_or(|end| self.cost(c, end) <= self.cost(b, end))
    }

    /// The cost up to `end` with a last line from `start`.
    fn cost(&self, start: usize, end: usize) -> Cost {
        if start >= end {
            return (u64::MAX, u64::MAX);
        }
        let (over, other) = self.line_cost(start, end);
        (self.costs[start].0 + over, self.costs[start].1 + other)
    }

    fn line_cost(&self, start: usize, end: usize) -> Cost {
        let line_chars = self.ends[end] - 1 - self.ends[start];
        if end == self.words.len() && line_chars <= self.width {
            return (0, 0);
        }
        let room = (self.width.abs_diff(line_chars) as u64).pow(2);
        let break_cost = if self.words[end - 1].ends_with(['.', ',', ':', ';']) { 0 } else { BREAK_COST };
        if line_chars > self.width { (room, break_cost) } else { (0, room + break_cost) }
    }
}
