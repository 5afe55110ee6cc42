//! Thanos's offline deduplication: the penalty algorithm as a policy of compaction.
//!
//! Each chunk counts as a replica of its own, as in Thanos: the oldest against the second oldest, the result against the
//! third, and so on. Since a chunk changes little of what lies long before it, only the end of the result is folded again.
//! Floats are not raised where replicas change. Downsampled chunks are folded aggregate by aggregate.
//!
//! Unlike Thanos, chunks of another kind of value than the oldest one's are not dropped but folded like the others, and a
//! downsampled chunk behind the first 120 windows does not lose its first sum, minimum and maximum.

use bytes::Bytes;
use thanoxide_model::series::Columns;
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::{self, Chunk, ChunkError, Encoding};
use thanoxide_tsdb::compact::{MergePolicy, Overlap, Run, push_sample};
use thanoxide_tsdb::encoding::{DecodeError, Put, Reader};

/// The penalty while no interval is known.
const INITIAL_PENALTY_MS: i64 = 5000;
/// How many windows a downsampled chunk gets.
const WINDOWS_PER_CHUNK: usize = 120;
/// Count, sum, minimum, maximum and counter.
const AGGREGATES: usize = 5;
const COUNTER: usize = 4;

/// The policy of Thanos's compactor with `--deduplication.func=penalty`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfflinePenalty;

impl MergePolicy for OfflinePenalty {
    fn choose(&self, overlap: &Overlap, runs: &mut Vec<Run>) {
        let mut fold = Fold::default();
        for chunk in 0..overlap.len() {
            fold.add(chunk as u32, overlap.times_ms(chunk));
        }
        fold.folded.iter().for_each(|sample| push_sample(runs, sample.chunk, sample.sample));
    }

    fn merge_aggregates(&self, chunks: &[Chunk]) -> Result<Vec<Chunk>, ChunkError> {
        // The oldest chunk is the last of Thanos's list.
        let parts = chunks.iter().skip(1).chain(chunks.first()).map(parts).collect::<Result<Vec<_>, _>>()?;
        let mut rows = Vec::with_capacity(AGGREGATES);
        for aggregate in 0..AGGREGATES {
            let same = parts.iter().filter_map(|parts| parts[aggregate].as_ref());
            rows.push(fold_rows(&same.collect::<Vec<_>>()));
        }
        Ok(rows[0].chunks(WINDOWS_PER_CHUNK).map(|counts| aggregate_chunk(counts, &rows)).collect())
    }
}

/// A sample of the result, and where it comes from.
#[derive(Clone, Copy, Debug)]
struct Folded {
    time_ms: i64,
    chunk: u32,
    sample: u32,
    /// A chunk that begins before this is changed by this sample or one before it.
    reach_ms: i64,
    /// What the other side is held back by after this sample.
    penalty_ms: i64,
}

#[derive(Debug, Default)]
struct Fold {
    folded: Vec<Folded>,
    /// The end of the result, while it is folded with the next chunk.
    tail: Vec<Folded>,
}

/// What one side is held back by after the other gave a sample. Times wrap, as in Go.
#[inline(always)]
fn penalty_ms(last_ms: Option<i64>, time_ms: i64) -> i64 {
    match last_ms {
        None => INITIAL_PENALTY_MS,
        Some(last_ms) => time_ms.wrapping_sub(last_ms).wrapping_mul(2),
    }
}

impl Fold {
    #[inline(always)]
    fn push(&mut self, time_ms: i64, chunk: u32, sample: u32, penalty_ms: i64, reach_ms: i64) {
        self.folded.push(Folded { time_ms, chunk, sample, reach_ms, penalty_ms });
    }

    fn add(&mut self, chunk: u32, times_ms: &[i64]) {
        let Some(first_ms) = times_ms.first().copied() else { return };
        // Up to here the result stays, and the chunk is not begun.
        let kept = self.folded.partition_point(|sample| sample.reach_ms <= first_ms);
        let mut tail = std::mem::take(&mut self.tail);
        tail.clear();
        tail.extend(self.folded.drain(kept..));
        let before = self.folded.last();
        let mut last_ms = before.map(|last| last.time_ms);
        let mut reach_ms = before.map_or(i64::MIN, |last| last.reach_ms);
        let (mut left_penalty_ms, mut right_penalty_ms) = (0i64, before.map_or(0, |last| last.penalty_ms));
        let (mut left, mut right) = (0, 0);
        loop {
            if let Some(last_ms) = last_ms {
                let next_ms = last_ms.wrapping_add(1);
                let (left_from_ms, right_from_ms) =
                    (next_ms.wrapping_add(left_penalty_ms), next_ms.wrapping_add(right_penalty_ms));
                while left < tail.len() && tail[left].time_ms < left_from_ms {
                    left += 1;
                }
                while right < times_ms.len() && times_ms[right] < right_from_ms {
                    right += 1;
                }
            }
            let use_left = match (tail.get(left), times_ms.get(right)) {
                (Some(left), Some(right_ms)) => left.time_ms <= *right_ms,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let time_ms = if use_left { tail[left].time_ms } else { times_ms[right] };
            let held_back_ms = penalty_ms(last_ms, time_ms);
            reach_ms = reach_ms.max(time_ms.wrapping_add(1).wrapping_add(held_back_ms));
            if use_left {
                (left_penalty_ms, right_penalty_ms) = (0, held_back_ms);
                self.push(time_ms, tail[left].chunk, tail[left].sample, held_back_ms, reach_ms);
            } else {
                (left_penalty_ms, right_penalty_ms) = (held_back_ms, 0);
                self.push(time_ms, chunk, right as u32, held_back_ms, reach_ms);
            }
            last_ms = Some(time_ms);
        }
        self.tail = tail;
    }
}

type Row = Vec<(i64, f64)>;

/// The aggregates of a downsampled chunk; absent ones are `None`. Layout: for each aggregate `uvarint len`, and where that is
/// not 0, `u8 encoding` and a chunk of `len` bytes.
fn parts(chunk: &Chunk) -> Result<[Option<Row>; AGGREGATES], ChunkError> {
    if chunk.encoding != Encoding::Aggregate {
        return Err(ChunkError::NotSamples(chunk.encoding));
    }
    let mut rows = [const { None }; AGGREGATES];
    let mut reader = Reader::new(&chunk.data);
    for row in &mut rows {
        // Stock leaves out what is absent at the end.
        let len = if reader.is_empty() { 0 } else { reader.uvarint_len()? };
        if len > 0 {
            *row = Some(part(chunk, &mut reader, len)?);
        }
    }
    Ok(rows)
}

fn part(chunk: &Chunk, reader: &mut Reader<'_>, len: usize) -> Result<Row, ChunkError> {
    let encoding = Encoding::from_byte(reader.u8()?).filter(|encoding| encoding.is_float());
    // Stock cannot merge downsampled histograms either.
    let encoding = encoding.ok_or(ChunkError::NotSamples(Encoding::Aggregate))?;
    let data = Bytes::copy_from_slice(reader.bytes(len).map_err(|_| DecodeError::UnexpectedEnd)?);
    let mut columns = Columns::default();
    chunk::decode(&Chunk { encoding, data, ..chunk.clone() }, i64::MIN, i64::MAX, &mut columns)?;
    Ok(columns.timestamps_ms.into_iter().zip(columns.values).collect())
}

/// Folds the rows of one aggregate. A single one stays as it is, with the last time of a counter twice.
fn fold_rows(rows: &[&Row]) -> Row {
    if let [row] = rows {
        return Row::clone(row);
    }
    let mut fold = Fold::default();
    for (i, row) in rows.iter().enumerate() {
        fold.add(i as u32, &row.iter().map(|(time_ms, _)| *time_ms).collect::<Vec<_>>());
    }
    fold.folded.iter().map(|sample| rows[sample.chunk as usize][sample.sample as usize]).collect()
}

/// A chunk of the windows that `counts` has.
fn aggregate_chunk(counts: &[(i64, f64)], rows: &[Row]) -> Chunk {
    let (min_time_ms, max_time_ms) = (counts[0].0, counts[counts.len() - 1].0);
    let mut data = Vec::new();
    put_part(&mut data, counts.iter());
    for (aggregate, row) in rows.iter().enumerate().skip(1) {
        let inside = row.iter().filter(|(time_ms, _)| (min_time_ms..=max_time_ms).contains(time_ms));
        // A counter ends with its last value twice, so that readers see a reset behind it.
        let again = inside.clone().next_back().filter(|_| aggregate == COUNTER);
        put_part(&mut data, inside.chain(again));
    }
    Chunk { min_time_ms, max_time_ms, encoding: Encoding::Aggregate, data: Bytes::from(data) }
}

fn put_part<'a>(data: &mut Vec<u8>, samples: impl Iterator<Item = &'a (i64, f64)>) {
    let mut appender = XorAppender::new();
    samples.for_each(|(time_ms, value)| appender.append(*time_ms, *value));
    if appender.sample_count() == 0 {
        return data.put_uvarint(0);
    }
    data.put_uvarint(appender.len_bytes() as u64);
    data.put_u8(Encoding::Xor as u8);
    data.extend_from_slice(&appender.to_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dedup::{Deduplication, deduplicate};

    proptest! {
        /// Folding the end only gives what folding all gives.
        #[test]
        fn it_is_the_penalty_of_queries(rows in proptest::collection::vec((0i64..300, proptest::collection::vec(1i64..40, 1..30)), 2..7)) {
            let mut rows: Vec<Vec<i64>> = rows.into_iter().map(|(start, steps)| {
                steps.iter().scan(start * 100, |time, step| { *time += step * 100; Some(*time) }).collect()
            }).collect();
            rows.sort();
            let columns: Vec<Columns> = rows.iter().map(|times| {
                Columns { timestamps_ms: times.clone(), values: vec![1.0; times.len()], ..Columns::default() }
            }).collect();
            let mut want = Columns::default();
            deduplicate(&columns, Deduplication::Penalty, &mut want);
            let mut fold = Fold::default();
            rows.iter().enumerate().for_each(|(i, times)| fold.add(i as u32, times));
            let ours: Vec<i64> = fold.folded.iter().map(|sample| sample.time_ms).collect();
            prop_assert_eq!(ours, want.timestamps_ms);
            for sample in &fold.folded {
                prop_assert_eq!(rows[sample.chunk as usize][sample.sample as usize], sample.time_ms);
            }
        }
    }
}
