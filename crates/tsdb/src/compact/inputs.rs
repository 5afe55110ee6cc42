//! The series of all blocks, one label set after the other.

use std::collections::VecDeque;

use super::heap::Heap;
use super::source::{BlockSource, ChunkScan, Piece, RawSeries, SeriesScan};
use super::symbols::{SymbolMap, SymbolTable, unite};
use super::{CompactError, CompactOptions};
use crate::block::redact;
use crate::index::IndexError;
use crate::tombstones::{Interval, Tombstones};

/// One block, standing on a series.
#[derive(Debug)]
struct Input<'s> {
    tombstones: &'s Tombstones,
    symbols: SymbolMap,
    scan: SeriesScan,
    chunks: ChunkScan,
    /// Where labels are dropped, the series in their new order, with equal ones side by side.
    resorted: Option<VecDeque<(Box<[u32]>, u64)>>,
    at: RawSeries,
}

impl Input<'_> {
    /// To the next series that has chunks; false at the end.
    fn advance(&mut self) -> Result<bool, IndexError> {
        loop {
            match &mut self.resorted {
                Some(order) => {
                    let Some((symbols, number)) = order.pop_front() else { return Ok(false) };
                    self.scan.seek(number, &mut self.at)?;
                    self.at.symbols = symbols.into_vec();
                }
                None if self.scan.advance(&mut self.at)? => translate(&self.symbols, &mut self.at.symbols)?,
                None => return Ok(false),
            }
            if !self.at.chunks.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Brings the series into the order of what is left of their labels.
    fn resort(&mut self, dropped: &[u32]) -> Result<(), IndexError> {
        let mut order = Vec::new();
        while self.scan.advance(&mut self.at)? {
            translate(&self.symbols, &mut self.at.symbols)?;
            let kept = self.at.symbols.as_chunks::<2>().0.iter().filter(|label| !dropped.contains(&label[0]));
            order.push((kept.flatten().copied().collect::<Box<[u32]>>(), self.at.number));
        }
        order.sort();
        self.resorted = Some(order.into());
        Ok(())
    }

    /// The chunks of the series stood on that have samples in `first_ms..=last_ms`, without what is deleted.
    fn pieces(&mut self, first_ms: i64, last_ms: i64) -> Result<Vec<Piece>, CompactError> {
        let deleted = self.tombstones.get(self.at.number);
        let mut pieces = Vec::with_capacity(self.at.chunks.len());
        for meta in &self.at.chunks {
            if meta.max_time_ms < first_ms || meta.min_time_ms > last_ms {
                continue;
            }
            let whole = deleted.is_empty() && meta.min_time_ms >= first_ms && meta.max_time_ms <= last_ms;
            let piece = self.chunks.read(meta)?;
            match whole {
                true => pieces.push(piece),
                false => pieces.extend(cut_out(piece, deleted, first_ms, last_ms)?),
            }
        }
        Ok(pieces)
    }
}

fn translate(map: &SymbolMap, symbols: &mut [u32]) -> Result<(), IndexError> {
    for symbol in symbols {
        let unknown = || IndexError::corrupt("series", format!("unknown symbol {symbol}"));
        *symbol = map.get(*symbol).ok_or_else(unknown)?;
    }
    Ok(())
}

/// What is left of a chunk without what is deleted and without what lies outside a range of times.
fn cut_out(piece: Piece, deleted: &[Interval], first_ms: i64, last_ms: i64) -> Result<Vec<Piece>, CompactError> {
    let mut intervals = deleted.to_vec();
    if first_ms > i64::MIN {
        intervals.push(Interval { min_time_ms: i64::MIN, max_time_ms: first_ms - 1 });
    }
    if last_ms < i64::MAX {
        intervals.push(Interval { min_time_ms: last_ms + 1, max_time_ms: i64::MAX });
    }
    let untouched = piece.chunk.clone();
    let left = redact(piece.chunk.clone(), &intervals)?;
    Ok(match left.as_slice() {
        [same] if *same == untouched => vec![piece],
        _ => left.into_iter().map(|chunk| Piece { chunk, frame: None }).collect(),
    })
}

/// All blocks, of which those with the least labels are read next.
#[derive(Debug)]
pub(super) struct Inputs<'s> {
    inputs: Vec<Input<'s>>,
    heap: Heap<usize>,
    /// Those that stand on the series given last.
    current: Vec<usize>,
    first_ms: i64,
    last_ms: i64,
}

impl<'s> Inputs<'s> {
    /// Opens the blocks; also gives the symbols of all of them. Samples outside `first_ms..=last_ms` are left out.
    pub(super) fn open(
        sources: &'s [BlockSource],
        options: &CompactOptions<'_>,
        (first_ms, last_ms): (i64, i64),
    ) -> Result<(Self, SymbolTable), CompactError> {
        let sections = sources.iter().map(BlockSource::sections).collect::<Result<Vec<_>, _>>()?;
        let indexes: Vec<_> =
            sources.iter().zip(&sections).map(|(s, (version, toc))| (&s.index, *toc, *version)).collect();
        let (symbols, maps) = unite(&indexes)?;
        let dropped = symbols.find_all(options.drop_labels);
        let mut inputs = Vec::with_capacity(sources.len());
        for ((source, (version, toc)), map) in sources.iter().zip(&sections).zip(maps) {
            let scan = SeriesScan::new(source, *version, toc);
            let (tombstones, chunks) = (&source.tombstones, ChunkScan::new(source)?);
            let mut input = Input { tombstones, symbols: map, scan, chunks, resorted: None, at: RawSeries::default() };
            if !dropped.is_empty() {
                input.resort(&dropped)?;
            }
            inputs.push(input);
        }
        let current = (0..inputs.len()).collect();
        Ok((Inputs { inputs, heap: Heap::new(), current, first_ms, last_ms }, symbols))
    }

    /// The next label set, into `symbols`, and the chunks that each block has of it. False at the end.
    pub(super) fn next(&mut self, symbols: &mut Vec<u32>, chunks: &mut Vec<Vec<Piece>>) -> Result<bool, CompactError> {
        chunks.clear();
        for i in std::mem::take(&mut self.current) {
            self.advance(i)?;
        }
        let Inputs { inputs, heap, .. } = self;
        let less = |inputs: &[Input<'_>], a: usize, b: usize| inputs[a].at.symbols < inputs[b].at.symbols;
        let Some(first) = heap.first() else { return Ok(false) };
        symbols.clone_from(&inputs[first].at.symbols);
        while let Some(i) = heap.first().filter(|i| inputs[*i].at.symbols == *symbols) {
            heap.pop(|a, b| less(inputs, a, b));
            self.current.push(i);
        }
        for at in 0..self.current.len() {
            let i = self.current[at];
            chunks.push(self.inputs[i].pieces(self.first_ms, self.last_ms)?);
            self.take_equal(i, symbols, chunks)?;
        }
        Ok(true)
    }

    /// Where labels are dropped, one block may have several series of one label set.
    fn take_equal(&mut self, i: usize, symbols: &[u32], chunks: &mut Vec<Vec<Piece>>) -> Result<(), CompactError> {
        let input = &mut self.inputs[i];
        while input.resorted.as_ref().and_then(|order| order.front()).is_some_and(|(next, _)| **next == *symbols) {
            if !input.advance()? {
                break;
            }
            chunks.push(input.pieces(self.first_ms, self.last_ms)?);
        }
        Ok(())
    }

    fn advance(&mut self, i: usize) -> Result<(), IndexError> {
        if self.inputs[i].advance()? {
            let Inputs { inputs, heap, .. } = self;
            heap.push(i, |a, b| inputs[a].at.symbols < inputs[b].at.symbols);
        }
        Ok(())
    }
}
