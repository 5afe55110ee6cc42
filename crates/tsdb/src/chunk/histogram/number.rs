//! How one number of a histogram changes from sample to sample.

use super::super::ChunkError;
use super::super::float_xor::XorFloat;
use crate::encoding::{BitReader, BitWriter};

/// Counts of integer (`i64`, the bits of an unsigned count) or float (`f64`) histograms.
pub trait Number: Copy + PartialOrd + Default + std::fmt::Debug {
    /// The last value, and what is needed to write the next.
    type Cell: Copy + Clone + std::fmt::Debug + Default + Send + Sync;

    /// Whether there is no observation.
    fn is_zero(self) -> bool;
    /// Whether `self` as a total count lies below an older one.
    fn count_below(self, older: Self) -> bool;
    /// Writes a count of the first sample.
    fn put_first_count(self, out: &mut BitWriter) -> Self::Cell;
    /// Writes a bucket of the first sample.
    fn put_first_bucket(self, out: &mut BitWriter) -> Self::Cell;
    /// Writes the value of a later sample.
    fn put(self, cell: &mut Self::Cell, out: &mut BitWriter);
    /// Writes a count of a stale marker after other samples.
    fn put_stale(cell: &mut Self::Cell, out: &mut BitWriter);
    /// Reads a count of the first sample.
    fn read_first_count(bits: &mut BitReader<'_>) -> Result<Self::Cell, ChunkError>;
    /// Reads a bucket of the first sample.
    fn read_first_bucket(bits: &mut BitReader<'_>) -> Result<Self::Cell, ChunkError>;
    /// Reads the value of a later sample.
    fn read(cell: &mut Self::Cell, bits: &mut BitReader<'_>) -> Result<(), ChunkError>;
    /// The last value.
    fn value(cell: &Self::Cell) -> Self;
    /// Turns buckets as stored into absolute counts.
    fn absolute(buckets: &[Self]) -> impl Iterator<Item = Self>;
    /// Turns absolute counts into buckets as stored.
    fn stored(counts: Vec<Self>) -> Vec<Self>;
    /// A count as a float.
    fn float(self) -> f64;
    /// The last values of buckets, as absolute counts, in the place of what `into` holds.
    fn floats(cells: &[Self::Cell], into: &mut Vec<f64>);
}

/// An integer and its last difference.
#[derive(Clone, Copy, Debug, Default)]
pub struct IntCell {
    value: i64,
    delta: i64,
}

impl Number for i64 {
    type Cell = IntCell;

    fn is_zero(self) -> bool {
        self == 0
    }

    fn count_below(self, older: Self) -> bool {
        (self as u64) < older as u64
    }

    fn put_first_count(self, out: &mut BitWriter) -> IntCell {
        out.put_unsigned_varbit(self as u64);
        IntCell { value: self, delta: 0 }
    }

    fn put_first_bucket(self, out: &mut BitWriter) -> IntCell {
        out.put_varbit(self);
        IntCell { value: self, delta: 0 }
    }

    fn put(self, cell: &mut IntCell, out: &mut BitWriter) {
        let delta = self.wrapping_sub(cell.value);
        out.put_varbit(delta.wrapping_sub(cell.delta));
        *cell = IntCell { value: self, delta };
    }

    fn put_stale(_: &mut IntCell, out: &mut BitWriter) {
        out.put_varbit(0);
    }

    fn read_first_count(bits: &mut BitReader<'_>) -> Result<IntCell, ChunkError> {
        Ok(IntCell { value: bits.unsigned_varbit()? as i64, delta: 0 })
    }

    fn read_first_bucket(bits: &mut BitReader<'_>) -> Result<IntCell, ChunkError> {
        Ok(IntCell { value: bits.varbit()?, delta: 0 })
    }

    #[inline]
    fn read(cell: &mut IntCell, bits: &mut BitReader<'_>) -> Result<(), ChunkError> {
        cell.delta = cell.delta.wrapping_add(bits.varbit()?);
        cell.value = cell.value.wrapping_add(cell.delta);
        Ok(())
    }

    fn value(cell: &IntCell) -> i64 {
        cell.value
    }

    fn absolute(buckets: &[i64]) -> impl Iterator<Item = i64> {
        buckets.iter().scan(0i64, |count, delta| {
            *count = count.wrapping_add(*delta);
            Some(*count)
        })
    }

    fn stored(mut counts: Vec<i64>) -> Vec<i64> {
        for i in (1..counts.len()).rev() {
            counts[i] = counts[i].wrapping_sub(counts[i - 1]);
        }
        counts
    }

    fn float(self) -> f64 {
        self as u64 as f64
    }

    /// Deltas are summed as floats, as Prometheus does.
    fn floats(cells: &[IntCell], into: &mut Vec<f64>) {
        let mut count = 0.0;
        let absolute = |cell: &IntCell| {
            count += cell.value as f64;
            count
        };
        into.clear();
        into.extend(cells.iter().map(absolute));
    }
}

/// A float and its window.
#[derive(Clone, Copy, Debug, Default)]
pub struct FloatCell(XorFloat);

impl FloatCell {
    fn put_first(value: f64, out: &mut BitWriter) -> FloatCell {
        out.put_f64(value);
        FloatCell(XorFloat::first(value.to_bits()))
    }

    fn read_first(bits: &mut BitReader<'_>) -> Result<FloatCell, ChunkError> {
        Ok(FloatCell(XorFloat::first(bits.bits(64)?)))
    }
}

impl Number for f64 {
    type Cell = FloatCell;

    fn is_zero(self) -> bool {
        self == 0.0
    }

    fn count_below(self, older: Self) -> bool {
        self < older
    }

    fn put_first_count(self, out: &mut BitWriter) -> FloatCell {
        FloatCell::put_first(self, out)
    }

    fn put_first_bucket(self, out: &mut BitWriter) -> FloatCell {
        FloatCell::put_first(self, out)
    }

    fn put(self, cell: &mut FloatCell, out: &mut BitWriter) {
        cell.0.put(out, self);
    }

    fn put_stale(cell: &mut FloatCell, out: &mut BitWriter) {
        cell.0.put(out, 0.0);
    }

    fn read_first_count(bits: &mut BitReader<'_>) -> Result<FloatCell, ChunkError> {
        FloatCell::read_first(bits)
    }

    fn read_first_bucket(bits: &mut BitReader<'_>) -> Result<FloatCell, ChunkError> {
        FloatCell::read_first(bits)
    }

    #[inline]
    fn read(cell: &mut FloatCell, bits: &mut BitReader<'_>) -> Result<(), ChunkError> {
        cell.0.read(bits)
    }

    fn value(cell: &FloatCell) -> f64 {
        cell.0.value()
    }

    fn absolute(buckets: &[f64]) -> impl Iterator<Item = f64> {
        buckets.iter().copied()
    }

    fn stored(counts: Vec<f64>) -> Vec<f64> {
        counts
    }

    fn float(self) -> f64 {
        self
    }

    fn floats(cells: &[FloatCell], into: &mut Vec<f64>) {
        into.clear();
        into.extend(cells.iter().map(f64::value));
    }
}
