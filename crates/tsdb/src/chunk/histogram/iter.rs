//! Reads histogram chunks.

use std::sync::Arc;

use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, MAX_SCHEMA, MIN_SCHEMA};
use thanoxide_model::series::Columns;
use thanoxide_model::{FloatHistogram, is_stale_nan};

use super::super::ChunkError;
use super::super::float_xor::XorFloat;
use super::super::start_times::StartTimes;
use super::layout::Layout;
use super::native::{NativeHistogram, Parts};
use super::number::Number;
use super::spans::bucket_count;
use super::{CounterResetHeader, HEADER_BYTES, Header};
use crate::encoding::{BitReader, DecodeError};

type Cell<H> = <<H as NativeHistogram>::Number as Number>::Cell;

/// What a chunk carries on from sample to sample.
#[derive(Clone, Debug)]
pub(super) struct State<H: NativeHistogram> {
    pub(super) layout: Layout,
    pub(super) start_times: StartTimes,
    pub(super) timestamp_ms: i64,
    pub(super) delta_ms: i64,
    pub(super) count: Cell<H>,
    pub(super) zero_count: Cell<H>,
    pub(super) sum: XorFloat,
    pub(super) buckets: [Vec<Cell<H>>; 2],
}

impl<H: NativeHistogram> State<H> {
    pub(super) fn new(start_times: u8) -> Self {
        State {
            layout: Layout::default(),
            start_times: StartTimes::of_header(start_times),
            timestamp_ms: 0,
            delta_ms: 0,
            count: Cell::<H>::default(),
            zero_count: Cell::<H>::default(),
            sum: XorFloat::default(),
            buckets: [Vec::new(), Vec::new()],
        }
    }

    /// The buckets of the last sample.
    pub(super) fn values(&self, side: usize) -> Vec<H::Number> {
        self.buckets[side].iter().map(H::Number::value).collect()
    }
}

/// Reads one sample after the other.
#[derive(Clone, Debug)]
pub struct HistogramIter<'a, H: NativeHistogram> {
    pub(super) bits: BitReader<'a>,
    pub(super) header: Header,
    pub(super) state: State<H>,
    read: u16,
}

impl<'a, H: NativeHistogram> HistogramIter<'a, H> {
    /// Reads the header.
    pub fn new(data: &'a [u8], with_start_times: bool) -> Result<Self, ChunkError> {
        let (header, samples) = data.split_first_chunk::<HEADER_BYTES>().ok_or(DecodeError::UnexpectedEnd)?;
        let header = Header::read(*header, with_start_times);
        Ok(HistogramIter { bits: BitReader::new(samples), header, state: State::new(header.start_times), read: 0 })
    }

    /// What the chunk's header says about a reset.
    pub fn counter_reset_header(&self) -> CounterResetHeader {
        self.header.counter_reset
    }

    /// The time of the sample read last.
    pub fn timestamp_ms(&self) -> i64 {
        self.state.timestamp_ms
    }

    /// The start time of the sample read last; 0 is unknown.
    pub fn start_ms(&self) -> i64 {
        self.state.start_times.start_ms
    }

    /// Goes to the next sample; false after the last.
    pub fn advance(&mut self) -> Result<bool, ChunkError> {
        if self.read == self.header.count {
            return Ok(false);
        }
        let time_before_ms = self.state.timestamp_ms;
        if self.read == 0 {
            self.read_first()?
        } else {
            self.read_later()?
        }
        if self.header.with_start_times {
            let time_ms = self.state.timestamp_ms;
            self.state.start_times.read(&mut self.bits, self.read, time_ms, time_before_ms)?;
        }
        self.read += 1;
        Ok(true)
    }

    fn read_first(&mut self) -> Result<(), ChunkError> {
        let (bits, state) = (&mut self.bits, &mut self.state);
        state.layout = Layout::read(bits)?;
        state.timestamp_ms = bits.varbit()?;
        state.count = H::Number::read_first_count(bits)?;
        state.zero_count = H::Number::read_first_count(bits)?;
        state.sum = XorFloat::first(bits.bits(64)?);
        for side in 0..2 {
            let count = bucket_count(&state.layout.spans[side]) as usize;
            state.buckets[side] = Vec::with_capacity(count);
            for _ in 0..count {
                state.buckets[side].push(H::Number::read_first_bucket(bits)?);
            }
        }
        Ok(())
    }

    fn read_later(&mut self) -> Result<(), ChunkError> {
        let (bits, state) = (&mut self.bits, &mut self.state);
        state.delta_ms = state.delta_ms.wrapping_add(bits.varbit()?);
        state.timestamp_ms = state.timestamp_ms.wrapping_add(state.delta_ms);
        H::Number::read(&mut state.count, bits)?;
        H::Number::read(&mut state.zero_count, bits)?;
        state.sum.read(bits)?;
        if is_stale_nan(state.sum.value()) {
            return Ok(());
        }
        for bucket in state.buckets.iter_mut().flatten() {
            H::Number::read(bucket, bits)?;
        }
        Ok(())
    }

    /// The histogram of the sample read last, as stored: its resolution not lowered.
    pub(super) fn stored_histogram(&self) -> H {
        let state = &self.state;
        let stale = is_stale_nan(state.sum.value());
        let nothing = Layout::default();
        let or_zero = |cell: &Cell<H>| if stale { H::Number::default() } else { H::Number::value(cell) };
        H::assemble(Parts {
            hint: if stale { CounterResetHint::Unknown } else { self.hint() },
            layout: if stale { &nothing } else { &state.layout },
            count: or_zero(&state.count),
            zero_count: or_zero(&state.zero_count),
            sum: state.sum.value(),
            buckets: if stale { [Vec::new(), Vec::new()] } else { [state.values(0), state.values(1)] },
        })
    }

    /// The histogram of the sample read last.
    pub fn histogram(&self) -> Result<H, ChunkError> {
        let mut histogram = self.stored_histogram();
        let schema = histogram.layout().schema;
        histogram.reduce_to_supported().map_err(|_| ChunkError::UnknownSchema(schema))?;
        Ok(histogram)
    }

    /// Writes the histogram of the sample read last over another one, with absolute float counts.
    fn write_float(&self, into: &mut FloatHistogram) -> Result<(), ChunkError> {
        if !self.has_plain_layout() {
            *into = self.histogram()?.into_float();
            return Ok(());
        }
        let State { layout, buckets: [positive, negative], .. } = &self.state;
        self.write_stats(into);
        into.positive_spans.clone_from(&layout.spans[0]);
        H::Number::floats(positive, &mut into.positive_buckets);
        if !Arc::ptr_eq(&into.custom_values, &layout.custom_values) {
            into.custom_values = Arc::clone(&layout.custom_values);
        }
        if H::TRIMS_CUSTOM && into.uses_custom_buckets() {
            (into.zero_threshold, into.zero_count) = (0.0, 0.0);
            into.negative_spans.clear();
            into.negative_buckets.clear();
            return Ok(());
        }
        into.zero_threshold = layout.zero_threshold;
        into.zero_count = H::Number::value(&self.state.zero_count).float();
        into.negative_spans.clone_from(&layout.spans[1]);
        H::Number::floats(negative, &mut into.negative_buckets);
        Ok(())
    }

    /// Whether the sample read last is neither a stale marker nor of a resolution that has to be lowered.
    fn has_plain_layout(&self) -> bool {
        let schema = self.state.layout.schema;
        let is_plain = schema == CUSTOM_BUCKETS_SCHEMA || (MIN_SCHEMA..=MAX_SCHEMA).contains(&schema);
        is_plain && !is_stale_nan(self.state.sum.value())
    }

    fn write(&self, detail: Detail, into: &mut FloatHistogram) -> Result<(), ChunkError> {
        let is_compared = self.read == self.header.count || self.hint() == CounterResetHint::Unknown;
        if detail == Detail::Buckets || is_compared || !self.has_plain_layout() {
            return self.write_float(into);
        }
        self.write_stats(into);
        (into.zero_threshold, into.zero_count) = (0.0, 0.0);
        into.positive_spans.clear();
        into.positive_buckets.clear();
        into.negative_spans.clear();
        into.negative_buckets.clear();
        if !into.custom_values.is_empty() {
            into.custom_values = Arc::default();
        }
        Ok(())
    }

    /// What the sample read last has besides buckets.
    fn write_stats(&self, into: &mut FloatHistogram) {
        into.counter_reset_hint = self.hint();
        into.schema = self.state.layout.schema;
        into.count = H::Number::value(&self.state.count).float();
        into.sum = self.state.sum.value();
    }

    /// The first sample never knows: what was before the chunk may be gone by now.
    fn hint(&self) -> CounterResetHint {
        match self.header.counter_reset {
            CounterResetHeader::Gauge => CounterResetHint::Gauge,
            _ if self.read > 1 => CounterResetHint::NotCounterReset,
            _ => CounterResetHint::Unknown,
        }
    }
}

/// What is wanted of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Whole histograms.
    Buckets,
    /// Counts and sums. Buckets and bounds come only with what must be compared to tell of a reset: a sample whose hint is
    /// unknown, and the last one of the chunk.
    Counts,
}

/// Appends the samples of `start_ms..=end_ms` to `into`, as floats; times are taken to rise.
pub fn decode_into<H: NativeHistogram>(
    data: &[u8],
    has_start_times: bool,
    (start_ms, end_ms): (i64, i64),
    detail: Detail,
    into: &mut Columns,
) -> Result<(), ChunkError> {
    let mut iter = HistogramIter::<H>::new(data, has_start_times)?;
    let with_start_times = iter.header.start_times != 0;
    if with_start_times {
        into.histogram_start_timestamps_ms.resize(into.histogram_timestamps_ms.len(), 0);
    }
    let before = into.histograms.len();
    while iter.advance()? {
        let timestamp_ms = iter.timestamp_ms();
        if timestamp_ms > end_ms {
            break;
        }
        if timestamp_ms >= start_ms {
            if detail == Detail::Counts && is_stale_nan(iter.state.sum.value()) {
                // The sample before it is the one to compare with, and has lost its buckets.
                into.histogram_timestamps_ms.truncate(before);
                into.histogram_start_timestamps_ms.truncate(before);
                into.histograms.truncate(before);
                return decode_into::<H>(data, has_start_times, (start_ms, end_ms), Detail::Buckets, into);
            }
            let mut histogram = into.spare.take();
            // Nobody else holds it, so nothing is copied.
            iter.write(detail, Arc::make_mut(&mut histogram))?;
            into.push_histogram(timestamp_ms, histogram);
            if with_start_times {
                into.histogram_start_timestamps_ms.push(iter.start_ms());
            }
        }
    }
    Ok(())
}
