//! Prometheus's merge: all samples of all chunks, of those at one time one.
//!
//! Which one, follows from how stock reads: the oldest chunk stands last in its list and the second oldest first; that one
//! is read, the others wait in a heap by the time of their next sample, and the reader changes when another one is not
//! behind. Of equal times the first one met stays. Where all samples of a time are the same this does not matter, and
//! sorted rows are merged instead, which is much faster.

use super::heap::Heap;
use super::policy::{MergePolicy, Overlap, Run, push_sample};

/// The policy of Prometheus, and of Thanos without offline deduplication.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain;

impl MergePolicy for Chain {
    fn choose(&self, overlap: &Overlap, runs: &mut Vec<Run>) {
        let before = runs.len();
        if merge_rows(overlap, runs).is_none() {
            runs.truncate(before);
            read_as_stock(overlap, runs);
        }
    }
}

/// Chunks that follow each other, and the place of the next sample.
struct Row {
    chunks: Vec<u32>,
    chunk: usize,
    sample: usize,
}

impl Row {
    fn at(&self) -> Option<usize> {
        self.chunks.get(self.chunk).map(|chunk| *chunk as usize)
    }

    fn time_ms(&self, overlap: &Overlap) -> Option<i64> {
        overlap.times_ms(self.at()?).get(self.sample).copied()
    }

    fn skip(&mut self, overlap: &Overlap, samples: usize) {
        self.sample += samples;
        if self.at().is_some_and(|chunk| overlap.times_ms(chunk).len() == self.sample) {
            self.chunk += 1;
            self.sample = 0;
        }
    }
}

/// Spreads the chunks over as few rows as there are replicas. `None` where a chunk is empty or its times do not rise.
fn rows(overlap: &Overlap) -> Option<Vec<Row>> {
    let mut rows: Vec<(Row, i64)> = Vec::new();
    for chunk in 0..overlap.len() {
        let times_ms = overlap.times_ms(chunk);
        let (first, last) = (*times_ms.first()?, *times_ms.last()?);
        if first == i64::MIN || !times_ms.is_sorted_by(|a, b| a < b) {
            return None;
        }
        match rows.iter_mut().find(|(_, end_ms)| *end_ms < first) {
            Some((row, end_ms)) => {
                row.chunks.push(chunk as u32);
                *end_ms = last;
            }
            None => rows.push((Row { chunks: vec![chunk as u32], chunk: 0, sample: 0 }, last)),
        }
    }
    Some(rows.into_iter().map(|(row, _)| row).collect())
}

/// Merges rows by time; `None` where samples of one time differ.
fn merge_rows(overlap: &Overlap, runs: &mut Vec<Run>) -> Option<()> {
    let mut rows = rows(overlap)?;
    if let [left, right] = rows.as_mut_slice() {
        merge_two(overlap, left, right, runs)?;
    }
    loop {
        let mut least: Option<(i64, usize)> = None;
        let mut bound_ms = i64::MAX;
        for (i, row) in rows.iter().enumerate() {
            let Some(time_ms) = row.time_ms(overlap) else { continue };
            match least {
                Some((least_ms, _)) if time_ms >= least_ms => bound_ms = bound_ms.min(time_ms),
                _ => {
                    bound_ms = least.map_or(bound_ms, |(least_ms, _)| bound_ms.min(least_ms));
                    least = Some((time_ms, i));
                }
            }
        }
        let Some((time_ms, first)) = least else { return Some(()) };
        let chunk = rows[first].at()?;
        let start = rows[first].sample;
        let rest = &overlap.times_ms(chunk)[start..];
        // At least the sample itself, then all before the next of another row.
        let more = 1 + rest[1..].iter().take_while(|next_ms| **next_ms < bound_ms).count();
        runs.push(Run { chunk: chunk as u32, start: start as u32, end: (start + more) as u32 });
        if bound_ms == time_ms {
            for i in (0..rows.len()).filter(|i| *i != first) {
                if rows[i].time_ms(overlap) == Some(time_ms) {
                    let other = (rows[i].at()?, rows[i].sample);
                    if !overlap.same((chunk, start), other) {
                        return None;
                    }
                    rows[i].skip(overlap, 1);
                }
            }
        }
        rows[first].skip(overlap, more);
    }
}

/// Merges two rows up to the end of one of them.
fn merge_two(overlap: &Overlap, left: &mut Row, right: &mut Row, runs: &mut Vec<Run>) -> Option<()> {
    while let (Some(left_chunk), Some(right_chunk)) = (left.at(), right.at()) {
        let (left_ms, right_ms) = (overlap.times_ms(left_chunk), overlap.times_ms(right_chunk));
        let (mut l, mut r) = (left.sample, right.sample);
        while l < left_ms.len() && r < right_ms.len() {
            let start = l;
            while l < left_ms.len() && left_ms[l] < right_ms[r] {
                l += 1;
            }
            if l > start {
                runs.push(Run { chunk: left_chunk as u32, start: start as u32, end: l as u32 });
            }
            let Some(time_ms) = left_ms.get(l) else { break };
            let start = r;
            while r < right_ms.len() && right_ms[r] < *time_ms {
                r += 1;
            }
            if r > start {
                runs.push(Run { chunk: right_chunk as u32, start: start as u32, end: r as u32 });
            }
            if right_ms.get(r) == Some(time_ms) {
                if !overlap.same((left_chunk, l), (right_chunk, r)) {
                    return None;
                }
                // The other one is read next.
                r += 1;
                if r == right_ms.len() {
                    runs.push(Run { chunk: left_chunk as u32, start: l as u32, end: l as u32 + 1 });
                    l += 1;
                }
            }
        }
        let (left_done, right_done) = (l - left.sample, r - right.sample);
        left.skip(overlap, left_done);
        right.skip(overlap, right_done);
    }
    Some(())
}

/// The place of each chunk's reader: on a sample, or before the first.
struct Readers<'o> {
    overlap: &'o Overlap,
    next: Vec<usize>,
}

impl Readers<'_> {
    fn advance(&mut self, chunk: usize) -> Option<i64> {
        self.next[chunk] += 1;
        self.overlap.times_ms(chunk).get(self.next[chunk] - 1).copied()
    }

    fn time_ms(&self, chunk: usize) -> i64 {
        self.overlap.times_ms(chunk)[self.next[chunk] - 1]
    }
}

fn read_as_stock(overlap: &Overlap, runs: &mut Vec<Run>) {
    let mut readers = Readers { overlap, next: vec![0; overlap.len()] };
    let less = |readers: &Readers<'_>, a: usize, b: usize| readers.time_ms(a) < readers.time_ms(b);
    // The oldest chunk is the last of stock's list.
    let mut order = (1..overlap.len()).chain([0]);
    let Some(mut current) = order.next() else { return };
    let mut waiting = Heap::new();
    for chunk in order {
        if readers.advance(chunk).is_some() {
            waiting.push(chunk, |a, b| less(&readers, a, b));
        }
    }
    let mut last_ms = i64::MIN;
    loop {
        loop {
            if let Some(time_ms) = readers.advance(current) {
                if time_ms == last_ms {
                    continue;
                }
                if waiting.first().is_none_or(|next| time_ms < readers.time_ms(next)) {
                    break;
                }
                waiting.push(current, |a, b| less(&readers, a, b));
            }
            match waiting.pop(|a, b| less(&readers, a, b)) {
                Some(next) => current = next,
                None => return,
            }
            if readers.time_ms(current) != last_ms {
                break;
            }
        }
        last_ms = readers.time_ms(current);
        push_sample(runs, current as u32, readers.next[current] as u32 - 1);
    }
}
