//! The chunks of one series from several blocks: copied where they lie apart, merged where they overlap.

use thanoxide_model::series::Columns;

use super::encode::ChunkEncoder;
use super::heap::Heap;
use super::policy::{Overlap, Run};
use super::source::Piece;
use super::{CompactError, CompactOptions};
use crate::chunk::{Chunk, Encoding};

/// Merges the chunks of a series. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct SeriesMerge {
    overlap: Overlap,
    runs: Vec<Run>,
    group: Vec<Piece>,
    columns: Columns,
    /// Samples of chunks that overlapped.
    pub(super) merged_samples: u64,
}

impl SeriesMerge {
    /// `inputs` are the chunks from each block, in the order in which stock meets the blocks. The result is apart and in
    /// time order if there is more than one input.
    pub(super) fn merge(
        &mut self,
        mut inputs: Vec<Vec<Piece>>,
        options: &CompactOptions<'_>,
        out: &mut Vec<Piece>,
    ) -> Result<(), CompactError> {
        if inputs.len() > 1 && !lie_apart(&mut inputs) {
            return self.merge_overlapping(inputs, options, out);
        }
        out.extend(inputs.into_iter().flatten());
        Ok(())
    }

    fn merge_overlapping(
        &mut self,
        inputs: Vec<Vec<Piece>>,
        options: &CompactOptions<'_>,
        out: &mut Vec<Piece>,
    ) -> Result<(), CompactError> {
        let mut queues = Queues::new(inputs);
        while let Some(first) = queues.next() {
            self.group.clear();
            let mut end_ms = first.chunk.max_time_ms;
            self.group.push(first);
            while queues.first().is_some_and(|next| next.min_time_ms <= end_ms) {
                let Some(next) = queues.next() else { break };
                let last = &self.group[self.group.len() - 1].chunk;
                let times = |chunk: &Chunk| (chunk.min_time_ms, chunk.max_time_ms);
                if times(last) != times(&next.chunk) || last.data != next.chunk.data {
                    end_ms = end_ms.max(next.chunk.max_time_ms);
                    self.group.push(next);
                }
            }
            if self.group.len() == 1 {
                out.append(&mut self.group);
            } else {
                let mut merged = self.merge_group(options)?.into_iter();
                out.extend(merged.next());
                queues.add(merged.collect());
            }
        }
        Ok(())
    }

    /// The chunks of `group` as one row of chunks.
    fn merge_group(&mut self, options: &CompactOptions<'_>) -> Result<Vec<Piece>, CompactError> {
        if self.group.iter().any(|piece| piece.chunk.encoding == Encoding::Aggregate) {
            let chunks: Vec<Chunk> = self.group.iter().map(|piece| piece.chunk.clone()).collect();
            let merged = options.policy.merge_aggregates(&chunks)?;
            return Ok(merged.into_iter().map(|chunk| Piece { chunk, frame: None }).collect());
        }
        self.overlap.read(self.group.iter().map(|piece| &piece.chunk))?;
        self.merged_samples += (0..self.overlap.len()).map(|c| self.overlap.times_ms(c).len() as u64).sum::<u64>();
        self.runs.clear();
        options.policy.choose(&self.overlap, &mut self.runs);
        let mut merged = Vec::new();
        let mut encoder = ChunkEncoder::new(&mut merged, options.xor2);
        encoder.push_runs(&self.overlap, &self.runs, &mut self.columns);
        encoder.finish();
        Ok(merged)
    }
}

/// Sorts the inputs by time; false where any two chunks overlap, and then the order is as before.
fn lie_apart(inputs: &mut [Vec<Piece>]) -> bool {
    let mut order: Vec<&Vec<Piece>> = inputs.iter().filter(|pieces| !pieces.is_empty()).collect();
    order.sort_by_key(|pieces| pieces[0].chunk.min_time_ms);
    let mut chunks = order.into_iter().flatten().map(|piece| &piece.chunk);
    let Some(mut last_ms) = chunks.next().map(|chunk| chunk.max_time_ms) else { return true };
    for chunk in chunks {
        if chunk.min_time_ms <= last_ms {
            return false;
        }
        last_ms = chunk.max_time_ms;
    }
    inputs.sort_by_key(|pieces| pieces.first().map_or(i64::MAX, |piece| piece.chunk.min_time_ms));
    true
}

/// Rows of chunks, of which the oldest chunk is taken next.
struct Queues {
    rows: Vec<std::vec::IntoIter<Piece>>,
    heap: Heap<usize>,
}

impl Queues {
    fn new(inputs: Vec<Vec<Piece>>) -> Self {
        let mut queues = Queues { rows: Vec::with_capacity(inputs.len()), heap: Heap::new() };
        inputs.into_iter().for_each(|pieces| queues.add(pieces));
        queues
    }

    fn add(&mut self, pieces: Vec<Piece>) {
        self.rows.push(pieces.into_iter());
        self.wait(self.rows.len() - 1);
    }

    /// Puts a row into the heap, if it has a chunk.
    fn wait(&mut self, row: usize) {
        if self.rows[row].as_slice().is_empty() {
            return;
        }
        let Queues { rows, heap } = self;
        heap.push(row, |a, b| less(rows, a, b));
    }

    fn first(&self) -> Option<&Chunk> {
        self.heap.first().and_then(|row| self.rows[row].as_slice().first()).map(|piece| &piece.chunk)
    }

    fn next(&mut self) -> Option<Piece> {
        let Queues { rows, heap } = self;
        let row = heap.pop(|a, b| less(rows, a, b))?;
        let piece = rows[row].next();
        self.wait(row);
        piece
    }
}

fn less(rows: &[std::vec::IntoIter<Piece>], a: usize, b: usize) -> bool {
    let key = |row: usize| rows[row].as_slice().first().map(|p| (p.chunk.min_time_ms, p.chunk.max_time_ms));
    key(a) < key(b)
}
