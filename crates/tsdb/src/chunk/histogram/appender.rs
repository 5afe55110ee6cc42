//! Writes histogram chunks.
//!
//! A chunk has one layout of buckets. A sample with fewer buckets gets empty ones; one with more makes the whole chunk be
//! written anew; what is a reset, or has another resolution, begins a new chunk.

use std::sync::Arc;

use thanoxide_model::histogram::{CounterResetHint, Span};
use thanoxide_model::{FloatHistogram, Histogram, is_stale_nan};

use super::super::ChunkError;
use super::super::float_xor::XorFloat;
use super::iter::{HistogramIter, State};
use super::layout::Layout;
use super::native::NativeHistogram;
use super::number::Number;
use super::spans::{Fit, fit_counter, fit_gauge, spread};
use super::{CounterResetHeader, Header};
use crate::encoding::BitWriter;

/// Writes encodings 2 and 5.
pub type IntHistogramAppender = HistogramAppender<Histogram>;
/// Writes encodings 3 and 6.
pub type FloatHistogramAppender = HistogramAppender<FloatHistogram>;

/// What became of a sample.
#[derive(Debug)]
pub enum Appended<H: NativeHistogram> {
    /// It was appended.
    Appended,
    /// The chunk was written anew with more buckets, and the sample appended.
    Recoded,
    /// It did not fit: the appender's chunk is done, and this is a new one that holds the sample.
    NewChunk(Box<HistogramAppender<H>>),
}

/// Why a sample does not fit the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutReason {
    /// A counter went down.
    #[error("histogram counter reset")]
    CounterReset,
    /// Resolution, zero bucket or kind changed, or the chunk ends in a stale marker.
    #[error("histogram schema change")]
    SchemaChange,
    /// The sample has other buckets than the chunk, which would have to be written anew.
    #[error("histogram layout change")]
    LayoutChange,
}

/// Writes a chunk. Its bytes are a valid chunk after each sample.
#[derive(Clone, Debug)]
pub struct HistogramAppender<H: NativeHistogram> {
    out: BitWriter,
    header: Header,
    state: State<H>,
}

/// How the buckets of chunk and sample are brought together.
#[derive(Debug)]
struct Plan {
    fits: [Fit; 2],
    gauge: bool,
}

impl<H: NativeHistogram> HistogramAppender<H> {
    /// Begins an empty chunk.
    pub fn new(with_start_times: bool) -> Self {
        let counter_reset = CounterResetHeader::Unknown;
        let header = Header { with_start_times, count: 0, counter_reset, start_times: 0 };
        HistogramAppender { out: BitWriter::new(header.bytes().to_vec()), header, state: State::new(0) }
    }

    /// Goes on with a chunk exactly where its last sample ends. Bytes behind that are dropped.
    pub fn from_bytes(mut bytes: Vec<u8>, with_start_times: bool) -> Result<Self, ChunkError> {
        let mut iter = HistogramIter::<H>::new(&bytes, with_start_times)?;
        while iter.advance()? {}
        let HistogramIter { bits, header, state, .. } = iter;
        let left = bits.bits_left();
        bytes.truncate(bytes.len() - left / 8);
        Ok(HistogramAppender { out: BitWriter::resume(bytes, (left % 8) as u8), header, state })
    }

    /// How many samples there are.
    pub fn sample_count(&self) -> usize {
        usize::from(self.header.count)
    }

    /// The chunk as it is now.
    pub fn bytes(&self) -> &[u8] {
        self.out.bytes()
    }

    /// The chunk, done.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out.into_bytes()
    }

    /// What the header says about a reset.
    pub fn counter_reset_header(&self) -> CounterResetHeader {
        self.header.counter_reset
    }

    /// The last sample's time; 0 while there is none.
    pub fn last_timestamp_ms(&self) -> i64 {
        self.state.timestamp_ms
    }

    /// Appends a sample, whatever it takes. A start time of 0 is unknown; it is dropped where the encoding has none.
    ///
    /// `previous` is the chunk that this one goes on from, where that was cut for its size or its time only; it is looked at
    /// for the first sample.
    ///
    /// # Panics
    /// If the header's count of samples is at its end. Callers cut long before.
    pub fn append(&mut self, previous: Option<&Self>, start_ms: i64, timestamp_ms: i64, sample: &H) -> Appended<H> {
        if self.header.count == 0 {
            self.append_first(previous, start_ms, timestamp_ms, sample);
            return Appended::Appended;
        }
        let plan = match self.plan(sample) {
            Ok(plan) => plan,
            Err(header) => {
                return Appended::NewChunk(Box::new(self.next_chunk(header, start_ms, timestamp_ms, sample)));
            }
        };
        let grows = plan.fits.iter().any(|fit| fit.chunk_grows);
        if grows {
            self.recode(&plan.grown_spans(sample));
        }
        self.push(start_ms, timestamp_ms, sample);
        if grows { Appended::Recoded } else { Appended::Appended }
    }

    /// Appends a sample only if the chunk as it stands can take it.
    pub fn append_only(
        &mut self,
        previous: Option<&Self>,
        start_ms: i64,
        timestamp_ms: i64,
        sample: &H,
    ) -> Result<(), CutReason> {
        if self.header.count == 0 {
            self.append_first(previous, start_ms, timestamp_ms, sample);
            return Ok(());
        }
        match self.plan(sample) {
            Err(CounterResetHeader::Reset) => return Err(CutReason::CounterReset),
            Err(_) => return Err(CutReason::SchemaChange),
            Ok(plan) if plan.fits.iter().any(|f| f.chunk_grows || plan.gauge && f.sample_grows) => {
                return Err(CutReason::LayoutChange);
            }
            Ok(_) => self.push(start_ms, timestamp_ms, sample),
        }
        Ok(())
    }

    fn append_first(&mut self, previous: Option<&Self>, start_ms: i64, timestamp_ms: i64, sample: &H) {
        self.header.counter_reset = match (sample.hint(), previous) {
            (CounterResetHint::Gauge, _) => CounterResetHeader::Gauge,
            (CounterResetHint::CounterReset, _) => CounterResetHeader::Reset,
            (_, Some(previous)) => previous.header_after(sample),
            (_, None) => self.header.counter_reset,
        };
        self.push(start_ms, timestamp_ms, sample);
    }

    /// The header of a chunk that goes on from this one with `sample`.
    fn header_after(&self, sample: &H) -> CounterResetHeader {
        match self.plan_counter(sample) {
            Err(CounterResetHeader::Reset) => CounterResetHeader::Reset,
            Err(header) if H::EXACT_HEADER => header,
            _ => CounterResetHeader::NotReset,
        }
    }

    fn next_chunk(&self, header: CounterResetHeader, start_ms: i64, timestamp_ms: i64, sample: &H) -> Self {
        let mut next = HistogramAppender::new(self.header.with_start_times);
        // For floats, stock does not say that there was no reset when the chunk had to be cut.
        let exact = H::EXACT_HEADER || header != CounterResetHeader::NotReset;
        next.header.counter_reset = if exact { header } else { CounterResetHeader::Unknown };
        next.push(start_ms, timestamp_ms, sample);
        next
    }

    fn plan(&self, sample: &H) -> Result<Plan, CounterResetHeader> {
        if sample.hint() == CounterResetHint::Gauge {
            self.plan_gauge(sample).ok_or(CounterResetHeader::Gauge)
        } else {
            self.plan_counter(sample)
        }
    }

    fn same_shape(&self, sample: &H) -> bool {
        let (ours, theirs) = (&self.state.layout, sample.layout());
        theirs.schema == ours.schema && theirs.zero_threshold == ours.zero_threshold
    }

    fn same_bounds(&self, sample: &H) -> bool {
        let (ours, theirs) = (&self.state.layout.custom_values, sample.layout());
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        !theirs.is_custom() || Arc::ptr_eq(ours, theirs.custom_values) || bits(ours) == bits(theirs.custom_values)
    }

    fn plan_gauge(&self, sample: &H) -> Option<Plan> {
        if self.header.counter_reset != CounterResetHeader::Gauge {
            return None;
        }
        if sample.is_stale() {
            return Some(Plan { fits: [Fit::SAME, Fit::SAME], gauge: true });
        }
        if is_stale_nan(self.state.sum.value()) || !self.same_shape(sample) || !self.same_bounds(sample) {
            return None;
        }
        let spans = sample.layout().spans;
        let fits = [0, 1].map(|side| fit_gauge(&self.state.layout.spans[side], spans[side]));
        Some(Plan { fits, gauge: true })
    }

    /// The order of these checks decides what the next chunk's header says; it is stock's.
    fn plan_counter(&self, sample: &H) -> Result<Plan, CounterResetHeader> {
        if self.header.counter_reset == CounterResetHeader::Gauge {
            return Err(CounterResetHeader::NotReset);
        }
        if sample.hint() == CounterResetHint::CounterReset {
            return Err(CounterResetHeader::Reset);
        }
        if sample.is_stale() {
            return Ok(Plan { fits: [Fit::SAME, Fit::SAME], gauge: false });
        }
        if is_stale_nan(self.state.sum.value()) {
            return Err(if H::EXACT_HEADER { CounterResetHeader::Unknown } else { CounterResetHeader::NotReset });
        }
        let reset = CounterResetHeader::Reset;
        if sample.count().count_below(H::Number::value(&self.state.count)) {
            return Err(reset);
        }
        if !self.same_shape(sample) {
            return Err(if H::EXACT_HEADER { CounterResetHeader::Unknown } else { CounterResetHeader::NotReset });
        }
        let zero_fell = sample.zero_count().count_below(H::Number::value(&self.state.zero_count));
        if !self.same_bounds(sample) || zero_fell {
            return Err(reset);
        }
        let (spans, buckets) = (sample.layout().spans, sample.buckets());
        let fit = |side: usize| {
            let before = self.state.values(side);
            fit_counter((&self.state.layout.spans[side], &before), (spans[side], buckets[side])).ok_or(reset)
        };
        Ok(Plan { fits: [fit(0)?, fit(1)?], gauge: false })
    }

    /// Writes the whole chunk anew with other spans.
    fn recode(&mut self, spans: &[Vec<Span>; 2]) {
        let mut wider = HistogramAppender::<H>::new(self.header.with_start_times);
        wider.header.counter_reset = self.header.counter_reset;
        let mut iter = HistogramIter::<H>::new(self.out.bytes(), self.header.with_start_times)
            .expect("an appender's bytes are a chunk");
        while iter.advance().expect("an appender's bytes are a chunk") {
            let old = iter.stored_histogram();
            let layout = Layout { spans: spans.clone(), ..Layout::of(old.layout()) };
            let buckets = [0, 1].map(|side| spread(old.layout().spans[side], old.buckets()[side], &spans[side]));
            wider.push_parts(iter.start_ms(), iter.timestamp_ms(), &old, layout, buckets);
        }
        *self = wider;
    }

    /// Writes a sample whose buckets are among the chunk's, or that is the first.
    fn push(&mut self, start_ms: i64, timestamp_ms: i64, sample: &H) {
        let buckets = sample.buckets();
        if self.header.count == 0 {
            let layout = if sample.is_stale() { Layout::default() } else { Layout::of(sample.layout()) };
            let buckets = if sample.is_stale() { [vec![], vec![]] } else { buckets.map(<[H::Number]>::to_vec) };
            return self.push_parts(start_ms, timestamp_ms, sample, layout, buckets);
        }
        let spans = sample.layout().spans;
        let buckets = [0, 1].map(|side| spread(spans[side], buckets[side], &self.state.layout.spans[side]));
        self.push_parts(start_ms, timestamp_ms, sample, Layout::default(), buckets);
    }

    /// Writes a sample; `layout` is used for the first only, `buckets` are laid out as the chunk's.
    fn push_parts(
        &mut self,
        start_ms: i64,
        timestamp_ms: i64,
        sample: &H,
        layout: Layout,
        buckets: [Vec<H::Number>; 2],
    ) {
        let index = self.header.count;
        assert!(index < self.header.max_count(), "chunk is full: callers cut chunks long before");
        let time_before_ms = self.state.timestamp_ms;
        if index == 0 {
            self.state.layout = layout;
            self.put_first(timestamp_ms, sample, buckets);
        } else {
            self.put_later(timestamp_ms, sample, buckets);
        }
        self.state.timestamp_ms = timestamp_ms;
        if self.header.with_start_times {
            self.state.start_times.put(&mut self.out, index, timestamp_ms, time_before_ms, start_ms);
            self.header.start_times = self.state.start_times.header;
        }
        self.header.count += 1;
        self.out.bytes_mut()[..super::HEADER_BYTES].copy_from_slice(&self.header.bytes());
    }

    fn put_first(&mut self, timestamp_ms: i64, sample: &H, buckets: [Vec<H::Number>; 2]) {
        let (out, state) = (&mut self.out, &mut self.state);
        state.layout.put(out);
        out.put_varbit(timestamp_ms);
        let (count, zero_count) =
            if sample.is_stale() { Default::default() } else { (sample.count(), sample.zero_count()) };
        state.count = count.put_first_count(out);
        state.zero_count = zero_count.put_first_count(out);
        out.put_f64(sample.sum());
        state.sum = XorFloat::first(sample.sum().to_bits());
        state.buckets = buckets.map(|side| side.into_iter().map(|bucket| bucket.put_first_bucket(out)).collect());
    }

    fn put_later(&mut self, timestamp_ms: i64, sample: &H, buckets: [Vec<H::Number>; 2]) {
        let (out, state) = (&mut self.out, &mut self.state);
        let delta_ms = timestamp_ms.wrapping_sub(state.timestamp_ms);
        out.put_varbit(delta_ms.wrapping_sub(state.delta_ms));
        state.delta_ms = delta_ms;
        if sample.is_stale() {
            H::Number::put_stale(&mut state.count, out);
            H::Number::put_stale(&mut state.zero_count, out);
            return state.sum.put(out, sample.sum());
        }
        sample.count().put(&mut state.count, out);
        sample.zero_count().put(&mut state.zero_count, out);
        state.sum.put(out, sample.sum());
        for (cell, bucket) in state.buckets.iter_mut().flatten().zip(buckets.into_iter().flatten()) {
            bucket.put(cell, out);
        }
    }
}

impl Plan {
    /// The spans of the chunk written anew: the sample's as they are, unless buckets of the chunk come on top.
    fn grown_spans<H: NativeHistogram>(&self, sample: &H) -> [Vec<Span>; 2] {
        let spans = sample.layout().spans;
        let any_sample_grows = self.fits.iter().any(|fit| fit.sample_grows);
        [0, 1].map(|side| {
            let fit = &self.fits[side];
            let merge = if self.gauge { any_sample_grows } else { fit.sample_grows };
            if merge { fit.merged_spans(spans[side]) } else { spans[side].to_vec() }
        })
    }
}
